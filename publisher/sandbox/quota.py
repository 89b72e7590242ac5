"""Limits that can be set low: pulls, and calls of the API."""

from __future__ import annotations

import math
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Quota:
    """At most `limit` in each window of `seconds`, 0 for no limit; counted for all callers together."""

    def __init__(self, limit: int, seconds: int, clock: Callable[[], float] = time.time) -> None:
        self.limit, self.seconds, self._clock = limit, seconds, clock
        self._used, self._ends = 0, 0.0
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Use one up; False where none is left."""
        with self._lock:
            self._turn()
            self._used += 1
            return not self.limit or self._used <= self.limit

    @property
    def left(self) -> int:
        """How many may follow."""
        with self._lock:
            self._turn()
            return max(self.limit - self._used, 0)

    @property
    def reset(self) -> int:
        """When the window ends, in unix seconds, never before now."""
        with self._lock:
            self._turn()
            return math.ceil(self._ends)

    @property
    def wait(self) -> int:
        """Seconds until the window ends, at least one."""
        return max(1, math.ceil(self._ends - self._clock()))

    def _turn(self) -> None:
        if self._clock() >= self._ends:
            self._used, self._ends = 0, self._clock() + self.seconds
