"""Connections to one origin: urllib3's, which add nothing of their own (no netrc, cookies, redirects, retries)."""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit
from weakref import WeakSet

from urllib3 import PoolManager, ProxyManager, Timeout, make_headers
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ProxyError

from publisher.http.framing import HttpResponse
from publisher.http.limits import CONNECT_SECONDS, CONNECTIONS, IDLE_SECONDS

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from urllib3 import BaseHTTPResponse

    from publisher.http.message import Body

_PIECE: Final = 64 * 1024
_TIMEOUT: Final = Timeout(connect=CONNECT_SECONDS, read=IDLE_SECONDS)


class ConnectionPool:
    """Kept connections to the host of `url`.

    context: for TLS; None on plain HTTP. check_address: takes the address of each host connected to, proxies excepted;
    what it raises ends the connection before a byte is sent.
    """

    def __init__(self, url: str, context: ssl.SSLContext | None, check_address: Callable[[str], None]) -> None:
        self._sockets: WeakSet[socket.socket] = WeakSet()
        self._manager = _proxy_manager(url, context, self._sockets) or _direct_manager(
            context, check_address, self._sockets
        )

    def send(self, method: str, url: str, headers: dict[str, str], body: Body) -> BaseHTTPResponse:
        """One request; the answer's body is still on its way. Raises what urllib3 raises."""
        return self._manager.urlopen(
            method, url, headers=headers, body=body, timeout=_TIMEOUT, retries=False, redirect=False,
            preload_content=False, decode_content=False,
        )  # fmt: skip

    def cut(self) -> None:
        """End what is under way, from another thread: whoever waits for a byte waits no longer."""
        for sock in tuple(self._sockets):
            with suppress(OSError):
                # Not by the method of a TLS socket, which would go on in plain text.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close all connections."""
        self._manager.clear()


def _direct_manager(
    context: ssl.SSLContext | None, check_address: Callable[[str], None], sockets: WeakSet[socket.socket]
) -> PoolManager:
    manager = PoolManager(num_pools=1, maxsize=CONNECTIONS, ssl_context=context)
    manager.pool_classes_by_scheme = _pool_classes(check_address, sockets)
    return manager


def _proxy_manager(url: str, context: ssl.SSLContext | None, sockets: WeakSet[socket.socket]) -> PoolManager | None:
    """By way of the proxy that the environment, or this system, names for `url`; None where it names none."""
    proxy = _proxy_of(url)
    if proxy is None:
        return None
    parts = urlsplit(proxy)
    username, password = unquote(parts.username or ""), unquote(parts.password or "")
    if parts.scheme.startswith("socks"):
        return _socks_manager(proxy, username, password, context)
    login = make_headers(basic_auth=f"{username}:{password}")["authorization"] if username else ""
    headers = {"Proxy-Authorization": login} if login else {}
    manager = ProxyManager(proxy, 1, proxy_headers=headers, maxsize=CONNECTIONS, ssl_context=context)
    manager.pool_classes_by_scheme = _pool_classes(lambda _address: None, sockets)
    return manager


def _socks_manager(proxy: str, username: str, password: str, context: ssl.SSLContext | None) -> PoolManager:
    try:
        from urllib3.contrib.socks import SOCKSProxyManager
    except ImportError as error:
        raise ProxyError("a SOCKS proxy needs PySocks", error) from error
    return SOCKSProxyManager(proxy, username, password, 1, maxsize=CONNECTIONS, ssl_context=context)


def _proxy_of(url: str) -> str | None:
    if sys.platform.startswith("linux") and not any(name.lower().endswith("_proxy") for name in os.environ):
        return None
    from urllib.request import getproxies, proxy_bypass

    parts, proxies = urlsplit(url), getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    # By name the standard library knows NO_PROXY, not by network.
    if not proxy or proxy_bypass(parts.netloc) or _is_in_networks(parts.hostname or "", proxies.get("no", "")):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _is_in_networks(host: str, networks: str) -> bool:
    """Whether a literal address is in one of the `networks`, as 10.0.0.0/8,192.168.1.7; names among them are not."""
    for network in networks.split(","):
        with suppress(ValueError):
            if ipaddress.ip_address(host) in ipaddress.ip_network(network.strip(), strict=False):
                return True
    return False


def _pool_classes(
    check_address: Callable[[str], None], sockets: WeakSet[socket.socket]
) -> dict[str, type[HTTPConnectionPool]]:
    class Plain(_GuardedConnection, HTTPConnection):
        _check_address = staticmethod(check_address)
        _sockets = sockets

    class Secure(_GuardedConnection, HTTPSConnection):
        _check_address = staticmethod(check_address)
        _sockets = sockets

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}


class _GuardedConnection(HTTPConnection):
    """What every connection does besides."""

    response_class = HttpResponse
    _check_address: Callable[[str], None]
    _sockets: WeakSet[socket.socket]

    def _new_conn(self) -> socket.socket:
        sock = super()._new_conn()
        try:
            self._check_address(sock.getpeername()[0])
        except BaseException:
            sock.close()
            raise
        return sock

    def connect(self) -> None:
        super().connect()
        # urllib3 keeps the time for connecting on a new socket until the answer: too little for a slow line's upload.
        if self.sock is not None:
            self.sock.settimeout(IDLE_SECONDS)
            self._sockets.add(self.sock)

    def send(self, data: Any) -> None:
        """In pieces: a socket's time is for a whole call, which must not hold megabytes of a slow line."""
        if not isinstance(data, bytes | memoryview) or len(data) <= _PIECE:
            super().send(data)
            return
        view = memoryview(data)
        for offset in range(0, len(view), _PIECE):
            super().send(view[offset : offset + _PIECE])
