"""Tokens: made to look like a registry's, signed with a key of this run."""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import secrets
import time
from typing import TYPE_CHECKING, Any

from publisher.sandbox.scopes import Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class BadToken(ValueError):
    """Not one of ours, or too old."""


class Mint:
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

    def refreshed(self, token: str) -> str:
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
