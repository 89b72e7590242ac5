"""Requests to Docker Hub's API, with its own bearer."""

from __future__ import annotations

import base64
import binascii
import json
import threading
import time
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlencode, urljoin, urlsplit

import msgspec

from publisher.http.message import Request
from publisher.http.origin import Origin
from publisher.http.pages import PageTrail
from publisher.http.tokens import read_object, token_in
from publisher.hub.answers import error_of, message_of
from publisher.hub.shapes import AccessToken, OrganizationToken
from publisher.model.errors import Denied, Unreachable, VerificationFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from publisher.http.client import Client
    from publisher.http.message import Response
    from publisher.model.credential import Credential


def personal_tokens(access: Access) -> tuple[AccessToken, ...]:
    """The user's personal access tokens; which of them is in use, nothing tells."""
    return tuple(access.pages("v2/access-tokens", {}, AccessToken, "access tokens"))


def organization_tokens(access: Access, organization: str) -> tuple[OrganizationToken, ...]:
    """The organization's access tokens, for its owners."""
    path = f"v2/orgs/{organization}/access-tokens"
    return tuple(access.pages(path, {}, OrganizationToken, f"the access tokens of {organization}"))


def personal_rights(access: Access) -> tuple[str, ...]:
    """The scopes that the user's personal token may have: one, or where several tokens differ one of these."""
    return tuple(sorted({scope for token in personal_tokens(access) if token.is_active for scope in token.scopes}))


def organization_rights(access: Access, organization: str) -> tuple[str, ...]:
    """What the organization's tokens reach, as acme/*: scope-image-push."""
    tokens = (token for token in organization_tokens(access, organization) if token.is_active)
    rights = {(resource.path, ", ".join(resource.scopes)) for token in tokens for resource in token.resources}
    return tuple(f"{path}: {scopes}" for path, scopes in sorted(rights))


Shape = TypeVar("Shape")

_OK: Final = 200
_UNAUTHORIZED: Final = 401
_REFUSED: Final = frozenset({401, 403})
# A token lives ten minutes; one that is about to end is renewed before it is used.
_LIFE: Final = 600.0
_AHEAD: Final = 30.0


class Access:
    """The API at `base`, as one user; without a credential what everybody may see.

    learn: takes each bearer out of all that is printed. Every method raises Denied or Unreachable.
    """

    def __init__(
        self,
        client: Client,
        base: str,
        credential: Credential | None,
        learn: Callable[[str], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._client, self.base = client, base.rstrip("/")
        self._credential, self._learn, self._clock = credential, learn, clock
        self._bearer, self._expiry = "", 0.0
        self._lock = threading.Lock()
        # Names the host to the client: it was configured, no registry has led here.
        client.base_url(urlsplit(self.base).netloc)

    @property
    def who(self) -> str:
        """The user, "" for nobody."""
        return self._credential.username if self._credential else ""

    def prove(self) -> None:
        """Sign in; raises Denied where Docker Hub doesn't take the credential."""
        self._authorization(refused_header="")

    def request(self, method: str, path: str, body: Any = None) -> Response:
        """One request; `path` below the base, or an absolute address on its origin. A 401 is tried once more."""
        url = urljoin(f"{self.base}/", path)
        if Origin.of(url) != Origin.of(self.base):
            raise VerificationFailed(f"Docker Hub's API leads to another host: {urlsplit(url).netloc}")
        authorization = self._authorization(refused_header="")
        response = self._send(method, url, body, authorization)
        if response.status != _UNAUTHORIZED or not authorization:
            return response
        response.close()
        return self._send(method, url, body, self._authorization(refused_header=authorization))

    def pages(self, path: str, query: Mapping[str, str], shape: type[Shape], what: str) -> Iterator[Shape]:
        """The results of every page; `next` is followed on the API's own origin only, as the bearer goes with it."""
        next_path: str | None = f"{path}?{urlencode({'page_size': '100', **query})}"
        trail = PageTrail(f"Docker Hub's list of {what}", path)
        while next_path:
            trail.visit(next_path)
            with self.request("GET", next_path) as response:
                if response.status != _OK:
                    raise error_of(response, "list", what, who=self.who, right="a token with Read")
                page = decode(response, dict[str, Any])
            results = _results(page, shape, what)
            trail.count(len(results))
            yield from results
            next_path = _next_page(page, what)

    def _send(self, method: str, url: str, body: Any, authorization: str) -> Response:
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        if authorization:
            headers["Authorization"] = authorization
        content = None if body is None else msgspec.json.encode(body)
        return self._client.send(Request(method=method, url=url, headers=headers, body=content, anonymous=True))

    def _authorization(self, refused_header: str) -> str:
        """The header to send; a bearer that was refused, or is about to end, is renewed once for all threads."""
        if self._credential is None:
            return ""
        with self._lock:
            is_stale = self._clock() > self._expiry - _AHEAD
            if not self._bearer or is_stale or refused_header == f"Bearer {self._bearer}":
                self._bearer = self._sign_in(self._credential)
                self._expiry = _expiry_of(self._bearer, self._clock() + _LIFE)
            return f"Bearer {self._bearer}"

    def _sign_in(self, credential: Credential) -> str:
        pair = {"identifier": credential.username, "secret": credential.secret}
        with self._send("POST", f"{self.base}/v2/auth/token", pair, "") as response:
            if response.status in _REFUSED:
                raise Denied(
                    f"Docker Hub's API does not accept the credential of {credential.principal}: "
                    f"{message_of(response.content) or response.status}",
                    reference="hub.docker.com",
                    hint="with two-factor or single sign-on use an access token: publish login docker.io",
                )
            if response.status != _OK:
                raise error_of(response, "sign in to", "its API", who=credential.username, right="an access token")
            token = token_in(read_object(response), "access_token")
        if not token:
            raise Unreachable("Docker Hub's API answered a sign-in without a token", reference="hub.docker.com")
        self._learn(token)
        return token


def decode(response: Response, shape: type[Shape]) -> Shape:
    """An answer's JSON; raises Unreachable where it is something else."""
    try:
        return msgspec.json.decode(response.content, type=shape)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        reference = response.url.partition("?")[0]
        raise Unreachable(
            f"Docker Hub's API answered in a form that can't be read: {error}", reference=reference
        ) from error


def _results(page: dict[str, Any], shape: type[Shape], what: str) -> list[Shape]:
    try:
        return [msgspec.convert(result, shape) for result in page.get("results") or ()]
    except (msgspec.MsgspecError, TypeError) as error:
        raise Unreachable(f"Docker Hub's list of {what} can't be read: {error}") from error


def _next_page(page: dict[str, Any], what: str) -> str | None:
    following = page.get("next") or None
    if following is not None and not isinstance(following, str):
        raise Unreachable(f"Docker Hub's list of {what} can't be read to its end: its next page has no address")
    return following


def _expiry_of(token: str, default: float) -> float:
    """When a token ends, in unix seconds, as it says itself: there is no other place that tells."""
    payload = token.split(".")[1] if token.count(".") == 2 else ""  # noqa: PLR2004 - a JWT's three parts
    try:
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return float(claims["exp"])
    except (binascii.Error, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return default
