"""What is worth another try, and when."""

from __future__ import annotations

import random
import re
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from publisher.model.value import Value

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# 499 and 522 are what proxies in front of registries answer for their own trouble.
TEMPORARY = frozenset({408, 429, 499, 500, 502, 503, 504, 522})
# Some registries answer 4xx for trouble of their own and say so only in the error's code.
_TEMPORARY_CODES = re.compile(rb'"code"\s*:\s*"(?:TOOMANYREQUESTS|UNAVAILABLE)"', re.IGNORECASE)
_FINAL = frozenset({401, 403, 404, 405})
_TOO_MANY = 429
_DELAY = re.compile(r"\d{1,12}(?:\.\d{1,6})?", re.ASCII)


class Patience(Value, frozen=True):
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
        """Seconds before try `attempt` + 1: doubling, the upper half of it by chance, so that clients spread out."""
        ceiling: float = min(self.first * 2.0**attempt, self.longest)
        return ceiling * random.uniform(0.5, 1.0)


def is_temporary(status: int, content: bytes) -> bool:
    """Whether the same request may fare better later."""
    if status in TEMPORARY:
        return True
    return 400 <= status < 500 and status not in _FINAL and bool(_TEMPORARY_CODES.search(content))  # noqa: PLR2004


def is_pull_limit(status: int, headers: Mapping[str, str], content: bytes) -> bool:
    """Whether an answer says that Docker Hub's pulls are used up, which takes hours; its abuse limit takes seconds.

    Source: docs.docker.com, "Docker Hub usage and limits". A HEAD has no body: there the header tells.
    """
    if status != _TOO_MANY:
        return False
    left = headers.get("ratelimit-remaining", "").partition(";")[0].strip()
    return b"pull rate limit" in content.lower() or left == "0"


def asked_wait(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds that a server asks to wait; None where it says nothing that can be read.

    Takes Retry-After as seconds or as an HTTP date, X-Retry-After as a unix time (Docker Hub's older form). A date is
    counted from the server's own, so that a wrong clock here does no harm.
    """
    now = _moment(headers.get("Date", "")) or now
    if (text := headers.get("Retry-After")) is not None:
        return _seconds(text.strip(), now)
    epoch = headers.get("X-Retry-After", "").strip()
    return max(0.0, float(epoch) - now) if _DELAY.fullmatch(epoch) else None


def _seconds(text: str, now: float) -> float | None:
    if text.isascii() and text.isdigit():
        return float(text[:12])
    if _DELAY.fullmatch(text):
        return float(text)
    moment = _moment(text)
    return None if moment is None else max(0.0, moment - now)


def _moment(text: str) -> float | None:
    """The unix time of an HTTP date, which is always UTC."""
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


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
