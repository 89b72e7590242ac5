"""The one HTTP server of the tests, scripted and strict, and a client with a credential and short waits.

A script answers: a function of the request, or a table by `METHOD /path`. A request that it has no answer for, or whose
check in the script fails, gets 418, and the test fails at the end.
"""

from __future__ import annotations

import itertools
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn
from typing import TYPE_CHECKING, Any

from urllib3 import HTTPHeaderDict

from publisher.http.client import Client
from publisher.http.retry import RetryPolicy
from publisher.http.tls import HostSettings
from publisher.model.credential import Credential

if TYPE_CHECKING:
    import ssl

USER, SECRET = "captain", "c4nary+/secret=é"
QUICK = RetryPolicy(tries=7, first=0.001, longest=0.002)
_CHUNK = 700
_RESET = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class ServerRequest:
    """One request as it arrived. pieces: where the server streams, its body as it comes; `body` is empty there."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""
    peer: tuple[str, int] = ("", 0)
    pieces: Callable[[], Iterator[bytes]] = field(default=lambda: iter(()), repr=False, compare=False)


@dataclass(frozen=True)
class Answer:
    """What to answer; the length is stated unless the headers do.

    status: 0 sends the body alone, without a header. length: how many bytes of the body get out before the connection
    ends (of a chunked one, without its last chunk). end: `close` or `reset`, what becomes of the connection after it.
    pause: seconds after each byte of the body.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    length: int | None = None
    end: str = ""
    pause: float = 0


CLOSED = Answer(0, end="close")
"""No answer: the connection is closed."""
RESET = Answer(0, end="reset")
"""No answer: the connection is reset."""

Script = Callable[[ServerRequest], Answer | None] | Mapping[str, Answer]


def in_turn(*answers: Answer) -> Callable[[ServerRequest], Answer]:
    """A script that gives these answers one after the other, the last one for ever."""
    left = itertools.chain(answers, itertools.repeat(answers[-1]))
    lock = threading.Lock()

    def answer(_request: ServerRequest) -> Answer:
        with lock:
            return next(left)

    return answer


class Server(ThreadingMixIn, TCPServer):
    """A running one: `host` is host:port, `requests` all requests in their order; `script` may be changed.

    streams: whether the script reads the bodies, piece by piece.
    """

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(
        self, script: Script, address: str, port: int, context: ssl.SSLContext | None, *, streams: bool
    ) -> None:
        is_path = address.startswith("/")
        self.address_family = socket.AF_UNIX if is_path else socket.AF_INET6 if ":" in address else socket.AF_INET
        where: Any = address if is_path else (address, port)
        super().__init__(where, _Handler)
        self.script, self.streams, self.context = script, streams, context
        self.requests: list[ServerRequest] = []
        self.failures: list[str] = []
        self.port: int = 0 if is_path else self.server_address[1]
        self.host = f"[{address}]:{self.port}" if ":" in address else f"{address}:{self.port}"
        self.url = f"unix://{address}" if is_path else f"{'https' if context else 'http'}://{self.host}"

    def values(self, header: str) -> list[str | None]:
        """What each request had in a header."""
        return [request.headers.get(header) for request in self.requests]

    def answer(self, request: ServerRequest) -> Answer:
        """What the script says; a request that it doesn't expect fails the test."""
        self.requests.append(request)
        try:
            script = self.script
            answer = script.get(f"{request.method} {request.path}") if isinstance(script, Mapping) else script(request)
            assert answer is not None, "was not expected"
        except OSError:  # the client broke off
            raise
        except Exception as error:  # noqa: BLE001 - raised at the end of the test
            self.failures.append(f"{request.method} {request.path}: {error}")
            return Answer(418, end="close")
        return answer

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Speak TLS first, in the request's own thread."""
        request.settimeout(60)
        if self.port:
            request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.context:
            with self.context.wrap_socket(request, server_side=True) as wrapped:
                super().finish_request(wrapped, client_address)
        else:
            super().finish_request(request, client_address)

    def handle_error(self, *_arguments: object) -> None:
        """Cut connections, and clients that refuse a certificate, are meant."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *_arguments: object) -> None:
        """Nothing on stderr."""

    def do_GET(self) -> None:
        headers: Mapping[str, str] = HTTPHeaderDict(self.headers.items())
        body = b"" if self.server.streams else b"".join(self._pieces())
        peer = self.client_address[:2] if self.server.port else ("", 0)
        self._send(self.server.answer(ServerRequest(self.command, self.path, headers, body, peer, self._pieces)))

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_CONNECT = do_GET  # noqa: N815 - the base class names them so

    def _pieces(self) -> Iterator[bytes]:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            yield self.rfile.read(int(self.headers.get("Content-Length", "0")))
            return
        while line := self.rfile.readline():
            if not (size := int(line.partition(b";")[0], 16)):
                self.rfile.readline()
                return
            yield self.rfile.read(size)
            self.rfile.readline()
        raise ConnectionResetError

    def _send(self, answer: Answer) -> None:
        if answer.end or answer.length is not None:
            self.close_connection = True
        headers = HTTPHeaderDict(answer.headers)
        is_chunked = headers.get("Transfer-Encoding") == "chunked"
        if not is_chunked and "Content-Length" not in headers and answer.status != 204:
            headers["Content-Length"] = str(len(answer.body))
        if answer.end and "Connection" not in headers:
            headers["Connection"] = "close"
        if answer.status:
            self.send_response_only(answer.status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
        if self.command != "HEAD":
            self._send_body(answer, is_chunked=is_chunked)
        if answer.end == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.connection.close()

    def _send_body(self, answer: Answer, *, is_chunked: bool) -> None:
        body = answer.body[: answer.length]
        size = 1 if answer.pause else _CHUNK if is_chunked else len(body) or 1
        for start in range(0, len(body), size):
            piece = body[start : start + size]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) if is_chunked else piece)
            time.sleep(answer.pause)
        if is_chunked and answer.length is None:
            self.wfile.write(b"0\r\n\r\n")


@contextmanager
def serve(
    script: Script | None = None,
    address: str = "127.0.0.1",
    context: ssl.SSLContext | None = None,
    port: int = 0,
    *,
    streams: bool = False,
) -> Iterator[Server]:
    """The server, running; on a free port where none is given. Without a script it expects no request.

    address: a path is that of a unix socket.
    """
    server = Server(script or {}, address, port, context, streams=streams)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    except BaseException as error:
        for failure in server.failures:
            error.add_note(failure)
        raise
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert not server.failures, "\n".join(server.failures)


@contextmanager
def serve_bytes(*answers: bytes, then: str = "close") -> Iterator[str]:
    """A server that answers each connection's first request with the next of `answers`, the last one for ever.

    Yields its host:port. then: `close`, or `reset` after all but the last answer.
    """
    *first, last = answers
    broken = (Answer(0, body=content, end=then) for content in first)
    with serve(in_turn(*broken, Answer(0, body=last, end="close"))) as server:
        yield server.host


@contextmanager
def client(
    *,
    secret: str = SECRET,
    user: str = USER,
    only: str | None = None,
    settings: Mapping[str, HostSettings] | None = None,
    retry_policy: RetryPolicy = QUICK,
    trace: Callable[[str], None] | None = None,
) -> Iterator[Client]:
    """A client; with `user` empty an anonymous one, with `only` one that has a credential for this host alone."""
    credential = Credential(user, secret, "a test") if user else None
    hosts = settings or {}
    opened = Client(
        lambda host, _path: credential if only in {None, host} else None,
        lambda host: hosts.get(host, HostSettings()),
        retry_policy=retry_policy,
        trace=trace,
    )
    try:
        yield opened
    finally:
        opened.close()


def basic_only(request: ServerRequest) -> Answer:
    """A server that wants Basic."""
    if request.headers.get("Authorization", "").startswith("Basic "):
        return Answer(200, {}, b"welcome")
    return Answer(401, {"WWW-Authenticate": 'Basic realm="here"'})


def accept_all(_request: ServerRequest) -> Answer:
    """A server that has an empty 200 for everything."""
    return Answer()
