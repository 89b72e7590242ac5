"""Authorisation at registries: Basic, and Bearer by a token service."""

from __future__ import annotations

import base64
import re
import threading
import time
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit, urlunsplit

import msgspec

from publisher.http.challenge import BadChallenge, Challenge, parse_challenges
from publisher.http.message import Request, Response
from publisher.http.origin import Origin
from publisher.http.realm import check_realm, may_ask_anonymously
from publisher.model.errors import Denied, Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from publisher.http.redaction import Redactor
    from publisher.model.credential import Credential

# The token spec's default, for services that don't say; and the share of a token's life after which a new one is got.
_DEFAULT_LIFE = 60.0
_RENEW_AT = 0.8
_TOKEN = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True)
class _Token:
    header: str
    expires: float


class Authorizer:
    """Remembers what each origin asked for and the tokens got there; in memory only.

    find: the credential for (host, repository), or None. trusted: a host's `trusted-realms`.
    fetch: sends a request to a token service, without any authorisation of its own.
    """

    def __init__(
        self,
        find: Callable[[str, str], Credential | None],
        trusted: Callable[[str], Collection[str]],
        fetch: Callable[[Request], Response],
        redactor: Redactor,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._find = find
        self._trusted = trusted
        self._fetch = fetch
        self._redactor = redactor
        self._clock = clock
        self._challenges: dict[Origin, Challenge] = {}
        self._tokens: dict[tuple[Origin, str, tuple[str, ...]], _Token] = {}
        self._locks: dict[tuple[Origin, str, tuple[str, ...]], threading.Lock] = defaultdict(threading.Lock)

    def header(self, origin: Origin, request: Request) -> str | None:
        """The Authorization that `origin` is known to want; None before its first challenge."""
        challenge = self._challenges.get(origin)
        if challenge is None or (request.anonymous and challenge.scheme == "basic"):
            return None
        return self._authorize(origin, request, challenge, refused=None)

    def answer(self, origin: Origin, request: Request, refusal: Response, used: str | None) -> str | None:
        """The Authorization to try after a 401; None where nothing better can be had. `used` is what was refused."""
        challenge = self._choose(origin, refusal)
        if challenge is None:
            return None
        known = self._challenges.setdefault(origin, challenge)
        if known.scheme == challenge.scheme == "bearer" and known.realm != challenge.realm:
            raise Denied(f"{origin.netloc} changed its token service in mid-run", reference=origin.netloc)
        found = self._authorize(origin, request, challenge, refused=used)
        return None if found == used else found

    def _choose(self, origin: Origin, refusal: Response) -> Challenge | None:
        try:
            offered = parse_challenges(refusal.headers.get("WWW-Authenticate", ""))
        except BadChallenge as error:
            raise Unreachable(f"{origin.netloc} asks for a login in a form that can't be read: {error}") from error
        by_scheme = {challenge.scheme: challenge for challenge in reversed(offered)}
        chosen = by_scheme.get("bearer") or by_scheme.get("basic")
        if offered and chosen is None:
            raise Denied(
                f"{origin.netloc} asks for '{offered[0].scheme}' authorisation, which publish doesn't speak",
                reference=origin.netloc,
            )
        return chosen

    def _authorize(self, origin: Origin, request: Request, challenge: Challenge, refused: str | None) -> str | None:
        if challenge.scheme == "basic":
            credential = None if request.anonymous else self._find(origin.netloc, request.repository)
            return self._basic(credential, origin) if credential else None
        return self._bearer(origin, request, challenge, refused)

    def _basic(self, credential: Credential, origin: Origin) -> str:
        if credential.is_identity_token:
            raise Denied(
                f"{origin.netloc} wants a password, and only an identity token is stored", reference=origin.netloc
            )
        self._redactor.learn(credential.secret, credential.username)
        pair = f"{credential.username}:{credential.secret}".encode()
        return "Basic " + base64.b64encode(pair).decode()

    def _bearer(self, origin: Origin, request: Request, challenge: Challenge, refused: str | None) -> str:
        scopes = tuple(dict.fromkeys((*request.scopes, *challenge.scopes))) if refused else request.scopes
        scopes = scopes or challenge.scopes
        key = (origin, "" if not request.anonymous else "anonymous", scopes)
        with self._locks[key]:
            token = self._tokens.get(key)
            if token is None or token.header == refused or self._clock() >= token.expires:
                token = self._fetch_token(origin, request, challenge, scopes)
                self._tokens[key] = token
                self._tokens.setdefault((origin, key[1], request.scopes), token)
            return token.header

    def _fetch_token(self, origin: Origin, request: Request, challenge: Challenge, scopes: tuple[str, ...]) -> _Token:
        credential = None if request.anonymous else self._find(origin.netloc, request.repository)
        if credential is not None:
            check_realm(challenge.realm, origin, self._trusted(origin.netloc))
            self._redactor.learn(credential.secret, credential.username)
        elif not may_ask_anonymously(challenge.realm, origin):
            check_realm(challenge.realm, origin, self._trusted(origin.netloc))
        if credential is not None and credential.is_identity_token:
            answer = self._fetch(_refresh(challenge, scopes, credential))
        else:
            answer = self._fetch(self._ask(challenge, scopes, credential, origin))
        with answer:
            return self._read(answer, origin, credential)

    def _ask(
        self, challenge: Challenge, scopes: tuple[str, ...], credential: Credential | None, origin: Origin
    ) -> Request:
        parts = urlsplit(challenge.realm)
        pairs = [("service", challenge.service)] if challenge.service else []
        pairs += [("scope", scope) for scope in scopes]
        if credential:
            pairs.append(("account", credential.username))
        query = "&".join(filter(None, (parts.query, urlencode(pairs))))
        headers = {"Authorization": self._basic(credential, origin)} if credential else {}
        return Request(method="GET", url=urlunsplit(parts._replace(query=query)), headers=headers)

    def _read(self, answer: Response, origin: Origin, credential: Credential | None) -> _Token:
        who = f"{credential.username} (from {credential.source})" if credential else "an anonymous user"
        if answer.status in {400, 401, 403, 404}:
            raise Denied(
                f"{Origin.of(answer.url).netloc} gives {who} no token for {origin.netloc}",
                reference=origin.netloc,
                hint="check user name and token; with two-factor login a personal access token is needed",
            )
        if answer.status >= 300:  # noqa: PLR2004 - anything but success
            raise Unreachable(f"{Origin.of(answer.url).netloc} answers {answer.status} instead of a token")
        document = _object(answer)
        text = document.get("access_token") or document.get("token")
        if not isinstance(text, str) or not _TOKEN.fullmatch(text):
            raise Unreachable(f"{Origin.of(answer.url).netloc} answers without a token that can be used")
        self._redactor.learn(text)
        life = document.get("expires_in")
        seconds = float(life) if isinstance(life, int | float) and life > 0 else _DEFAULT_LIFE
        return _Token(f"Bearer {text}", self._clock() + seconds * _RENEW_AT)


def _refresh(challenge: Challenge, scopes: tuple[str, ...], credential: Credential) -> Request:
    """OAuth2's refresh form, the only one in which an identity token may be sent."""
    form = {
        "grant_type": "refresh_token",
        "refresh_token": credential.secret,
        "service": challenge.service,
        "client_id": "publish",
        "scope": " ".join(scopes),
    }
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return Request(method="POST", url=challenge.realm, headers=headers, body=urlencode(form).encode())


def _object(answer: Response) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(answer.content)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}
    return found if isinstance(found, dict) else {}
