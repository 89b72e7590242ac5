"""The common end of threads that work together: the first failure stops them all."""

from __future__ import annotations

import threading

from publisher.model.interruption import LOOK, postponed


class Stopped(Exception):
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
            if self.cause is None and not isinstance(error, Stopped):
                self.cause = error
        self._event.set()

    def check(self) -> None:
        """Raise Stopped once something failed."""
        if self._event.is_set():
            raise Stopped


class Budget:
    """Bytes of memory that may be in use at once; takers wait for their turn."""

    def __init__(self, size: int, halt: Halt) -> None:
        self._free = self._size = size
        self._halt = halt
        self._changed = threading.Condition()

    def take(self, amount: int) -> int:
        """Wait for `amount` bytes, or the whole budget where that is less; returns what to give back."""
        wanted = min(amount, self._size)
        with postponed() as signals, self._changed:
            while self._free < wanted:
                self._changed.wait(LOOK)
                self._halt.check()
                signals.check()
            self._free -= wanted
        return wanted

    def give(self, amount: int) -> None:
        """Hand back what `take` gave."""
        with self._changed:
            self._free += amount
            self._changed.notify_all()
