"""The client: one way out, in layers."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies

from publisher import __version__
from publisher.http.message import ConnectionLost, Request, Response
from publisher.http.origin import MOST_REDIRECTS, Origin, follow, is_loopback, without_secrets
from publisher.http.redaction import Redactor
from publisher.http.retry import TEMPORARY, Gates, Patience, asked_wait
from publisher.http.tokens import Authorizer
from publisher.model.errors import QuotaUsedUp, TlsFailed, Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable

    from publisher.http.tls import HostSettings
    from publisher.model.credential import Credential

_CONNECT_SECONDS = 10
_IDLE_SECONDS = 60
_CONNECTIONS = 16
# A host that never answered is more likely down or misspelt than busy.
_TRIES_AT_A_STRANGER = 3
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_WRONG_SCHEME = b"HTTP request to an HTTPS server"


class Client:
    """Sends requests: redirects, authorisation, retries and waits are done here; final statuses are returned.

    credentials: the credential for (host, repository). hosts: how to reach a host[:port].
    trace: takes one line for each request sent, redacted.
    """

    def __init__(
        self,
        credentials: Callable[[str, str], Credential | None],
        hosts: Callable[[str], HostSettings],
        *,
        trace: Callable[[str], None] | None = None,
        patience: Patience | None = None,
        redactor: Redactor | None = None,
    ) -> None:
        self._credentials = credentials
        self._hosts = hosts
        self._trace = trace
        self._patience = patience or Patience()
        self.redactor = redactor or Redactor()
        self._gates = Gates(self._patience)
        self._sessions: dict[str, requests.Session] = {}
        self._schemes: dict[str, str] = {}
        self._answered: set[str] = set()
        self._lock = threading.Lock()
        self._authorizer = Authorizer(
            credentials, lambda host: hosts(host).trusted_realms, self._send_plain, self.redactor, self._patience.clock
        )

    def base_url(self, host: str) -> str:
        """`https://host`, or `http://host` where plain HTTP is allowed: on loopback, or by the configuration."""
        if host not in self._schemes:
            plain = is_loopback(_name(host)) and not self._hosts(host).speaks_tls
            self._schemes[host] = "http" if plain else "https"
        return f"{self._schemes[host]}://{host}"

    def principal(self, host: str, repository: str = "") -> str:
        """Who we are at `host`, for messages."""
        credential = self._credentials(host, repository)
        return f"{credential.username} (from {credential.source})" if credential else "anonymous"

    def has_credentials(self, host: str, repository: str = "") -> bool:
        """Whether anything but anonymous requests can be sent there."""
        return self._credentials(host, repository) is not None

    def send(self, request: Request) -> Response:
        """Send with the authorisation that the host asks for; returns any final answer, 401 and 403 too.

        Raises Unreachable, TlsFailed or QuotaUsedUp where there is none, ConnectionLost for a body sent only once.
        """
        return self._persist(request, self._send_authorized)

    def _send_plain(self, request: Request) -> Response:
        """A request to a token service: its own Authorization, never a redirect."""
        return self._persist(request, lambda plain: self._exchange(plain, plain.url, dict(plain.headers)))

    def _persist(self, request: Request, send: Callable[[Request], Response]) -> Response:
        began = self._patience.clock()
        attempt = 0
        while True:
            attempt += 1
            host = self._current(request.url)[1]
            self._gates.wait(host)
            try:
                response = send(request)
            except TlsFailed:
                raise
            except Unreachable as error:
                tries = self._patience.tries if host in self._answered else _TRIES_AT_A_STRANGER
                if not request.repeatable or attempt >= tries or self._is_late(began):
                    raise
                del error
                self._patience.sleep(self._patience.backoff(attempt))
                continue
            self._answered.add(host)
            if response.status not in TEMPORARY:
                return response
            self._refuse_used_up(response)
            wait = self._wait_after(response, host, attempt, began)
            if not request.repeatable or attempt >= self._patience.tries or wait is None:
                return response
            response.close()
            self._patience.sleep(wait)

    def _is_late(self, began: float) -> bool:
        return self._patience.clock() - began > self._patience.total

    def _wait_after(self, response: Response, host: str, attempt: int, began: float) -> float | None:
        """Seconds to wait before the next try; None where the server asks for more than a job waits."""
        asked = asked_wait(response.headers, self._patience.now())
        if asked is None:
            return self._patience.backoff(attempt)
        if asked > self._patience.longest_wait or self._is_late(began - asked):
            return None
        self._gates.close(host, asked)
        return 0.0

    def _refuse_used_up(self, response: Response) -> None:
        if response.status == 429 and b"pull rate limit" in response.content:  # noqa: PLR2004 - too many requests
            raise QuotaUsedUp(
                f"the pull quota at {Origin.of(response.url).netloc} is used up",
                hint="log in for a larger quota, or try again in some hours; 'publish hub limits' shows what is left",
            )

    def _send_authorized(self, request: Request) -> Response:
        url, _host = self._current(request.url)
        origin = Origin.of(url)
        header = self._authorizer.header(origin, request)
        response = self._follow(request, url, header)
        if response.status != 401 or Origin.of(response.url) != origin:  # noqa: PLR2004 - unauthorised
            return response
        if not request.repeatable:
            return response
        better = self._authorizer.answer(origin, request, response, header)
        if better is None:
            return response
        response.close()
        return self._follow(request, url, better)

    def _follow(self, request: Request, url: str, authorization: str | None) -> Response:
        headers = dict(request.headers)
        if authorization:
            headers["Authorization"] = authorization
        for _hop in range(MOST_REDIRECTS + 1):
            response = self._exchange(request, url, headers)
            location = response.headers.get("Location")
            if response.status not in _REDIRECTS or not location or request.method not in {"GET", "HEAD"}:
                return response
            response.close()
            target = follow(url, location)
            if Origin.of(target) != Origin.of(url):
                headers = without_secrets(headers)
            url = target
        raise Unreachable(f"more than {MOST_REDIRECTS} redirects", reference=self.redactor.url(request.url))

    def _exchange(self, request: Request, url: str, headers: dict[str, str]) -> Response:
        """One request on the wire; a first answer may show that the host speaks the other scheme."""
        try:
            response = self._transmit(request, url, headers)
        except (TlsFailed, Unreachable) as error:
            other = self._other_scheme(url, error)
            if other is None or not request.repeatable:
                raise
            return self._transmit(request, other, headers)
        if response.status == 400 and _WRONG_SCHEME in response.content:  # noqa: PLR2004 - bad request
            other = self._switch(url, "https")
            if other and request.repeatable:
                return self._transmit(request, other, headers)
        return response

    def _other_scheme(self, url: str, error: Unreachable) -> str | None:
        """What to try where the scheme was only a guess: TLS on a loopback host, plain HTTP on an insecure one."""
        host = Origin.of(url).netloc
        if host in self._answered:
            return None
        cause = str(error.__cause__)
        if url.startswith("https:") and self._hosts(host).insecure and isinstance(error, TlsFailed):
            return self._switch(url, "http")
        if url.startswith("http:") and is_loopback(_name(host)) and ("reset" in cause or "BadStatusLine" in cause):
            return self._switch(url, "https")
        return None

    def _switch(self, url: str, scheme: str) -> str | None:
        host = url.split("/", 3)[2]
        if self._schemes.get(host) == scheme or host not in self._schemes:
            return None
        self._schemes[host] = scheme
        return f"{scheme}://{host}/{url.split('/', 3)[3]}"

    def _current(self, url: str) -> tuple[str, str]:
        """The URL with the scheme that the host is known to speak by now, and the host."""
        _scheme, _, host, path = url.split("/", 3)
        known = self._schemes.get(host)
        return (f"{known}://{host}/{path}" if known else url), host

    def _transmit(self, request: Request, url: str, headers: dict[str, str]) -> Response:
        session = self._session(Origin.of(url).netloc)
        sent = {"User-Agent": f"publish/{__version__}", "Accept-Encoding": "identity", **headers}
        prepared = session.prepare_request(requests.Request(request.method, url, sent, data=request.body))
        began = time.perf_counter()
        try:
            raw = session.send(
                prepared,
                stream=True,
                allow_redirects=False,
                timeout=(_CONNECT_SECONDS, _IDLE_SECONDS),
                proxies=get_environ_proxies(url),
            )
            response = Response(raw, stream=request.stream)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            self._note(request.method, url, type(error).__name__, began)
            raise _failure(error, request, url) from error
        self._note(request.method, url, str(response.status), began)
        return response

    def _note(self, method: str, url: str, result: str, began: float) -> None:
        if self._trace:
            spent = (time.perf_counter() - began) * 1000
            self._trace(f"{method} {self.redactor.url(url)} -> {result} ({spent:.0f} ms)")

    def _session(self, host: str) -> requests.Session:
        """A session per host: what is trusted for one is never trusted for another (CVE-2024-35195)."""
        with self._lock:
            if host not in self._sessions:
                self._sessions[host] = _open(self._hosts(host))
            return self._sessions[host]

    def close(self) -> None:
        """Close all connections."""
        for session in self._sessions.values():
            session.close()


def _open(settings: HostSettings) -> requests.Session:
    import os

    session = requests.Session()
    session.trust_env = False  # no netrc: credentials come from the chain alone
    adapter = HTTPAdapter(pool_connections=2, pool_maxsize=_CONNECTIONS, max_retries=0)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    own = os.environ.get("SSL_CERT_FILE") or os.environ.get("REQUESTS_CA_BUNDLE")
    session.verify = str(settings.ca_bundle) if settings.ca_bundle else (own or True)
    if settings.insecure:
        session.verify = False
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    if settings.client_cert:
        key = settings.client_key
        session.cert = (str(settings.client_cert), str(key)) if key else str(settings.client_cert)
    return session


def _failure(error: Exception, request: Request, url: str) -> Unreachable:
    host = Origin.of(url).netloc
    text = str(error)
    if isinstance(error, requests.exceptions.SSLError):
        return TlsFailed(
            f"the certificate of {host} was not accepted",
            reference=host,
            hint=f'if it has its own authority, set [registry."{host}"] ca-bundle = "ca.pem" in publish.toml',
        )
    if not request.repeatable:
        return ConnectionLost(f"the connection to {host} broke while sending", reference=host)
    if "NameResolutionError" in text or "getaddrinfo" in text:
        return Unreachable(f"{host} is not known to DNS", reference=host, hint="check the name, and the network")
    if isinstance(error, requests.exceptions.ProxyError):
        return Unreachable(f"the proxy on the way to {host} does not answer", reference=host, hint="see HTTPS_PROXY")
    if "refused" in text:
        return Unreachable(f"{host} refuses connections", reference=host, hint="is the registry running there?")
    if isinstance(error, requests.exceptions.Timeout):
        return Unreachable(f"{host} did not answer in time", reference=host)
    return Unreachable(f"the connection to {host} broke", reference=host)


def _name(host: str) -> str:
    """The host without its port."""
    return Origin.of(f"https://{host}").host
