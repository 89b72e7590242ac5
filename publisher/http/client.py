"""The client: one way out, in layers."""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import urllib3
from msgspec.structs import replace

from publisher import __version__
from publisher.http.authorization import Authorizer
from publisher.http.connection import ConnectionPool
from publisher.http.errors import explain
from publisher.http.limits import MOST_REDIRECTS
from publisher.http.message import Request, Response
from publisher.http.origin import Origin, PrivateNetworkPolicy, follow, without_secrets
from publisher.http.redaction import Redactor
from publisher.http.retry import Retrier, RetryPolicy
from publisher.http.scheme import Schemes
from publisher.model.errors import Unreachable
from publisher.model.value import Value

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from publisher.http.tls import HostSettings
    from publisher.model.credential import Credential

_UNAUTHORIZED = 401
_UNKNOWN_ROUND_TRIP = 60.0
# 301, 302 and 303 turn other methods into a GET, whose success would say nothing about what was asked for.
_REDIRECTS = {
    301: {"GET", "HEAD"},
    302: {"GET", "HEAD"},
    303: {"GET", "HEAD"},
    307: {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"},
    308: {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"},
}
_DEFAULT_HEADERS = {"User-Agent": f"publish/{__version__}", "Accept": "*/*", "Accept-Encoding": "identity"}


class Client:
    """Sends requests: redirects, authorisation, retries and waits are done here; final statuses are returned.

    credentials: the credential for (host, repository). hosts: how to reach a host[:port].
    trace: takes one line for each request sent, redacted. pools: makes the connections to an origin (a seam for tests).
    """

    def __init__(
        self,
        credentials: Callable[[str, str], Credential | None],
        hosts: Callable[[str], HostSettings],
        *,
        trace: Callable[[str], None] | None = None,
        retry_policy: RetryPolicy | None = None,
        redactor: Redactor | None = None,
        pools: Callable[[str, ssl.SSLContext | None, Callable[[str], None]], ConnectionPool] = ConnectionPool,
    ) -> None:
        self._credentials = credentials
        self._hosts = hosts
        self._trace = trace
        self._make_pool = pools
        self.redactor = redactor or Redactor()
        retry_policy = retry_policy or RetryPolicy()
        self._retrier = Retrier(retry_policy)
        self._schemes = Schemes(hosts)
        self._authorizer = Authorizer(credentials, hosts, self._fetch, self.redactor, retry_policy.clock)
        self._network = PrivateNetworkPolicy()
        self._pools: dict[tuple[Origin, bool], ConnectionPool] = {}
        self._contexts: dict[HostSettings, ssl.SSLContext] = {}
        self._lock = threading.Lock()
        self.round_trip = _UNKNOWN_ROUND_TRIP
        """Seconds of the quickest exchange so far."""

    def base_url(self, host: str) -> str:
        """`https://host`, or `http://host` where plain HTTP is allowed: on loopback, or by the configuration."""
        return f"{self._schemes.of(host)}://{host}"

    def principal(self, host: str, repository: str = "") -> str:
        """Who we are at `host`, for messages."""
        credential = self._credentials(host, repository)
        return credential.principal if credential else "anonymous"

    def has_credentials(self, host: str, repository: str = "") -> bool:
        """Whether anything but anonymous requests can be sent there."""
        return self._credentials(host, repository) is not None

    def send(self, request: Request) -> Response:
        """Send with the authorisation that the host asks for; returns any final answer, 401 and 403 too.

        Raises Unreachable, TlsFailed or QuotaUsedUp where there is none, ConnectionLost for a body sent only once,
        VerificationFailed for a redirect that must not be followed, Denied for a login that must not be made.
        """
        if request.bare:
            return self._send_repeatedly(request, None)
        authorization = self._authorizer.header(Origin.of(self._schemes.current(request.url)), request)
        response = self._send_repeatedly(request, authorization)
        # A scheme that was found out on the way changes the origin.
        origin = Origin.of(self._schemes.current(request.url))
        if response.status != _UNAUTHORIZED or not request.repeatable or Origin.of(response.url) != origin:
            return response
        wider = self._authorizer.answer(origin, request, response, authorization)
        if wider is None:
            return response
        response.close()
        return self._send_repeatedly(request, wider)

    def _send_repeatedly(self, request: Request, authorization: str | None) -> Response:
        host = urlsplit(request.url).netloc
        return self._retrier.send(
            host, lambda: self._follow_redirects(request, authorization), repeatable=request.repeatable
        )

    def _fetch(self, request: Request, led_by: Origin | None) -> Response:
        """A request to a token service: its own Authorization, never a redirect."""
        host = urlsplit(request.url).netloc
        hop = _Hop(request, request.url, dict(request.headers), (led_by,) if led_by else ())
        return self._retrier.send(host, lambda: self._transmit(hop), repeatable=True)

    def _follow_redirects(self, request: Request, authorization: str | None) -> Response:
        hop = self._first_hop(request, authorization)
        for _redirect in range(MOST_REDIRECTS + 1):
            response = self._exchange(hop)
            location = response.headers.get("Location")
            if not location or not request.repeatable or request.method not in _REDIRECTS.get(response.status, ()):
                return response
            response.close()
            hop = hop.redirected(response.url, location)
        host = urlsplit(request.url).netloc
        raise Unreachable(f"{host} leads on and on: more than {MOST_REDIRECTS} redirects", reference=host)

    def _first_hop(self, request: Request, authorization: str | None) -> _Hop:
        headers = dict(request.headers)
        if authorization:
            headers["Authorization"] = authorization
        # An anonymous request to a host that nobody named goes where a registry pointed, see Request.
        is_named = not request.anonymous or self._schemes.is_named(urlsplit(request.url).netloc)
        return _Hop(request, self._schemes.current(request.url), headers, () if is_named else (None,))

    def _exchange(self, hop: _Hop) -> Response:
        """One request and its answer; a first answer may show that the host speaks the other scheme."""
        if self._retrier.knows(urlsplit(hop.url).netloc):
            return self._transmit(hop)
        try:
            response = self._transmit(hop)
        except Unreachable as error:
            url = self._schemes.other_after(hop.url, error) if hop.request.repeatable else None
            if url is None:
                raise
            return self._try_other_scheme(hop, url, error)
        url = self._schemes.other_for(hop.url, response) if hop.request.repeatable else None
        return self._transmit(replace(hop, url=url)) if url else response

    def _try_other_scheme(self, hop: _Hop, url: str, error: Unreachable) -> Response:
        try:
            return self._transmit(_Hop(hop.request, url, without_secrets(hop.headers)))
        except Unreachable:
            self._schemes.restore(hop.url)
            raise error from None

    def _transmit(self, hop: _Hop) -> Response:
        request, origin = hop.request, Origin.of(hop.url)
        start = time.perf_counter()
        try:
            raw = self._pool(origin, hop).send(request.method, hop.url, _DEFAULT_HEADERS | hop.headers, request.body)
            response = Response(raw, hop.url, stream=request.stream, most=request.most)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            self._trace_request(hop, type(error).__name__, start)
            raise explain(error, origin.netloc, once=not request.repeatable) from None
        self.round_trip = min(self.round_trip, time.perf_counter() - start)
        self._trace_request(hop, str(response.status), start)
        return response

    def _trace_request(self, hop: _Hop, result: str, start: float) -> None:
        if self._trace:
            milliseconds = (time.perf_counter() - start) * 1000
            self._trace(f"{hop.request.method} {self.redactor.url(hop.url)} -> {result} ({milliseconds:.0f} ms)")

    def _pool(self, origin: Origin, hop: _Hop) -> ConnectionPool:
        """Connections of one origin: what is trusted for one is never trusted for another (CVE-2024-35195)."""
        must_be_public = self._network.must_be_public(origin, hop.led_by)
        with self._lock:
            pool = self._pools.get((origin, must_be_public))
            if pool is None:
                check = partial(self._network.check, origin, must_be_public=must_be_public)
                pool = self._make_pool(hop.url, self._context(origin, hop.url), check)
                self._pools[origin, must_be_public] = pool
            return pool

    def _context(self, origin: Origin, url: str) -> ssl.SSLContext | None:
        if origin.scheme != "https":
            return None
        settings = self._hosts(urlsplit(url).netloc)
        if settings.insecure:
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        if settings not in self._contexts:
            self._contexts[settings] = settings.context()
        return self._contexts[settings]

    def cut(self) -> None:
        """End what is under way, from another thread."""
        for pool in tuple(self._pools.values()):
            pool.cut()

    def close(self) -> None:
        """Close all connections."""
        for pool in self._pools.values():
            pool.close()


class _Hop(Value, frozen=True):
    """One exchange of a request: where it goes now, and whose answers led there (see PrivateNetworkPolicy)."""

    request: Request
    url: str
    headers: dict[str, str]
    led_by: tuple[Origin | None, ...] = ()

    def redirected(self, url: str, location: str) -> _Hop:
        """The next hop, by a Location in the answer from `url`; another origin gets no secret of the first."""
        target = follow(url, location)
        before, after = Origin.of(url), Origin.of(target)
        headers = self.headers if after == before else without_secrets(self.headers)
        led_by = self.led_by if after.host == before.host else (*self.led_by, before)
        return _Hop(self.request, target, headers, led_by)
