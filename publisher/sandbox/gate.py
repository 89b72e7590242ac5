"""The gate: who asks, what they may do, and the token service that says so."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

from starlette.responses import JSONResponse, Response

from publisher.sandbox.answers import Refusal
from publisher.sandbox.bodies import read_whole
from publisher.sandbox.scopes import Scope
from publisher.sandbox.tokens import BadToken, Mint, read_basic

if TYPE_CHECKING:
    from starlette.requests import Request

    from publisher.sandbox.options import Options
    from publisher.sandbox.routes import Route

SERVICE: Final = "publish-sandbox"
_LARGEST_FORM: Final = 64 << 10


class Gate:
    """Checks requests, and gives out tokens at `/token` (distribution's "Token authentication")."""

    def __init__(self, url: str, options: Options) -> None:
        self._realm = f"{url}/token"
        self._options = options
        self.mint = Mint(options.token_life)

    def check(self, request: Request, route: Route | None) -> None:
        """Let a request pass, or raise Refusal; `route` None is the ping, which any token opens."""
        if not self._options.auth:
            return
        needed = route.scopes(request) if route else ()
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer":
            raise self._challenge(needed, "")
        try:
            granted = self.mint.scopes(token.strip())
        except BadToken as error:
            raise self._challenge(needed, "invalid_token") from error
        if not all(scope.within(granted) for scope in needed):
            raise self._challenge(needed, "insufficient_scope")

    def _challenge(self, needed: tuple[Scope, ...], error: str) -> Refusal:
        said = f'Bearer realm="{self._realm}",service="{SERVICE}"'
        if needed:
            said += f',scope="{" ".join(map(str, needed))}"'
        if error:
            said += f',error="{error}"'
        detail = [
            {"Type": "repository", "Name": scope.name, "Action": action}
            for scope in needed
            for action in sorted(scope.actions)
        ]
        headers = {"WWW-Authenticate": said}
        return Refusal(401, "UNAUTHORIZED", "authentication required", headers=headers, detail=detail)

    async def give(self, request: Request) -> Response:
        """Answer `/token`: GET with Basic or nothing, or OAuth2's POST; raises Refusal."""
        if request.method == "GET":
            return self._give_by_get(request)
        if request.method == "POST":
            return self._give_by_post(
                dict(parse_qsl((await read_whole(request, _LARGEST_FORM)).decode("utf-8", "replace")))
            )
        raise Refusal(405, "UNSUPPORTED", f"{request.method} is not for tokens")

    def _give_by_get(self, request: Request) -> Response:
        user = self._signed_in(request.headers.get("authorization"))
        wanted = " ".join(request.query_params.getlist("scope"))
        answer = self._answer(user, wanted, offline=request.query_params.get("offline_token") == "true")
        return JSONResponse({**answer, "token": answer["access_token"]})

    def _give_by_post(self, form: dict[str, str]) -> Response:
        if form.get("grant_type") == "refresh_token":
            try:
                user = self.mint.refreshed(form.get("refresh_token", ""))
            except BadToken as error:
                raise _denied() from error
        elif form.get("grant_type") == "password":
            user = self._proven(form.get("username", ""), form.get("password", ""))
        else:
            raise Refusal(400, "UNSUPPORTED", "grant_type is neither password nor refresh_token")
        answer = self._answer(user, form.get("scope", ""), offline=form.get("access_type") == "offline")
        return JSONResponse(answer)

    def _signed_in(self, header: str | None) -> str:
        """The user's name, "" for nobody; half a header is no anonymous request."""
        if header is None:
            return ""
        pair = read_basic(header)
        if pair is None:
            raise _denied()
        return self._proven(*pair)

    def _proven(self, name: str, password: str) -> str:
        if not self._options.proves(name, password):
            raise _denied()
        return name

    def _answer(self, user: str, wanted: str, *, offline: bool) -> dict[str, Any]:
        rights = self._options.users[user].rights if user else self._options.anonymous
        asked = [scope for scope in map(Scope.parse, wanted.split()) if scope]
        granted = [scope for scope in (one.narrowed(rights) for one in asked) if scope.actions]
        answer = {
            "access_token": self.mint.access(user, granted),
            "expires_in": self._options.token_life,
            "issued_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "scope": " ".join(map(str, granted)),
        }
        return {**answer, "refresh_token": self.mint.refresh(user)} if offline and user else answer


def _denied() -> Refusal:
    headers = {"WWW-Authenticate": f'Basic realm="{SERVICE}"'}
    return Refusal(401, "UNAUTHORIZED", "incorrect username or password", headers=headers)
