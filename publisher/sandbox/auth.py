"""Authentication: who asks, what they may do, and the token service that says so."""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import secrets
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

from starlette.responses import JSONResponse, Response

from publisher.sandbox.http import Refusal, read_whole
from publisher.sandbox.routes import Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from starlette.requests import Request

    from publisher.sandbox.options import Options
    from publisher.sandbox.routes import ApiRoute


class BadToken(ValueError):
    """Not one of ours, or too old."""


class TokenIssuer:
    """Makes and reads tokens; access tokens live `life` seconds, refresh tokens as long as the sandbox."""

    def __init__(self, life: int, clock: Callable[[], float] = time.time) -> None:
        self._life, self._clock = life, clock
        self._key = secrets.token_bytes(32)

    def access(self, user: str, scopes: Iterable[Scope]) -> str:
        """A token for the registry."""
        expires = int(self._clock()) + self._life
        return self._sign({"sub": user, "exp": expires, "access": [scope.claim() for scope in scopes]})

    def refresh(self, user: str) -> str:
        """A token for more tokens."""
        return self._sign({"sub": user, "use": "refresh"})

    def scopes(self, token: str) -> tuple[Scope, ...]:
        """What an access token allows; raises BadToken."""
        claims = self._claims(token)
        if claims.get("exp", 0) <= self._clock():
            raise BadToken("the token has expired")
        if "access" not in claims:
            raise BadToken("the token is for another service")
        return tuple(Scope.of_claim(claim) for claim in claims["access"])

    def bearer(self, user: str) -> str:
        """A token for Docker Hub's API, which the registry doesn't take; it lives ten minutes."""
        return self._sign({"sub": user, "use": "hub", "exp": int(self._clock()) + 600})

    def bearer_of(self, token: str) -> str:
        """Whose bearer it is; raises BadToken."""
        claims = self._claims(token)
        if claims.get("use") != "hub" or claims["exp"] <= self._clock():
            raise BadToken("it is no bearer of this API, or too old")
        return str(claims["sub"])

    def refresh_user(self, token: str) -> str:
        """Whose refresh token it is; raises BadToken."""
        claims = self._claims(token)
        if claims.get("use") != "refresh":
            raise BadToken("it is no refresh token")
        return str(claims["sub"])

    def _sign(self, claims: dict[str, Any]) -> str:
        head = {"typ": "JWT", "alg": "HS256"}
        content = ".".join(_encode(json.dumps(part).encode()) for part in (head, claims))
        return f"{content}.{self._signature(content)}"

    def _signature(self, content: str) -> str:
        return _encode(hmac.digest(self._key, content.encode(), "sha256"))

    def _claims(self, token: str) -> dict[str, Any]:
        content, _, signature = token.rpartition(".")
        if not token.isascii() or not hmac.compare_digest(signature, self._signature(content)):
            raise BadToken("the token isn't this sandbox's")
        claims = json.loads(_decode(content.partition(".")[2]))
        assert isinstance(claims, dict)  # noqa: S101 - by its signature
        return claims


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def read_basic(header: str) -> tuple[str, str] | None:
    """User and password of an Authorization header; None where it holds none."""
    kind, _, text = header.partition(" ")
    try:
        raw = base64.b64decode(text.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    user, colon, password = raw.partition(":")
    return (user, password) if kind.lower() == "basic" and colon else None


SERVICE: Final = "publish-sandbox"
_LARGEST_FORM: Final = 64 << 10


class Authenticator:
    """Checks requests, and gives out tokens at `/token` (distribution's "Token authentication")."""

    def __init__(self, url: str, options: Options) -> None:
        self._realm = f"{url}/token"
        self._options = options
        self.issuer = TokenIssuer(options.token_life)

    def check(self, request: Request, route: ApiRoute | None) -> None:
        """Let a request pass, or raise Refusal; `route` None is the ping, which any token opens."""
        if not self._options.auth:
            return
        scopes = route.scopes(request) if route else ()
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer":
            raise self._challenge(scopes, "")
        try:
            granted_scopes = self.issuer.scopes(token.strip())
        except BadToken as error:
            raise self._challenge(scopes, "invalid_token") from error
        if not all(scope.within(granted_scopes) for scope in scopes):
            raise self._challenge(scopes, "insufficient_scope")

    def _challenge(self, scopes: tuple[Scope, ...], error: str) -> Refusal:
        challenge = f'Bearer realm="{self._realm}",service="{SERVICE}"'
        if scopes:
            challenge += f',scope="{" ".join(map(str, scopes))}"'
        if error:
            challenge += f',error="{error}"'
        detail = [
            {"Type": "repository", "Name": scope.name, "Action": action}
            for scope in scopes
            for action in sorted(scope.actions)
        ]
        headers = {"WWW-Authenticate": challenge}
        return Refusal(401, "UNAUTHORIZED", "authentication required", headers=headers, detail=detail)

    async def issue(self, request: Request) -> Response:
        """Answer `/token`: GET with Basic or nothing, or OAuth2's POST; raises Refusal."""
        if request.method == "GET":
            return self._issue_by_get(request)
        if request.method == "POST":
            return self._issue_by_post(
                dict(parse_qsl((await read_whole(request, _LARGEST_FORM)).decode("utf-8", "replace")))
            )
        raise Refusal(405, "UNSUPPORTED", f"{request.method} is not for tokens")

    def _issue_by_get(self, request: Request) -> Response:
        user = self._user_of(request.headers.get("authorization"))
        scope = " ".join(request.query_params.getlist("scope"))
        answer = self._answer(user, scope, offline=request.query_params.get("offline_token") == "true")
        return JSONResponse({**answer, "token": answer["access_token"]})

    def _issue_by_post(self, form: dict[str, str]) -> Response:
        if form.get("grant_type") == "refresh_token":
            try:
                user = self.issuer.refresh_user(form.get("refresh_token", ""))
            except BadToken as error:
                raise _denial() from error
        elif form.get("grant_type") == "password":
            user = self._authenticate(form.get("username", ""), form.get("password", ""))
        else:
            raise Refusal(400, "UNSUPPORTED", "grant_type is neither password nor refresh_token")
        answer = self._answer(user, form.get("scope", ""), offline=form.get("access_type") == "offline")
        return JSONResponse(answer)

    def _user_of(self, header: str | None) -> str:
        """The user's name, "" for nobody; half a header is no anonymous request."""
        if header is None:
            return ""
        pair = read_basic(header)
        if pair is None:
            raise _denial()
        return self._authenticate(*pair)

    def _authenticate(self, name: str, password: str) -> str:
        if not self._options.proves(name, password):
            raise _denial()
        return name

    def _answer(self, user: str, scope_text: str, *, offline: bool) -> dict[str, Any]:
        rights = self._options.users[user].rights if user else self._options.anonymous
        scopes = [scope for scope in map(Scope.parse, scope_text.split()) if scope]
        granted_scopes = [scope for scope in (scope.narrow(rights) for scope in scopes) if scope.actions]
        answer = {
            "access_token": self.issuer.access(user, granted_scopes),
            "expires_in": self._options.token_life,
            "issued_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "scope": " ".join(map(str, granted_scopes)),
        }
        return {**answer, "refresh_token": self.issuer.refresh(user)} if offline and user else answer


def _denial() -> Refusal:
    headers = {"WWW-Authenticate": f'Basic realm="{SERVICE}"'}
    return Refusal(401, "UNAUTHORIZED", "incorrect username or password", headers=headers)
