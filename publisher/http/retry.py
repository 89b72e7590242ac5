"""What is worth another try, and when."""

from __future__ import annotations

import random
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# 499 and 522 are what proxies in front of registries answer for their own trouble.
TEMPORARY = frozenset({408, 429, 499, 500, 502, 503, 504, 522})


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to try: seconds, and the clock that they are counted by (a seam for tests)."""

    tries: int = 9
    first: float = 0.1
    longest: float = 5.0
    longest_wait: float = 300.0
    total: float = 900.0
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], float] = time.time

    def backoff(self, attempt: int) -> float:
        """Seconds before try `attempt` + 1: doubling, with full jitter above half, so that many clients spread out."""
        ceiling: float = min(self.first * 2.0**attempt, self.longest)
        return ceiling * random.uniform(0.5, 1.0)


def asked_wait(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds that a server asks to wait; None where it says nothing that can be read.

    Takes Retry-After as seconds or as an HTTP date, X-Retry-After as a unix time (Docker Hub's older form).
    """
    if (text := headers.get("Retry-After")) is not None:
        return _seconds(text, now)
    if (epoch := headers.get("X-Retry-After")) is not None and epoch.strip().isdigit():
        return max(0.0, float(epoch) - now)
    return None


def _seconds(text: str, now: float) -> float | None:
    text = text.strip()
    if text.isascii() and text.isdigit():
        return float(text[:12])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (ValueError, TypeError, OverflowError):
        return None


@dataclass
class Gates:
    """A closed door per host: while a server asks to wait, no thread sends it anything."""

    patience: Patience
    _until: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def close(self, host: str, seconds: float) -> None:
        """Let nothing through to `host` for so long."""
        with self._lock:
            self._until[host] = max(self._until[host], self.patience.clock() + seconds)

    def wait(self, host: str) -> None:
        """Wait until the host may be asked again."""
        while (left := self._until.get(host, 0.0) - self.patience.clock()) > 0:
            self.patience.sleep(left)
