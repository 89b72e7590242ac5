"""Why no answer came."""

from __future__ import annotations

import errno
import socket
import ssl
from typing import TYPE_CHECKING

import urllib3

from publisher.http.limits import CONNECT_SECONDS, IDLE_SECONDS
from publisher.http.message import ConnectionLost
from publisher.model.errors import TlsFailed, Unreachable

if TYPE_CHECKING:
    from collections.abc import Iterator

_NO_ROUTE = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH})
_NOT_TLS = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "UNSUPPORTED_PROTOCOL"})
# OpenSSL's X509_V_ERR numbers.
_CERTIFICATES = {
    9: ("isn't valid yet", "is this machine's clock right?"),
    10: ("has expired", "is this machine's clock right?"),
    62: ("is for another host", "use the name that the certificate was made for"),
    64: ("is for another address", "use the name that the certificate was made for"),
}
_AUTHORITY_HINT = 'if it has its own authority, set [registry."{host}"] ca-bundle = "ca.pem" in publish.toml'
_CLIENT_HINT = 'it may want a certificate of ours: set [registry."{host}"] client-cert and client-key in publish.toml'


class NoAnswer(Unreachable):
    """Somebody listens there, and no whole answer came: another try may get one."""


class NoListener(Unreachable):
    """Nobody was found to listen there."""


class NotTls(TlsFailed):
    """What answers there speaks something else than TLS."""


def explain(error: Exception, host: str, *, once: bool) -> Unreachable:
    """The error to raise for what urllib3, ssl or the system said; never with their text, which has URLs.

    once: the request can't be sent again, so that its sender has to know that it may have arrived.
    """
    causes = list(_causes(error))
    explanation = _by_tls(causes, host) or _by_address(causes, host) or _by_time(causes, host)
    if explanation is None:
        explanation = NoAnswer(f"the connection to {host} broke", reference=host, hint="see whether the network is up")
    if once and not isinstance(explanation, TlsFailed):
        return ConnectionLost(explanation.message, reference=host, hint=explanation.hint)
    return explanation


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and all that it was made from: urllib3 wraps in several ways."""
    queue, visited = [error], set[int]()
    while queue:
        current = queue.pop()
        if id(current) in visited:
            continue
        visited.add(id(current))
        yield current
        inner = (*current.args, getattr(current, "reason", None), current.__cause__, current.__context__)
        queue.extend(part for part in inner if isinstance(part, BaseException))


def _by_tls(causes: list[BaseException], host: str) -> Unreachable | None:
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            why, hint = _CERTIFICATES.get(cause.verify_code, ("was not accepted", _AUTHORITY_HINT.format(host=host)))
            return TlsFailed(f"the certificate of {host} {why}", reference=host, hint=hint)
        if isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError | ssl.SSLSyscallError):
            return NoAnswer(f"the connection to {host} broke during TLS", reference=host)
        if isinstance(cause, ssl.SSLError) and cause.reason:
            return _by_alert(cause.reason, host)
    return None


def _by_alert(reason: str, host: str) -> TlsFailed:
    if reason in _NOT_TLS:
        hint = f'if it speaks plain HTTP, set [registry."{host}"] insecure = true in publish.toml'
        return NotTls(f"{host} doesn't speak TLS that can be understood", reference=host, hint=hint)
    alert = reason.lower().replace("_", " ")
    return TlsFailed(f"{host} refuses TLS: {alert}", reference=host, hint=_CLIENT_HINT.format(host=host))


def _by_address(causes: list[BaseException], host: str) -> Unreachable | None:
    for cause in causes:
        if isinstance(cause, urllib3.exceptions.ProxyError):
            hint = "see HTTPS_PROXY, HTTP_PROXY and NO_PROXY"
            return NoListener(f"the proxy on the way to {host} does not let through", reference=host, hint=hint)
    for cause in causes:
        if isinstance(cause, socket.gaierror | urllib3.exceptions.NameResolutionError):
            return NoListener(f"{host} is not known to DNS", reference=host, hint="check the name, and the network")
        if isinstance(cause, ConnectionRefusedError):
            return NoListener(f"{host} refuses connections", reference=host, hint="is the registry running there?")
        if isinstance(cause, OSError) and cause.errno in _NO_ROUTE:
            return NoListener(f"there is no route to {host}", reference=host, hint="check the network")
    return None


def _by_time(causes: list[BaseException], host: str) -> Unreachable | None:
    if any(isinstance(cause, urllib3.exceptions.ConnectTimeoutError) for cause in causes):
        hint = "a firewall may be in the way; a proxy is set by HTTPS_PROXY"
        message = f"{host} did not take a connection within {CONNECT_SECONDS:.0f} seconds"
        return NoListener(message, reference=host, hint=hint)
    if any(isinstance(cause, TimeoutError | urllib3.exceptions.TimeoutError) for cause in causes):
        return NoAnswer(f"{host} was silent for {IDLE_SECONDS:.0f} seconds", reference=host)
    return None
