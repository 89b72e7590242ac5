"""A link with a round trip time: a TCP relay on loopback that holds each piece back for half of it."""

from __future__ import annotations

import queue
import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_PIECE = 64 * 1024


@contextmanager
def slow_link(host: str, round_trip: float) -> Iterator[str]:
    """Relay to `host` with `round_trip` seconds there and back; yields its own host:port."""
    listener = socket.create_server(("127.0.0.1", 0))
    closing = threading.Event()

    def accept() -> None:
        while not closing.is_set():
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=_connect, args=(client, host, round_trip), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        closing.set()
        listener.close()


def _connect(client: socket.socket, host: str, round_trip: float) -> None:
    time.sleep(round_trip)  # TCP's own handshake takes one
    name, _, port = host.partition(":")
    server = socket.create_connection((name, int(port)))
    for source, target in ((client, server), (server, client)):
        source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _carry(source, target, round_trip / 2)


def _carry(source: socket.socket, target: socket.socket, delay: float) -> None:
    pieces: queue.Queue[tuple[float, bytes]] = queue.Queue()

    def read() -> None:
        piece = b"-"
        while piece:
            try:
                piece = source.recv(_PIECE)
            except OSError:
                piece = b""
            pieces.put((time.monotonic() + delay, piece))

    def write() -> None:
        while True:
            due, piece = pieces.get()
            time.sleep(max(0.0, due - time.monotonic()))
            try:
                if not piece:
                    target.shutdown(socket.SHUT_WR)
                    return
                target.sendall(piece)
            except OSError:
                return

    for work in (read, write):
        threading.Thread(target=work, daemon=True).start()
