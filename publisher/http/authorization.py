"""Authorisation at registries: what each asked for, and what it gets."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from publisher.http.challenge import BadChallenge, Challenge, check_realm, is_trusted, parse_challenges, widen
from publisher.http.tokens import TokenKey, Tokens, token_request
from publisher.model.errors import Denied, Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable

    from publisher.http.message import Request, Response
    from publisher.http.origin import Origin
    from publisher.http.redaction import Redactor
    from publisher.http.tls import HostSettings
    from publisher.model.credential import Credential


class Authorizer:
    """Remembers each origin's challenge, so that later requests carry their Authorization at once.

    find: the credential for (host, repository), or None. hosts: how to reach a host.
    fetch: sends a request to a token service, without any authorisation of its own; led there by an origin, or by
    nobody (None) where the configuration names the service.
    """

    def __init__(
        self,
        find: Callable[[str, str], Credential | None],
        hosts: Callable[[str], HostSettings],
        fetch: Callable[[Request, Origin | None], Response],
        redactor: Redactor,
        clock: Callable[[], float],
    ) -> None:
        self._find = find
        self._hosts = hosts
        self._fetch = fetch
        self._redactor = redactor
        self._tokens = Tokens(redactor, clock)
        self._challenges: dict[Origin, Challenge] = {}
        self._widened: dict[tuple[Origin, tuple[str, ...]], tuple[str, ...]] = {}

    def header(self, origin: Origin, request: Request) -> str | None:
        """The Authorization that `origin` is known to want; None before its first challenge."""
        challenge = self._challenges.get(origin)
        if challenge is None:
            return None
        return self._authorize(origin, request, challenge, refused_header=None)

    def answer(self, origin: Origin, request: Request, refusal: Response, previous: str | None) -> str | None:
        """The Authorization to try after a 401 of `previous`; None where nothing better can be had."""
        challenge = _choose_challenge(origin, refusal)
        if challenge is None:
            return None
        first = self._challenges.setdefault(origin, challenge)
        if first.scheme == challenge.scheme == "bearer" and first.realm != challenge.realm:
            raise Denied(f"{origin.netloc} changed its token service in mid-run", reference=origin.netloc)
        if request.scopes:
            wider = widen(self._widened.get((origin, request.scopes), request.scopes), challenge.scopes)
            self._widened[origin, request.scopes] = wider
        authorization = self._authorize(origin, request, challenge, refused_header=previous)
        return None if authorization == previous else authorization

    def _authorize(
        self, origin: Origin, request: Request, challenge: Challenge, refused_header: str | None
    ) -> str | None:
        host = urlsplit(request.url).netloc
        credential = None if request.anonymous else self._find(host, request.repository)
        if credential:
            if not credential.known:
                self._redactor.learn(credential.secret, credential.username)
            self._check_transport(origin, host)
        if credential and credential.is_registry_token and challenge.scheme == "bearer":
            return f"Bearer {credential.secret}"
        if challenge.scheme == "basic":
            return _basic(credential, origin) if credential else None
        return self._bearer(origin, host, request, challenge, credential, refused_header)

    def _check_transport(self, origin: Origin, host: str) -> None:
        if origin.scheme == "http" and not origin.is_loopback and not self._hosts(host).insecure:
            raise Denied(f"{host} is reached without TLS: no credentials are sent there", reference=host)

    def _bearer(
        self,
        origin: Origin,
        host: str,
        request: Request,
        challenge: Challenge,
        credential: Credential | None,
        refused_header: str | None,
    ) -> str:
        scopes = self._widened.get((origin, request.scopes), request.scopes) or challenge.scopes
        key = TokenKey(origin, challenge.service, request.repository, credential is None, scopes)

        def request_token() -> tuple[Response, str]:
            trusted = self._hosts(host).trusted_realms
            service = check_realm(challenge.realm, origin, trusted, anonymous=credential is None)
            token_query = token_request(challenge, scopes, credential, _token_login(credential, origin))
            return self._fetch(token_query, None if is_trusted(service, trusted) else origin), _principal(credential)

        return self._tokens.header(key, refused_header, request_token)


def _choose_challenge(origin: Origin, refusal: Response) -> Challenge | None:
    try:
        challenges = parse_challenges(refusal.headers.get("WWW-Authenticate", ""))
    except BadChallenge as error:
        message = f"{origin.netloc} asks for a login in a form that can't be read: {error}"
        raise Unreachable(message, reference=origin.netloc) from error
    by_scheme = {challenge.scheme: challenge for challenge in reversed(challenges)}
    preferred = by_scheme.get("bearer") or by_scheme.get("basic")
    if challenges and preferred is None:
        raise Denied(
            f"{origin.netloc} asks for '{challenges[0].scheme}' authorisation, which publish doesn't speak",
            reference=origin.netloc,
        )
    return preferred


def _basic(credential: Credential, origin: Origin) -> str:
    if credential.is_identity_token or credential.is_registry_token:
        kind = "an identity token" if credential.is_identity_token else "a registry token"
        message = f"{origin.netloc} wants a password, and only {kind} is stored"
        raise Denied(message, reference=origin.netloc)
    pair = f"{credential.username}:{credential.secret}".encode()
    return "Basic " + base64.b64encode(pair).decode()


def _token_login(credential: Credential | None, origin: Origin) -> str:
    return "" if credential is None or credential.is_identity_token else _basic(credential, origin)


def _principal(credential: Credential | None) -> str:
    return credential.principal if credential else "an anonymous user"
