"""Bearer tokens: got from a token service, kept in memory until shortly before they end."""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit, urlunsplit

import msgspec

from publisher.http.limits import ERROR_CAP
from publisher.http.message import Request, Response
from publisher.http.origin import Origin
from publisher.model.credential import IDENTITY_TOKEN_USER
from publisher.model.errors import Denied, Unreachable
from publisher.model.reference import DOCKER_HUB, HUB_REGISTRY
from publisher.model.value import Value

if TYPE_CHECKING:
    from collections.abc import Callable

    from publisher.http.challenge import Challenge
    from publisher.http.redaction import Redactor
    from publisher.model.credential import Credential

# The token spec's default, for services that don't say; and the share of a token's life after which a new one is got.
_DEFAULT_LIFE = 60.0
_RENEW_AT = 0.8
# More is no believable life, and JSON's numbers may be too large for a float.
_LONGEST_LIFE = 366 * 86400.0
_TOKEN = re.compile(r"[\x21-\x7e]+")
_REFUSED = frozenset({400, 401, 403, 404, 405})
_UNAUTHORIZED = 401
_CLIENT = "publish"


class TokenKey(Value, frozen=True):
    """A token that is wanted: who is, for which registry, with which scopes. Keys the tokens in memory.

    repository: the path that the credential was looked up with.
    """

    registry: Origin
    service: str
    repository: str
    anonymous: bool
    scopes: tuple[str, ...]


class _Token(Value, frozen=True):
    header: str
    renewal: float


class _TokenSlot:
    """The place of one token; its lock makes a storm of refusals one renewal."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.token: _Token | None = None


class Tokens:
    """The run's tokens. clock: monotonic seconds, so that a wrong wall clock does no harm."""

    def __init__(self, redactor: Redactor, clock: Callable[[], float]) -> None:
        self._redactor = redactor
        self._clock = clock
        self._slots: dict[TokenKey, _TokenSlot] = {}
        self._lock = threading.Lock()

    def header(self, key: TokenKey, refused_header: str | None, fetch: Callable[[], tuple[Response, str]]) -> str:
        """The Authorization for `key`; a new one where the one in memory ends soon or is `refused_header`.

        fetch: asks the token service; returns its answer, and who asked, for the message.
        """
        with self._lock:
            slot = self._slots.setdefault(key, _TokenSlot())
        with slot.lock:
            token = slot.token
            if token is None or token.header == refused_header or self._clock() >= token.renewal:
                token = slot.token = self._read(key, *fetch())
            return token.header

    def _read(self, key: TokenKey, response: Response, who: str) -> _Token:
        with response:
            _check_status(response, key, who)
            document = read_object(response)
        text = token_in(document, "access_token", "token")
        if not text:
            raise Unreachable(
                f"{Origin.of(response.url).netloc} answers without a token that can be used",
                reference=key.registry.netloc,
            )
        self._redactor.learn(text)
        return _Token(f"Bearer {text}", self._clock() + _life(document) * _RENEW_AT)


def token_in(document: dict[str, Any], *names: str) -> str:
    """The token under the first of `names` that holds anything; "" where a header can't carry it."""
    text = next((value for name in names if (value := document.get(name))), "")
    return text if isinstance(text, str) and is_token(text) else ""


def is_token(text: str) -> bool:
    """Whether a header can carry it."""
    return bool(_TOKEN.fullmatch(text))


def token_request(challenge: Challenge, scopes: tuple[str, ...], credential: Credential | None, basic: str) -> Request:
    """The request to a token service. basic: the Authorization for it, empty for an anonymous one.

    An identity token goes by OAuth2's refresh form, the only one in which it may be sent; a password never does.
    Source: distribution, "Token Authentication Specification" and "OAuth2".
    """
    if credential is not None and credential.is_identity_token:
        return _refresh(challenge, scopes, credential)
    parts = urlsplit(challenge.realm)
    pairs = [("service", challenge.service)] if challenge.service else []
    pairs += [("scope", scope) for scope in scopes]
    pairs += [("account", credential.username)] if credential else []
    query = "&".join(filter(None, (parts.query, urlencode([*pairs, ("client_id", _CLIENT)]))))
    url = urlunsplit(parts._replace(query=query, fragment=""))
    return Request(method="GET", url=url, headers={"Authorization": basic} if basic else {}, most=ERROR_CAP)


def _refresh(challenge: Challenge, scopes: tuple[str, ...], credential: Credential) -> Request:
    form = {
        "grant_type": "refresh_token",
        "refresh_token": credential.secret,
        "service": challenge.service,
        "client_id": _CLIENT,
        "scope": " ".join(scopes),
    }
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    body = urlencode(form).encode()
    return Request(method="POST", url=challenge.realm, headers=headers, body=body, most=ERROR_CAP)


def _check_status(response: Response, key: TokenKey, who: str) -> None:
    service, registry = Origin.of(response.url).netloc, key.registry.netloc
    if response.status in _REFUSED:
        target = DOCKER_HUB if registry == HUB_REGISTRY else registry
        message = f"{service} gives {who} no token for {registry} (HTTP {response.status})"
        if response.status == _UNAUTHORIZED and not key.anonymous:
            secret = "token" if who.startswith(IDENTITY_TOKEN_USER) else "user name and password"
            message = f"{service} does not accept the {secret} of {who} for {registry} (HTTP 401)"
        hint = "" if key.anonymous else "; with two-factor login a personal access token is needed"
        raise Denied(message, reference=registry, hint=f"sign in: publish login {target}{hint}")
    if response.status >= 300:  # noqa: PLR2004 - anything but success
        raise Unreachable(f"{service} answers {response.status} instead of a token", reference=registry)


def _life(document: dict[str, Any]) -> float:
    """Seconds that a token lives, counted from its receipt: `issued_at` is by another clock."""
    seconds = document.get("expires_in")
    if isinstance(seconds, int | float) and not isinstance(seconds, bool) and 0 < seconds <= _LONGEST_LIFE:
        return float(seconds)
    return _DEFAULT_LIFE


def read_object(response: Response) -> dict[str, Any]:
    """An answer's JSON object; empty where it is none."""
    try:
        document = msgspec.json.decode(response.content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
