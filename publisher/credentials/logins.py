"""What `publish login` stored: secrets in the keyring, and a list of them, without secrets, on disk."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from publisher.credentials.docker_config import key_of, places
from publisher.credentials.helper_protocol import read_index
from publisher.credentials.vault import Vault
from publisher.model.credential import Absent, Answer, Broken, Found
from publisher.model.errors import BrokenCredential

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Made = TypeVar("Made")

# A locked keyring waits for somebody to type a password; in CI nobody will.
PATIENCE: Final = 10.0


def index_file(environ: Mapping[str, str]) -> Path:
    """The list of logins: $XDG_CONFIG_HOME/publish/logins.json."""
    home = Path(environ.get("HOME") or Path.home())
    return Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "publish" / "logins.json"


class Logins:
    """The logins of this user; a CredentialSource. write: puts a file in place, whole or not at all."""

    name = "the keyring"

    def __init__(self, file: Path, write: Callable[[Path, bytes], None], *, retry_policy: float = PATIENCE) -> None:
        self._file = file
        self._write = write
        self._patience = retry_policy
        self._vault = Vault()

    @property
    def index(self) -> dict[str, str]:
        """The users by what their logins are kept under."""
        try:
            return read_index(self._file.read_text())
        except (OSError, UnicodeDecodeError):
            return {}

    def find(self, registry: str, repository: str = "") -> Answer:
        """Ask for `registry`, the longest path that fits first; what is not in the list is not looked for."""
        index = self.index
        for key in places(registry, repository):
            if key not in index:
                continue
            try:
                answer = self._limited(lambda key=key: self._vault.find(key))  # type: ignore[misc] # bound here
            except BrokenCredential as error:
                return Broken(error.message, error.hint or "")
            # The list may be older than the keyring: what has gone from there is no login any more.
            if isinstance(answer, Found | Broken):
                return answer
        return Absent()

    def store(self, place: str, username: str, secret: str) -> None:
        """Keep a login; raises BrokenCredential where the keyring isn't a safe one, is locked or keeps nothing."""
        key = key_of(place)
        self._limited(lambda: self._vault.store(key, username, secret))
        self._save({**self.index, key: username})

    def erase(self, place: str) -> bool:
        """Forget a login; False if there was none."""
        key, index = key_of(place), self.index
        if key not in index:
            return False
        self._limited(lambda: self._vault.erase(key))
        self._save({name: user for name, user in index.items() if name != key})
        return True

    def _save(self, index: Mapping[str, str]) -> None:
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._write(self._file, json.dumps(index, indent=2).encode() + b"\n")

    def _limited(self, work: Callable[[], Made]) -> Made:
        """Do work that may never come back, as a locked keyring's; raises BrokenCredential when time is up."""
        made: list[Made] = []
        failed: list[BaseException] = []

        def run() -> None:
            try:
                made.append(work())
            except BaseException as error:  # noqa: BLE001 - handed to the thread that waits
                failed.append(error)

        thread = threading.Thread(target=run, daemon=True, name="keyring")
        thread.start()
        thread.join(self._patience)
        if failed:
            raise failed[0]
        if not made:
            raise BrokenCredential(
                f"the keyring did not answer within {self._patience:g} seconds: it is locked, or hangs",
                hint="unlock it, or use environment variables: PUBLISH_USERNAME and PUBLISH_PASSWORD",
            )
        return made[0]
