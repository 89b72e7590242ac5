"""An HTTP server in the test process that answers by a function and remembers what it was sent."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from publisher.http.client import Client
from publisher.http.retry import RetryPolicy
from publisher.http.tls import HostSettings
from publisher.model.credential import Credential

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator, Mapping

USER, SECRET = "captain", "c4nary+/secret=é"
QUICK = RetryPolicy(tries=7, first=0.001, longest=0.002)


@dataclass(frozen=True)
class Seen:
    """One request as it arrived."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    peer: tuple[str, int] = ("", 0)


@dataclass(frozen=True)
class Answer:
    """What to answer; the length is stated unless the headers do."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class Server(ThreadingHTTPServer):
    """A running one: `host` is host:port, `seen` all requests in their order."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(
        self, answer: Callable[[Seen], Answer], address: str, context: ssl.SSLContext | None, port: int
    ) -> None:
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        super().__init__((address, port), _Handler)
        self.answer = answer
        self.seen: list[Seen] = []
        self.port: int = self.server_address[1]
        self.host = f"[{address}]:{self.port}" if ":" in address else f"{address}:{self.port}"
        self.url = f"{'https' if context else 'http'}://{self.host}"
        if context:
            self.socket = context.wrap_socket(self.socket, server_side=True)

    def handle_error(self, *_arguments: object) -> None:
        """Cut connections are meant."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 5
    disable_nagle_algorithm = True
    server: Server

    def log_message(self, *_arguments: object) -> None:
        pass

    def do_GET(self) -> None:
        seen = Seen(self.command, self.path, dict(self.headers.items()), self.body(), self.client_address[:2])
        self.server.seen.append(seen)
        answer = self.server.answer(seen)
        self.send_response(answer.status)
        if not {"Content-Length", "Transfer-Encoding"} & set(answer.headers) and answer.status != 204:
            self.send_header("Content-Length", str(len(answer.body)))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815 - the base class names them so

    def body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length", "0")))
        pieces = []
        while size := int(self.rfile.readline(), 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)


@contextmanager
def serve(
    answer: Callable[[Seen], Answer] = lambda _seen: Answer(),
    address: str = "127.0.0.1",
    context: ssl.SSLContext | None = None,
    port: int = 0,
) -> Iterator[Server]:
    """The server, running; on a free port where none is given."""
    server = Server(answer, address, context, port)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def serve_bytes(*answers: bytes, then: str = "close") -> Iterator[str]:
    """A listener that answers each connection's first request with the next of `answers`, the last one for ever.

    Yields its host:port. then: `close`, or `reset` after all but the last answer.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    left = list(answers)

    def run() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(5)
                try:
                    connection.recv(1 << 16)
                    is_last = len(left) == 1
                    connection.sendall(left[0] if is_last else left.pop(0))
                except OSError:
                    continue
                if then == "reset" and not is_last:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


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
    known = settings or {}
    made = Client(
        lambda host, _path: credential if only in {None, host} else None,
        lambda host: known.get(host, HostSettings()),
        retry_policy=retry_policy,
        trace=trace,
    )
    try:
        yield made
    finally:
        made.close()


def basic_only(seen: Seen) -> Answer:
    """A server that wants Basic."""
    if seen.headers.get("Authorization", "").startswith("Basic "):
        return Answer(200, {}, b"welcome")
    return Answer(401, {"WWW-Authenticate": 'Basic realm="here"'})
