"""Connections to one origin: requests' adapter, without what a session would add (netrc, cookies, redirects)."""

from __future__ import annotations

import http.client
import io
import math
import time
from typing import TYPE_CHECKING, Any

import requests
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from publisher.http.limits import CONNECT_SECONDS, CONNECTIONS, HEAD_SECONDS, IDLE_SECONDS

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable

    from _typeshed import WriteableBuffer
    from urllib3.connectionpool import HTTPConnectionPool as AnyPool

    from publisher.http.message import Body

_PIECE = 64 * 1024


class Wire:
    """Kept connections to the host of `url`.

    context: for TLS; None on plain HTTP. seen: is told the address of each host connected to, proxies excepted; what
    it raises ends the connection before a byte is sent.
    """

    def __init__(self, url: str, context: ssl.SSLContext | None, seen: Callable[[str], None]) -> None:
        self._proxies = get_environ_proxies(url)
        self._adapter = _Adapter(context, seen)

    def send(self, method: str, url: str, headers: dict[str, str], body: Body) -> requests.Response:
        """One request; the answer's body is still on its way. Raises what requests and urllib3 raise."""
        prepared = requests.PreparedRequest()
        prepared.prepare_method(method)
        prepared.prepare_url(url, None)
        prepared.prepare_headers(headers)
        prepared.prepare_body(body, None)
        timeout = (CONNECT_SECONDS, IDLE_SECONDS)
        return self._adapter.send(prepared, stream=True, timeout=timeout, proxies=self._proxies)

    def close(self) -> None:
        """Close all connections."""
        self._adapter.close()


class _Adapter(HTTPAdapter):
    def __init__(self, context: ssl.SSLContext | None, seen: Callable[[str], None]) -> None:
        self._context = context
        self._seen = seen
        super().__init__(pool_connections=2, pool_maxsize=CONNECTIONS, max_retries=0)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **options: Any) -> None:
        super().init_poolmanager(connections, maxsize, block, ssl_context=self._context, **options)
        self.poolmanager.pool_classes_by_scheme = _pools(self._seen)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        manager = super().proxy_manager_for(proxy, ssl_context=self._context, **options)
        if not proxy.lower().startswith("socks"):
            manager.pool_classes_by_scheme = _pools(lambda _address: None)
        return manager

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: Any, cert: Any = None
    ) -> Any:
        return super().build_connection_pool_key_attributes(request, verify, cert)[0], {}

    def cert_verify(self, conn: AnyPool, url: str, verify: Any, cert: Any) -> None:
        """Nothing: the context knows whom to trust; what is set here would be loaded again for each connection."""


def _pools(seen: Callable[[str], None]) -> dict[str, type[HTTPConnectionPool]]:
    class Plain(_Manners, HTTPConnection):
        _seen = staticmethod(seen)

    class Secure(_Manners, HTTPSConnection):
        _seen = staticmethod(seen)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}


class _Answer(http.client.HTTPResponse):
    """An answer whose header must arrive in time as a whole, not only each of its bytes."""

    def __init__(self, sock: socket.socket, *arguments: Any, **options: Any) -> None:
        super().__init__(sock, *arguments, **options)
        self._paced = _Paced(self.fp.detach())
        self.fp = io.BufferedReader(self._paced, _PIECE)

    def begin(self) -> None:
        self._paced.until = time.monotonic() + HEAD_SECONDS
        super().begin()
        self._paced.until = math.inf


class _Paced(io.RawIOBase):
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


class _Manners(HTTPConnection):
    """What every connection does besides."""

    response_class = _Answer
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
        if not isinstance(data, bytes) or len(data) <= _PIECE:
            super().send(data)
            return
        view = memoryview(data)
        for place in range(0, len(view), _PIECE):
            super().send(view[place : place + _PIECE])
