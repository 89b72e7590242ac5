"""The client: one way out, in layers."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import urllib3

from publisher import __version__
from publisher.http.authorization import Authorizer
from publisher.http.connection import ConnectionPool
from publisher.http.errors import explain
from publisher.http.limits import MOST_REDIRECTS
from publisher.http.message import Request, Response
from publisher.http.origin import Origin, follow, is_inner, without_secrets
from publisher.http.redaction import Redactor
from publisher.http.retry import Retrier, RetryPolicy
from publisher.http.scheme import Schemes
from publisher.model.errors import Unreachable, VerificationFailed

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from publisher.http.tls import HostSettings
    from publisher.model.credential import Credential

_UNAUTHORIZED = 401
# 301, 302 and 303 turn other methods into a GET, whose success would say nothing about what was asked for.
_REDIRECTS = {
    301: {"GET", "HEAD"},
    302: {"GET", "HEAD"},
    303: {"GET", "HEAD"},
    307: {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"},
    308: {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"},
}
_OURS = {"User-Agent": f"publish/{__version__}", "Accept": "*/*", "Accept-Encoding": "identity"}


class Client:
    """Sends requests: redirects, authorisation, retries and waits are done here; final statuses are returned.

    credentials: the credential for (host, repository). hosts: how to reach a host[:port].
    trace: takes one line for each request sent, redacted. wires: makes the connections to an origin (a seam for tests).
    """

    def __init__(
        self,
        credentials: Callable[[str, str], Credential | None],
        hosts: Callable[[str], HostSettings],
        *,
        trace: Callable[[str], None] | None = None,
        retry_policy: RetryPolicy | None = None,
        redactor: Redactor | None = None,
        wires: Callable[[str, ssl.SSLContext | None, Callable[[str], None]], ConnectionPool] = ConnectionPool,
    ) -> None:
        self._credentials = credentials
        self._hosts = hosts
        self._trace = trace
        self._make_wire = wires
        self.redactor = redactor or Redactor()
        retry_policy = retry_policy or RetryPolicy()
        self._persistence = Retrier(retry_policy)
        self._schemes = Schemes(hosts)
        self._authorizer = Authorizer(credentials, hosts, self._fetch, self.redactor, retry_policy.clock)
        self._wires: dict[tuple[Origin, bool], ConnectionPool] = {}
        self._contexts: dict[HostSettings, ssl.SSLContext] = {}
        self._inner: set[str] = set()
        self._lock = threading.Lock()

    def base_url(self, host: str) -> str:
        """`https://host`, or `http://host` where plain HTTP is allowed: on loopback, or by the configuration."""
        return f"{self._schemes.of(host)}://{host}"

    def principal(self, host: str, repository: str = "") -> str:
        """Who we are at `host`, for messages."""
        credential = self._credentials(host, repository)
        return f"{credential.username} (from {credential.source})" if credential else "anonymous"

    def has_credentials(self, host: str, repository: str = "") -> bool:
        """Whether anything but anonymous requests can be sent there."""
        return self._credentials(host, repository) is not None

    def send(self, request: Request) -> Response:
        """Send with the authorisation that the host asks for; returns any final answer, 401 and 403 too.

        Raises Unreachable, TlsFailed or QuotaUsedUp where there is none, ConnectionLost for a body sent only once,
        VerificationFailed for a redirect that must not be followed, Denied for a login that must not be made.
        """
        if request.bare:
            return self._persist(request, None)
        header = self._authorizer.header(Origin.of(self._schemes.current(request.url)), request)
        response = self._persist(request, header)
        # A scheme that was found out on the way changes the origin.
        origin = Origin.of(self._schemes.current(request.url))
        if response.status != _UNAUTHORIZED or not request.repeatable or Origin.of(response.url) != origin:
            return response
        better = self._authorizer.answer(origin, request, response, header)
        if better is None:
            return response
        response.close()
        return self._persist(request, better)

    def _persist(self, request: Request, authorization: str | None) -> Response:
        host = urlsplit(request.url).netloc
        return self._persistence.send(host, lambda: self._follow(request, authorization), repeatable=request.repeatable)

    def _fetch(self, request: Request, led_by: Origin | None) -> Response:
        """A request to a token service: its own Authorization, never a redirect."""
        host = urlsplit(request.url).netloc
        headers = dict(request.headers)
        return self._persistence.send(
            host, lambda: self._transmit(request, request.url, headers, guarded=self._guard(led_by)), repeatable=True
        )

    def _follow(self, request: Request, authorization: str | None) -> Response:
        headers = dict(request.headers)
        if authorization:
            headers["Authorization"] = authorization
        url, guarded = self._schemes.current(request.url), self._is_stray(request)
        for _hop in range(MOST_REDIRECTS + 1):
            response = self._exchange(request, url, headers, guarded=guarded)
            location = response.headers.get("Location")
            if not location or not request.repeatable or request.method not in _REDIRECTS.get(response.status, ()):
                return response
            response.close()
            before = Origin.of(response.url)
            url = follow(response.url, location)
            if Origin.of(url) != before:
                headers = without_secrets(headers)
            guarded = guarded or (Origin.of(url).host != before.host and self._guard(before))
        host = urlsplit(request.url).netloc
        raise Unreachable(f"{host} leads on and on: more than {MOST_REDIRECTS} redirects", reference=host)

    def _guard(self, led_by: Origin | None) -> bool:
        """Whether the host that `led_by` leads to must be a public one."""
        return led_by is not None and not is_inner(led_by.host) and led_by.host not in self._inner

    def _is_stray(self, request: Request) -> bool:
        """Whether a request goes where a registry pointed, see Request."""
        host = urlsplit(request.url).netloc
        is_named = not request.anonymous or self._schemes.named(host)
        return not (is_named or self._inner or is_inner(Origin.of(request.url).host))

    def _exchange(self, request: Request, url: str, headers: dict[str, str], *, guarded: bool) -> Response:
        """One request on the wire; a first answer may show that the host speaks the other scheme."""
        if self._persistence.knows(urlsplit(url).netloc):
            return self._transmit(request, url, headers, guarded=guarded)
        try:
            response = self._transmit(request, url, headers, guarded=guarded)
        except Unreachable as error:
            other = self._schemes.other_after(url, error) if request.repeatable else None
            if other is None:
                raise
            return self._try_other(request, url, other, headers, error)
        other = self._schemes.other_for(url, response) if request.repeatable else None
        return self._transmit(request, other, headers, guarded=guarded) if other else response

    def _try_other(
        self, request: Request, url: str, other: str, headers: dict[str, str], error: Unreachable
    ) -> Response:
        try:
            return self._transmit(request, other, _without_login(headers, url, other), guarded=False)
        except Unreachable:
            self._schemes.back(url)
            raise error from None

    def _transmit(self, request: Request, url: str, headers: dict[str, str], *, guarded: bool) -> Response:
        origin = Origin.of(url)
        began = time.perf_counter()
        try:
            raw = self._wire(origin, url, guarded=guarded).send(request.method, url, _OURS | headers, request.body)
            response = Response(raw, url, stream=request.stream, most=request.most)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            self._note(request.method, url, type(error).__name__, began)
            raise explain(error, origin.netloc, once=not request.repeatable) from None
        self._note(request.method, url, str(response.status), began)
        return response

    def _note(self, method: str, url: str, result: str, began: float) -> None:
        if self._trace:
            spent = (time.perf_counter() - began) * 1000
            self._trace(f"{method} {self.redactor.url(url)} -> {result} ({spent:.0f} ms)")

    def _wire(self, origin: Origin, url: str, *, guarded: bool) -> ConnectionPool:
        """Connections of one origin: what is trusted for one is never trusted for another (CVE-2024-35195)."""
        key = (origin, guarded)
        with self._lock:
            if key not in self._wires:
                seen = self._watch(origin, guarded=guarded)
                self._wires[key] = self._make_wire(url, self._context(origin, url), seen)
            return self._wires[key]

    def _context(self, origin: Origin, url: str) -> ssl.SSLContext | None:
        if origin.scheme != "https":
            return None
        settings = self._hosts(urlsplit(url).netloc)
        if settings.insecure:
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        if settings not in self._contexts:
            self._contexts[settings] = settings.context()
        return self._contexts[settings]

    def _watch(self, origin: Origin, *, guarded: bool) -> Callable[[str], None]:
        """Names can be made to mean inner addresses: only the one connected to tells."""

        def seen(address: str) -> None:
            if not is_inner(address):
                return
            if guarded:
                said = f"a registry leads into a private network: {origin.host} is {address}"
                raise VerificationFailed(said, reference=origin.netloc)
            self._inner.add(origin.host)

        return seen

    def close(self) -> None:
        """Close all connections."""
        for wire in self._wires.values():
            wire.close()


def _without_login(headers: dict[str, str], url: str, other: str) -> dict[str, str]:
    """Another scheme is another origin: what was meant for the one isn't sent to the other."""
    return headers if urlsplit(url).scheme == urlsplit(other).scheme else without_secrets(headers)
