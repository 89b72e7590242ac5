"""Connections to one origin: urllib3's, which add nothing of their own (no netrc, cookies, redirects, retries)."""

from __future__ import annotations

import http.client
import io
import math
import os
import sys
import time
from typing import TYPE_CHECKING, Any, Final

from urllib3 import PoolManager, Timeout
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from publisher.http.limits import CONNECT_SECONDS, CONNECTIONS, HEAD_SECONDS, IDLE_SECONDS

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable

    from _typeshed import WriteableBuffer
    from urllib3 import BaseHTTPResponse

    from publisher.http.message import Body

_PIECE: Final = 64 * 1024
_TIMES: Final = Timeout(connect=CONNECT_SECONDS, read=IDLE_SECONDS)


class ConnectionPool:
    """Kept connections to the host of `url`.

    context: for TLS; None on plain HTTP. seen: is told the address of each host connected to, proxies excepted; what
    it raises ends the connection before a byte is sent.
    """

    def __init__(self, url: str, context: ssl.SSLContext | None, seen: Callable[[str], None]) -> None:
        self._manager = _through_proxy(url, context) or _straight(context, seen)

    def send(self, method: str, url: str, headers: dict[str, str], body: Body) -> BaseHTTPResponse:
        """One request; the answer's body is still on its way. Raises what urllib3 raises."""
        return self._manager.urlopen(
            method, url, headers=headers, body=body, timeout=_TIMES, retries=False, redirect=False,
            preload_content=False, decode_content=False,
        )  # fmt: skip

    def close(self) -> None:
        """Close all connections."""
        self._manager.clear()


def _straight(context: ssl.SSLContext | None, seen: Callable[[str], None]) -> PoolManager:
    manager = PoolManager(num_pools=1, maxsize=CONNECTIONS, ssl_context=context)
    manager.pool_classes_by_scheme = _pools(seen)
    return manager


def _through_proxy(url: str, context: ssl.SSLContext | None) -> PoolManager | None:
    """By way of the proxy that the environment, or this system, names for `url`; None where it names none."""
    if sys.platform.startswith("linux") and not any(name.lower().endswith("_proxy") for name in os.environ):
        return None
    from requests.adapters import HTTPAdapter
    from requests.utils import get_environ_proxies, select_proxy

    found = select_proxy(url, get_environ_proxies(url))
    if not found:
        return None
    proxy = found if "://" in found else f"http://{found}"
    manager: PoolManager = HTTPAdapter(1, CONNECTIONS).proxy_manager_for(proxy, ssl_context=context)
    if not proxy.lower().startswith("socks"):
        manager.pool_classes_by_scheme = _pools(lambda _address: None)
    return manager


def _pools(seen: Callable[[str], None]) -> dict[str, type[HTTPConnectionPool]]:
    class Plain(_GuardedConnection, HTTPConnection):
        _seen = staticmethod(seen)

    class Secure(_GuardedConnection, HTTPSConnection):
        _seen = staticmethod(seen)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}


class _HttpResponse(http.client.HTTPResponse):
    """An answer whose header must arrive in time as a whole, not only each of its bytes."""

    def __init__(self, sock: socket.socket, *arguments: Any, **options: Any) -> None:
        super().__init__(sock, *arguments, **options)
        self._paced = _DeadlineReader(self.fp.detach())
        self.fp = io.BufferedReader(self._paced, _PIECE)

    def begin(self) -> None:
        self._paced.until = time.monotonic() + HEAD_SECONDS
        super().begin()
        self._paced.until = math.inf


class _DeadlineReader(io.RawIOBase):
    def __init__(self, raw: io.RawIOBase) -> None:
        super().__init__()
        self._raw = raw
        self.until = math.inf

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int | None:
        if time.monotonic() > self.until:
            raise TimeoutError
        count = self._raw.readinto(buffer)
        # http.client takes the end of the stream for the end of the header: half an answer would pass for a whole one.
        if count == 0 and self.until < math.inf:
            raise ConnectionResetError
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _GuardedConnection(HTTPConnection):
    """What every connection does besides."""

    response_class = _HttpResponse
    _seen: Callable[[str], None]

    def _new_conn(self) -> socket.socket:
        sock = super()._new_conn()
        try:
            self._seen(sock.getpeername()[0])
        except BaseException:
            sock.close()
            raise
        return sock

    def connect(self) -> None:
        super().connect()
        # urllib3 keeps the time for connecting on a new socket until the answer: too little for a slow line's upload.
        if self.sock is not None:
            self.sock.settimeout(IDLE_SECONDS)

    def send(self, data: Any) -> None:
        """In pieces: a socket's time is for a whole call, which must not hold megabytes of a slow line."""
        if not isinstance(data, bytes | memoryview) or len(data) <= _PIECE:
            super().send(data)
            return
        view = memoryview(data)
        for place in range(0, len(view), _PIECE):
            super().send(view[place : place + _PIECE])
