"""The time that a run has; it stands alone, since alarms and cut connections are a machinery of their own."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_GRACE: Final = 5.0
"""Seconds after the alarm for the requests under way, and for a look at what they did."""
_AGAIN: Final = 1.0
"""Seconds between two cuts, after the first: what was opened meanwhile is cut too."""


class TimeLimit:
    """After `seconds` the alarm is raised, and what goes on then is cut; 0: no limit.

    cut: ends the connections, whatever they wait for. alarm: asks for a signal in so many seconds, 0: for none; a
    program that uses the library has its own signals, and there everything is cut at once.
    """

    def __init__(self, seconds: float, cut: Callable[[], None], alarm: Callable[[float], None] | None = None) -> None:
        self._seconds = seconds
        self._cut = cut
        self._alarm = alarm
        self._is_over = threading.Event()

    def start(self) -> None:
        """Count from now."""
        if not self._seconds:
            return
        self._is_over = threading.Event()
        if self._alarm:
            self._alarm(self._seconds)
        threading.Thread(target=self._watch, args=(self._is_over,), name="time limit", daemon=True).start()

    def stop(self) -> None:
        """Count no more."""
        self._is_over.set()
        if self._seconds and self._alarm:
            self._alarm(0)

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """What the block does counts for nothing; then the time begins anew."""
        self.stop()
        yield
        self.start()

    def _watch(self, is_over: threading.Event) -> None:
        seconds = self._seconds + (_GRACE if self._alarm else 0)
        while not is_over.wait(seconds):
            self._cut()
            seconds = _AGAIN
