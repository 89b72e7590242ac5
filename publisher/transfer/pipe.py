"""The pipe between two threads that work on one layer."""

from __future__ import annotations

import threading
from contextlib import suppress
from queue import Empty, Full, Queue
from typing import TYPE_CHECKING

from publisher.model.interruption import LOOK, postponed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from publisher.transfer.halt import Halt


class Pipe:
    """Pieces of one layer, at most `depth` waiting; an empty piece is the end."""

    def __init__(self, depth: int, halt: Halt) -> None:
        self._queue: Queue[bytes] = Queue(depth)
        self._halt = halt
        self._left = threading.Event()

    def put(self, piece: bytes) -> bool:
        """Wait for room; raises Stopped when the work ends; False, the piece dropped, when nobody reads any more."""
        while not self._left.is_set():
            self._halt.check()
            with suppress(Full), postponed():
                self._queue.put(piece, timeout=LOOK)
                return True
        return False

    def leave(self) -> None:
        """Stop reading; the writer goes on without waiting."""
        self._left.set()

    def __iter__(self) -> Iterator[bytes]:
        while True:
            self._halt.check()
            try:
                piece = self._queue.get(timeout=LOOK)
            except Empty:
                continue
            if not piece:
                return
            yield piece
