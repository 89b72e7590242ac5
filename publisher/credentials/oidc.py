"""A job's own identity instead of a stored secret: GitHub's OIDC token, exchanged at Docker.

Source: docker/login-action (2026). For organizations, and for the registry only.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import urlencode, urlsplit

from publisher.http.message import Request
from publisher.http.origin import Origin
from publisher.http.tokens import is_token, read_object, token_in
from publisher.model.credential import Absent, Answer, Broken, Credential, Present
from publisher.model.errors import Denied, PublishError
from publisher.model.reference import DOCKER_HUB
from publisher.model.value import Value

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
        service = {
            "url": self._environ.get("ACTIONS_ID_TOKEN_REQUEST_URL", ""),
            "bearer": self._environ.get("ACTIONS_ID_TOKEN_REQUEST_TOKEN", ""),
        }
        return _request_token(self._client, service, IDENTITY, self._learn)

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
        return _send(self._client, request, key, who, self._learn)


class IdentityToken(Value, frozen=True):
    """A job's identity token, and what it says of the job; whoever takes it checks its signature."""

    text: str
    claims: Mapping[str, str]

    @classmethod
    def read(cls, text: str) -> Self:
        """Take the claims out of a token; raises Denied."""
        try:
            middle = text.split(".")[1]
            claims = json.loads(base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4)))
            return cls(text, {key: claim for key, claim in claims.items() if isinstance(claim, str)})
        except (IndexError, ValueError, AttributeError, RecursionError) as error:
            raise Denied("the job's identity token can't be read", hint="it must be a JSON Web Token") from error

    @property
    def project(self) -> str:
        """The source repository, as `github.com/OWNER/REPO`; else whom the token is for."""
        issuer = urlsplit(self.claims.get("iss", "")).hostname or ""
        if issuer == "gitlab.com":
            return f"gitlab.com/{self.claims.get('project_path', '')}"
        repository = self.claims.get("repository", "")
        return f"github.com/{repository}" if repository else self.claims.get("sub", "")


def request_identity(
    client: Callable[[], Client], service: Mapping[str, str], audience: str, learn: Callable[[str], None]
) -> IdentityToken:
    """Ask GitHub which job this is. service: the `url` and the `bearer` that its runner gives; raises Denied."""
    try:
        return IdentityToken.read(_request_token(client, service, audience, learn))
    except _NoToken as error:
        raise Denied(str(error), hint="the job needs 'permissions: id-token: write'") from error


def _request_token(
    client: Callable[[], Client], service: Mapping[str, str], audience: str, learn: Callable[[str], None]
) -> str:
    url, bearer = service["url"], service["bearer"]
    if not url or not bearer:
        raise _NoToken("the job has no right to an identity token")
    if not is_token(bearer):
        raise _NoToken("ACTIONS_ID_TOKEN_REQUEST_TOKEN is no token: a header can't carry it")
    if urlsplit(url).scheme != "https" and not Origin.of(url).is_loopback:
        raise _NoToken("ACTIONS_ID_TOKEN_REQUEST_URL is not https")
    address = f"{url}{'&' if urlsplit(url).query else '?'}{urlencode({'audience': audience})}"
    headers = {"Authorization": f"Bearer {bearer}"}
    request = Request(method="GET", url=address, headers=headers, anonymous=True, bare=True)
    return _send(client, request, "value", "GitHub", learn)


def _send(client: Callable[[], Client], request: Request, key: str, who: str, learn: Callable[[str], None]) -> str:
    sender = client()
    sender.base_url(urlsplit(request.url).netloc)
    with sender.send(request) as response:
        token = token_in(read_object(response), key) if response.status == _OK else ""
    if not token:
        raise _NoToken(f"{who} gave no token (HTTP {response.status})")
    learn(token)
    return token
