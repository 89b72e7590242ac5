"""The pipe between two threads that work on one layer."""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from queue import Empty, Full, Queue
from typing import TYPE_CHECKING, Final

from publisher.threads import POLL_SECONDS, deferred_signals

if TYPE_CHECKING:
    from collections.abc import Iterator


class Cancellation(Exception):
    """Another part of the work failed first."""


class Halt:
    """Set once, by the first failure; every thread looks at it between two pieces."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self.cause: BaseException | None = None

    def fail(self, error: BaseException) -> None:
        """Stop all; only the first cause is kept, and what merely followed from it is none."""
        with self._lock:
            if self.cause is None and not isinstance(error, Cancellation):
                self.cause = error
        self._event.set()

    def check(self) -> None:
        """Raise Cancellation once something failed."""
        if self._event.is_set():
            raise Cancellation


@contextmanager
def halting(halt: Halt) -> Iterator[None]:
    """Stop all threads when the reader ends early; that another thread ended first is told by `halt` alone."""
    try:
        yield
    except BaseException as error:
        halt.fail(error)
        if not isinstance(error, Cancellation):
            raise


class Budget:
    """Bytes of memory that may be in use at once; takers wait for their turn."""

    def __init__(self, size: int) -> None:
        self._free = self.size = size
        self._changed = threading.Condition()

    def acquire(self, amount: int, halt: Halt) -> int:
        """Wait for `amount` bytes, or the whole budget where that is less; returns what to give back."""
        share = min(amount, self.size)
        with deferred_signals() as signals, self._changed:
            while self._free < share:
                self._changed.wait(POLL_SECONDS)
                halt.check()
                signals.check()
            self._free -= share
        return share

    def release(self, amount: int) -> None:
        """Hand back what `acquire` gave."""
        with self._changed:
            self._free += amount
            self._changed.notify_all()


MEMORY: Final = Budget(48 << 20)
"""What all blobs on their way may hold together, however many images are released side by side."""


class Pipe:
    """Pieces of one layer, at most `depth` waiting; an empty piece is the end."""

    def __init__(self, depth: int, halt: Halt) -> None:
        self._queue: Queue[bytes] = Queue(depth)
        self._halt = halt
        self._reader_gone = threading.Event()

    def put(self, piece: bytes) -> bool:
        """Wait for room; raises Cancellation when the work ends; False, the piece dropped, when nobody reads on."""
        while not self._reader_gone.is_set():
            self._halt.check()
            with suppress(Full), deferred_signals():
                self._queue.put(piece, timeout=POLL_SECONDS)
                return True
        return False

    def stop_reading(self) -> None:
        """Stop reading; the writer goes on without waiting."""
        self._reader_gone.set()

    def __iter__(self) -> Iterator[bytes]:
        while True:
            self._halt.check()
            try:
                piece = self._queue.get(timeout=POLL_SECONDS)
            except Empty:
                continue
            if not piece:
                return
            yield piece
