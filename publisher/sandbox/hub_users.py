"""Who signs in to the sandbox's Docker Hub, and what their tokens allow."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final
from uuid import NAMESPACE_URL, uuid5

from publisher.sandbox.auth import BadToken
from publisher.sandbox.options import RIGHTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from publisher.sandbox.auth import TokenIssuer
    from publisher.sandbox.options import Options

# A higher scope includes the lower ones.
SCOPES: Final = tuple(RIGHTS)
_NEEDED: Final = {"read": "repo:read", "write": "repo:write", "admin": "repo:admin"}


class HubApiError(Exception):
    """An error answer in one of the API's shapes: with `errinfo`, with `fields`, or with neither."""

    def __init__(
        self,
        status: int,
        message: str = "",
        *,
        errinfo: dict[str, Any] | None = None,
        fields: dict[str, list[str]] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.headers = status, headers
        texts: dict[str, Any] = {"detail": message, "message": message}
        self.document = {"fields": fields, "text": "invalid request"} if fields else texts
        if errinfo is not None:
            self.document = {"errinfo": errinfo, **texts}


class HubUsers:
    """Checks bearers of the API; they are of another kind than the registry's tokens."""

    def __init__(self, options: Options, issuer: TokenIssuer) -> None:
        self._options, self._issuer = options, issuer

    def sign_in(self, identifier: object, secret: object) -> str:
        """A bearer; raises HubApiError."""
        if not self._options.proves(str(identifier), str(secret)):
            raise HubApiError(401, "incorrect authentication credentials", errinfo={})
        return self._issuer.bearer(str(identifier))

    def user_of(self, request: Request) -> str:
        """The user's name; raises HubApiError for nobody, or a bearer that isn't valid."""
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer":
            raise HubApiError(401, "authentication credentials were not provided", errinfo={})
        try:
            return self._issuer.bearer_of(token.strip())
        except BadToken as error:
            raise HubApiError(401, f"the token is not valid: {error}", errinfo={}) from error

    def check(self, request: Request, name: str, right: str) -> None:
        """Raise HubApiError unless whoever asks has the right to the repository."""
        self.user_of(request)
        if not self.may(request, name, right):
            raise HubApiError(403, "insufficient permissions", errinfo={})

    def may(self, request: Request, name: str, right: str) -> bool:
        """Whether whoever asks has the right; a bearer that isn't valid has none."""
        try:
            user = self._options.users[self.user_of(request)]
        except HubApiError:
            return False
        enough = SCOPES.index(user.scope) >= SCOPES.index(_NEEDED[right])
        return enough and any(fnmatchcase(name, pattern) for pattern in user.repositories)

    def refuse_organizations(self, request: Request) -> None:
        """The older routes take no organization's token, whatever its scopes."""
        if "authorization" in request.headers and self._options.users[self.user_of(request)].is_organization:
            raise HubApiError(403, "token issued from organization access token is not allowed", errinfo={})

    def tokens_of(self, name: str) -> list[dict[str, Any]]:
        """A user's personal access tokens: the one that signs in. The secret is never told."""
        user = self._options.users[name]
        label = {"uuid": str(uuid5(NAMESPACE_URL, name)), "token_label": "sandbox"}
        times = {"created_at": None, "last_used": None, "expires_at": None}
        return [{**label, **times, "scopes": [user.scope], "is_active": True, "token": ""}]

    def organization_tokens(self, name: str) -> list[dict[str, Any]]:
        """An organization's access tokens."""
        user = self._options.users[name]
        resources = [{"type": "TYPE_REPO", "path": path, "scopes": [user.scope]} for path in user.repositories]
        times = {"created_at": None, "last_used_at": None, "expires_at": None}
        return [
            {"id": name, "label": "sandbox", "created_by": name, "is_active": True, "resources": resources, **times}
        ]
