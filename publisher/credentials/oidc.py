"""A job's own identity instead of a stored secret: GitHub's OIDC token, exchanged at Docker.

Source: docker/login-action (2026). For organizations, and for the registry only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode, urlsplit

from publisher.http.message import Request
from publisher.http.origin import Origin
from publisher.http.tokens import is_token, read_object, token_in
from publisher.model.credential import Absent, Answer, Broken, Credential, Present
from publisher.model.errors import PublishError
from publisher.model.reference import DOCKER_HUB

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from publisher.http.client import Client

IDENTITY: Final = "https://identity.docker.com"
_GRANT: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
_KIND: Final = "urn:ietf:params:oauth:token-type:id_token"
_SHORTEST, _LONGEST = 300, 21_600
_OK: Final = 200


class _NoToken(Exception):
    """Why there is no credential."""


class OidcCredentials:
    """Docker Hub's credential of a GitHub job; absent unless DOCKERHUB_OIDC_CONNECTIONID names a connection.

    The user is DOCKERHUB_USERNAME, else the repository's namespace. client: sends without any credential.
    learn: takes each token out of all that is printed. identity: Docker's service, another one in tests.
    """

    name = "GitHub OIDC"

    def __init__(
        self,
        environ: Mapping[str, str],
        client: Callable[[], Client],
        learn: Callable[[str], None],
        identity: str = IDENTITY,
    ) -> None:
        self._environ, self._client, self._learn, self._identity = environ, client, learn, identity
        self._secret: str | None = None

    def find(self, registry: str, repository: str = "") -> Answer:
        """Ask for Docker Hub's; one token serves the whole run."""
        connection = self._environ.get("DOCKERHUB_OIDC_CONNECTIONID", "")
        if registry != DOCKER_HUB or not connection:
            return Absent()
        user = self._environ.get("DOCKERHUB_USERNAME") or repository.partition("/")[0]
        if not user:
            return Broken("it doesn't say which organization is meant", "set DOCKERHUB_USERNAME to its name")
        try:
            self._secret = self._secret or self._exchange(connection, self._id_token())
        except _NoToken as error:
            return Broken(str(error), "the job needs 'permissions: id-token: write', and a connection at Docker Hub")
        except PublishError as error:
            return Broken(error.message, error.hint or "")
        return Present(Credential(user, self._secret, self.name, registry_only=True))

    def _id_token(self) -> str:
        """GitHub's word for which job this is."""
        url = self._environ.get("ACTIONS_ID_TOKEN_REQUEST_URL", "")
        bearer = self._environ.get("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "")
        if not url or not bearer:
            raise _NoToken("the job has no right to an identity token")
        if not is_token(bearer):
            raise _NoToken("ACTIONS_ID_TOKEN_REQUEST_TOKEN is no token: a header can't carry it")
        if urlsplit(url).scheme != "https" and not Origin.of(url).is_loopback:
            raise _NoToken("ACTIONS_ID_TOKEN_REQUEST_URL is not https")
        address = f"{url}{'&' if urlsplit(url).query else '?'}{urlencode({'audience': IDENTITY})}"
        headers = {"Authorization": f"Bearer {bearer}"}
        request = Request(method="GET", url=address, headers=headers, anonymous=True, bare=True)
        return self._send(request, "value", "GitHub")

    def _exchange(self, connection: str, token: str) -> str:
        """A short-lived secret for the registry in place of the job's word."""
        form = {
            "grant_type": _GRANT,
            "subject_token_type": _KIND,
            "subject_token": token,
            "connection_id": connection,
            "expires_in": str(self._life()),
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        url = f"{self._identity}/oauth/token"
        body = urlencode(form).encode()
        request = Request(method="POST", url=url, headers=headers, body=body, anonymous=True, bare=True)
        return self._send(request, "access_token", "Docker")

    def _life(self) -> int:
        text = self._environ.get("DOCKERHUB_OIDC_EXPIREIN", "") or str(_SHORTEST)
        if not (text.isascii() and text.isdecimal() and _SHORTEST <= int(text) <= _LONGEST):
            raise _NoToken(f"DOCKERHUB_OIDC_EXPIREIN is no number of seconds from {_SHORTEST} to {_LONGEST}")
        return int(text)

    def _send(self, request: Request, key: str, who: str) -> str:
        client = self._client()
        client.base_url(urlsplit(request.url).netloc)
        with client.send(request) as response:
            token = token_in(read_object(response), key) if response.status == _OK else ""
        if not token:
            raise _NoToken(f"{who} gave no token (HTTP {response.status})")
        self._learn(token)
        return token
