"""A link with a round trip time and a rate: a TCP relay on loopback that holds each piece back."""

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
def slow_link(host: str, round_trip: float, rate: float) -> Iterator[str]:
    """Relay to `host`, `round_trip` seconds there and back, `rate` bytes a second each way; yields its host:port."""
    listener = socket.create_server(("127.0.0.1", 0))
    closing = threading.Event()
    lanes = (_Lane(rate), _Lane(rate))

    def accept() -> None:
        while not closing.is_set():
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=_connect, args=(client, host, round_trip, lanes), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        closing.set()
        listener.close()


class _Lane:
    """One direction of the link, which all connections share."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._free = 0.0
        self._lock = threading.Lock()

    def pass_through(self, size: int) -> float:
        """The moment when the last of `size` bytes that come now has passed."""
        with self._lock:
            self._free = max(self._free, time.monotonic()) + size / self._rate
            return self._free


def _connect(client: socket.socket, host: str, round_trip: float, lanes: tuple[_Lane, _Lane]) -> None:
    time.sleep(round_trip)  # TCP's own handshake takes one
    name, _, port = host.partition(":")
    server = socket.create_connection((name, int(port)))
    for source, target, lane in ((client, server, lanes[0]), (server, client, lanes[1])):
        source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _carry(source, target, round_trip / 2, lane)


def _carry(source: socket.socket, target: socket.socket, delay: float, lane: _Lane) -> None:
    # Few pieces wait, so that a sender feels the link's rate and not this relay's memory.
    pieces: queue.Queue[tuple[float, bytes]] = queue.Queue(32)

    def read() -> None:
        piece = b"-"
        while piece:
            try:
                piece = source.recv(_PIECE)
            except OSError:
                piece = b""
            pieces.put((lane.pass_through(len(piece)) + delay, piece))

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
