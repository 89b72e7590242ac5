"""A proxy before a real registry that fails the requests it is told to."""

from __future__ import annotations

import socket
import struct
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Literal

from tests.support.order import Logged

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BufferedIOBase

Kind = Literal["reset", "lost", "cut", "busy", "forbidden", "hold", "held", "stall", "stalled"]
Passing = Literal[
    "408",
    "429",
    "429-seconds",
    "429-date",
    "500",
    "502",
    "503",
    "504",
    "reset",
    "broken",
    "lost",
    "cut",
    "slow",
    "garbage",
]
_STATUS = {"busy": 503, "forbidden": 403}
_PASSING = {"408": 408, "429": 429, "429-seconds": 429, "429-date": 429, "500": 500, "502": 502, "503": 503, "504": 504}
_RESET = struct.pack("ii", 1, 0)


@dataclass
class FaultyLink:
    """A running proxy: `host` is host:port, `requests` what came so far, `trace` what the registry behind it answered.

    reset: the connection breaks before anything is done; lost: after it is done; cut: within the answer's body;
    busy: 503; forbidden: 403. hold: nothing is done; held: it is done; with both `struck` is set, and the connection
    breaks once `go` is. stall, stalled: the same, but the request goes on, or its answer comes, once `go` is set.
    A number: that status, 429 with Retry-After as it says; broken: the connection breaks behind the answer's header;
    slow: the answer comes byte by byte; garbage: another protocol answers.
    """

    host: str
    requests: list[tuple[str, str]] = field(default_factory=list)
    trace: list[Logged] = field(default_factory=list)
    struck: threading.Event = field(default_factory=threading.Event)
    go: threading.Event = field(default_factory=threading.Event)
    _kind: Kind | Passing | None = None
    _nth: int = 0
    _last: int | None = 0
    _flip: tuple[Literal["up", "down"], int] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def order(self, kind: Kind | Passing | None, nth: int = 0, *, rest: bool = False, times: int = 1) -> None:
        """Fail the `nth` request from now on (1 is the next), and the `times` - 1 after it; None fails none.

        rest: fail all after it too.
        """
        with self._lock:
            self.requests.clear()
            self.trace.clear()
            self.struck.clear()
            self.go.clear()
            self._kind, self._nth, self._last = kind, nth, None if rest else nth + times - 1

    def flip(self, way: Literal["up", "down"] | None, offset: int = 0) -> None:
        """Change the byte at `offset` of all that goes this way from now on, headers apart; once."""
        with self._lock:
            self._flip = None if way is None else (way, offset)

    def carry(self, way: Literal["up", "down"], content: bytes) -> bytes:
        """What comes out of the link of a body that goes into it."""
        with self._lock:
            if self._flip is None or self._flip[0] != way:
                return content
            offset = self._flip[1]
            self._flip = None if offset < len(content) else (way, offset - len(content))
        return (
            content[:offset] + bytes([content[offset] ^ 1]) + content[offset + 1 :] if self._flip is None else content
        )

    def take(self, method: str, path: str) -> Kind | Passing | None:
        """Count a request; returns how it is to fail."""
        with self._lock:
            self.requests.append((method, path))
            count = len(self.requests)
            return self._kind if self._nth <= count and (self._last is None or count <= self._last) else None


@contextmanager
def run_faulty_link(target: str) -> Iterator[FaultyLink]:
    """Start one before the registry at `target`, a host:port."""
    server = _Server(target)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.link
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, target: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target = target
        self.link = FaultyLink(f"127.0.0.1:{self.server_port}")

    def handle_error(self, *_arguments: object) -> None:
        """Clients that are killed in the middle of a request are meant."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def _pass(self) -> None:
        kind = self.server.link.take(self.command, self.path)
        if kind in {"hold", "stall"}:
            self._wait()
        if kind in {"reset", "hold"}:
            self._break()
            return
        body = _read_body(self.rfile, self.headers.get("Transfer-Encoding"), self.headers.get("Content-Length"))
        if kind in _STATUS:
            self._answer(_STATUS[kind], [("Content-Length", "0")], b"")
            return
        if kind in _PASSING:
            self._answer(_PASSING[kind], [("Content-Length", "0"), *_retry_after(kind)], b"")
            return
        status, headers, content = self._ask(self.server.link.carry("up", body))
        self.server.link.trace.append(Logged(self.command, self.path, status))
        content = self.server.link.carry("down", content)
        if kind in {"held", "stalled"}:
            self._wait()
        if kind in {"lost", "held"}:
            self._break()
        elif kind == "broken" or (kind == "cut" and content):
            self._answer(status, headers, content[: len(content) // 2] if kind == "cut" else b"")
            self._break()
        elif kind == "garbage":
            self.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
            self._break()
        elif kind == "slow":
            self._answer(status, headers, content, pause=0.002)
        else:
            self._answer(status, headers, content)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _pass  # noqa: N815 - the names that http.server looks for

    def _ask(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        headers = {name: value for name, value in self.headers.items() if name.lower() != "transfer-encoding"}
        connection = HTTPConnection(self.server.target, timeout=60)
        try:
            connection.request(self.command, self.path, body, {**headers, "Content-Length": str(len(body))})
            response = connection.getresponse()
            return response.status, response.getheaders(), response.read()
        finally:
            connection.close()

    def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes, pause: float = 0) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() != "transfer-encoding":
                self.send_header(name, value)
        self.end_headers()
        for place in range(0, len(content), 1) if pause else ():
            self.wfile.write(content[place : place + 1])
            time.sleep(pause)
        self.wfile.write(b"" if pause else content)
        self.wfile.flush()

    def _wait(self) -> None:
        self.server.link.struck.set()
        self.server.link.go.wait(30)

    def _break(self) -> None:
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.connection.close()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in http.server
        pass


def _retry_after(kind: str) -> list[tuple[str, str]]:
    """In one second, as seconds or as a date, which counts whole ones."""
    later = formatdate(time.time() + 2, usegmt=True)
    return {"429-seconds": [("Retry-After", "1")], "429-date": [("Retry-After", later)]}.get(kind, [])


def _read_body(stream: BufferedIOBase, coding: str | None, length: str | None) -> bytes:
    if coding != "chunked":
        return stream.read(int(length or 0))
    chunks = []
    while size := int(stream.readline().split(b";")[0], 16):
        chunks.append(stream.read(size))
        stream.readline()
    stream.readline()
    return b"".join(chunks)
