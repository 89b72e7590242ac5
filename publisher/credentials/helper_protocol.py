"""`docker-credential-publish`: docker's credential-helper protocol, served from the keyring.

Source: docker-credential-helpers, credentials/credentials.go. Errors go to stdout, with exit code 1.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from publisher.model.credential import Broken, Present

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Protocol

    from publisher.model.credential import Answer

    class CredentialStore(Protocol):
        """Where the credentials are."""

        def find(self, registry: str, repository: str = "") -> Answer:
            """Ask for one."""

        def store(self, registry: str, username: str, secret: str) -> None:
            """Keep one."""

        def erase(self, registry: str) -> None:
            """Forget one."""


LARGEST: Final = 1 << 20
_NOT_FOUND = "credentials not found in native keychain"
_NO_SERVER = "no credentials server URL"
_NO_USER = "no credentials username"


class HelperError(Exception):
    """What the protocol answers with exit code 1."""


def read_index(text: str) -> dict[str, str]:
    """The list of logins, server to user, from its file's text; no secrets in it."""
    try:
        document = json.loads(text or "{}")
    except ValueError:
        return {}
    return {str(server): str(user) for server, user in document.items()} if isinstance(document, dict) else {}


class Helper:
    """One call of the helper. `index` lists servers and users; `save` writes it anew."""

    def __init__(
        self, store: CredentialStore, index: Mapping[str, str], save: Callable[[Mapping[str, str]], None]
    ) -> None:
        self._credentials = store
        self._index = dict(index)
        self._save = save

    def answer(self, action: str, text: str) -> str:
        """What goes to stdout; raises HelperError."""
        if len(text) > LARGEST:
            raise HelperError("the input is too large")
        if action == "get":
            return self._get(text.strip())
        if action == "store":
            return self._store(text)
        if action == "erase":
            return self._erase(text.strip())
        return json.dumps(self._index, separators=(",", ":")) + "\n"

    def _get(self, server: str) -> str:
        if not server:
            raise HelperError(_NO_SERVER)
        answer = self._credentials.find(server) if server in self._index else None
        if isinstance(answer, Broken):
            raise HelperError(answer.reason)
        if not isinstance(answer, Present):
            raise HelperError(_NOT_FOUND)
        credential = answer.credential
        document = {"ServerURL": server, "Username": credential.username, "Secret": credential.secret}
        return json.dumps(document, separators=(",", ":")) + "\n"

    def _store(self, text: str) -> str:
        fields = _fields(text)
        server, username = fields.get("serverurl", ""), fields.get("username", "")
        if not server:
            raise HelperError(_NO_SERVER)
        if not username:
            raise HelperError(_NO_USER)
        self._credentials.store(server, username, fields.get("secret", ""))
        self._save({**self._index, server: username})
        return ""

    def _erase(self, server: str) -> str:
        if not server:
            raise HelperError(_NO_SERVER)
        self._credentials.erase(server)
        self._save({name: user for name, user in self._index.items() if name != server})
        return ""


def _fields(text: str) -> dict[str, str]:
    """The first JSON value, its keys in any case, as Go decodes them; what follows it is ignored."""
    try:
        document, _end = json.JSONDecoder().raw_decode(text.lstrip())
    except ValueError as error:
        raise HelperError(f"the input is not JSON: {error}") from error
    fields: dict[str, Any] = document if isinstance(document, dict) else {}
    return {key.lower(): value for key, value in fields.items() if isinstance(value, str)}
