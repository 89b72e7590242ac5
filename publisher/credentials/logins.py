"""What `publish login` stored: secrets in the keyring, and a list of them, without secrets, on disk."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, TypeVar

from publisher.credentials.docker_config import key_of, keys_for
from publisher.credentials.helper_protocol import read_index
from publisher.credentials.vault import WITHOUT_KEYRING, Vault
from publisher.model.credential import Absent, Answer, Broken, Present
from publisher.model.environment import config_folder
from publisher.model.errors import BrokenCredential
from publisher.threads import run_within

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

Result = TypeVar("Result")

# A locked keyring waits for somebody to type a password; in CI nobody will.
KEYRING_SECONDS: Final = 10.0


def index_file(environ: Mapping[str, str]) -> Path:
    """The list of logins: $XDG_CONFIG_HOME/publish/logins.json."""
    return config_folder(environ) / "logins.json"


def read_logins(file: Path) -> dict[str, str]:
    """The users by what their logins are kept under; none where there is no such list."""
    try:
        return read_index(file.read_text())
    except (OSError, UnicodeDecodeError):
        return {}


def write_logins(file: Path, index: Mapping[str, str], write: Callable[[Path, bytes], None]) -> None:
    """Put a list in place of the one that is there. write: puts a file in place, whole or not at all."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write(file, json.dumps(index, indent=2).encode() + b"\n")


class DockerLogins:
    """Which entries of docker's own file are publish's, by `--store docker`: only those are publish's to take out."""

    def __init__(self, environ: Mapping[str, str], write: Callable[[Path, bytes], None]) -> None:
        self._file = config_folder(environ) / "docker-logins.json"
        self._write = write

    def add(self, target: str, username: str) -> None:
        """Remember that the entry is ours."""
        write_logins(self._file, {**read_logins(self._file), key_of(target): username}, self._write)

    def remove(self, target: str) -> str | None:
        """Forget that it is; gives the user whom it was for, None where it wasn't ours."""
        index = read_logins(self._file)
        username = index.pop(key_of(target), None)
        if username is not None:
            write_logins(self._file, index, self._write)
        return username


class Logins:
    """The logins of this user; a CredentialSource. write: puts a file in place, whole or not at all."""

    name = "the keyring"

    def __init__(self, file: Path, write: Callable[[Path, bytes], None], *, seconds: float = KEYRING_SECONDS) -> None:
        self._file = file
        self._write = write
        self._seconds = seconds
        self._vault = Vault()

    @property
    def index(self) -> dict[str, str]:
        """The users by what their logins are kept under."""
        return read_logins(self._file)

    def find(self, registry: str, repository: str = "") -> Answer:
        """Ask for `registry`, the longest path that fits first; what is not in the list is not looked for."""
        index = self.index
        for key in keys_for(registry, repository):
            if key not in index:
                continue
            try:
                answer = self._limited(lambda key=key: self._vault.find(key))  # type: ignore[misc] # bound here
            except BrokenCredential as error:
                return Broken(error.message, error.hint or "")
            # The list may be older than the keyring: what has gone from there is no login any more.
            if isinstance(answer, Present | Broken):
                return answer
        return Absent()

    def store(self, target: str, username: str, secret: str) -> None:
        """Keep a login; raises BrokenCredential where the keyring isn't a safe one, is locked or keeps nothing."""
        key = key_of(target)
        self._limited(lambda: self._vault.store(key, username, secret))
        self._save({**self.index, key: username})

    def erase(self, target: str) -> bool:
        """Forget a login; False if there was none."""
        key, index = key_of(target), self.index
        if key not in index:
            return False
        self._limited(lambda: self._vault.erase(key))
        self._save({name: user for name, user in index.items() if name != key})
        return True

    def _save(self, index: Mapping[str, str]) -> None:
        write_logins(self._file, index, self._write)

    def _limited(self, work: Callable[[], Result]) -> Result:
        """Do work that may never come back, as a locked keyring's; raises BrokenCredential when time is up."""
        # A result may be None: the tuple tells it from none at all.
        results = run_within(lambda: (work(),), self._seconds)
        if results is None:
            raise BrokenCredential(
                f"the keyring did not answer within {self._seconds:g} seconds: it is locked, or hangs",
                hint=f"unlock it, or {WITHOUT_KEYRING}",
            )
        return results[0]
