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
from itertools import count
from typing import TYPE_CHECKING

from publisher.http.errors import NoAnswer, NoListener
from publisher.http.message import ConnectionLost
from publisher.model.errors import QuotaUsedUp, Unreachable
from publisher.model.value import Value

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from publisher.http.message import Response


# A host where nobody listens is more likely down or misspelt than busy, unless it has answered before.
_TRIES_AT_UNKNOWN_HOST = 3


class Retrier:
    """Sends until there is a final answer; one for all threads, so that each obeys what a host asked of another."""

    def __init__(self, retry_policy: RetryPolicy) -> None:
        self._retry_policy = retry_policy
        self._pauses = HostPauses(retry_policy)
        self._answered: set[str] = set()

    def knows(self, host: str) -> bool:
        """Whether `host` ever answered."""
        return host in self._answered

    def send(self, host: str, attempt_once: Callable[[], Response], *, repeatable: bool) -> Response:
        """The first final answer of `attempt_once`, or the last temporary one.

        Raises what `attempt_once` raises when it can't be tried again, and QuotaUsedUp or Unreachable where the server
        asks for a longer wait than a job has.
        """
        start = self._retry_policy.clock()
        for attempt in count(1):
            self._pauses.wait(host)
            try:
                response = attempt_once()
            except (NoAnswer, NoListener, ConnectionLost) as error:
                pause = self._retry_policy.backoff(attempt)
                if not repeatable or attempt >= self._tries(host, error) or self._is_too_late(start, pause):
                    raise
            else:
                self._answered.add(host)
                if not is_temporary(response.status, response.content):
                    return response
                pause = self._pause(response, host, attempt)
                if not repeatable or attempt >= self._retry_policy.tries or self._is_too_late(start, pause):
                    return response
                response.close()
            self._retry_policy.sleep(pause)
        raise AssertionError  # pragma: no cover - count() doesn't end

    def _tries(self, host: str, error: Unreachable) -> int:
        is_unknown = isinstance(error, NoListener) and host not in self._answered
        return _TRIES_AT_UNKNOWN_HOST if is_unknown else self._retry_policy.tries

    def _is_too_late(self, start: float, pause: float) -> bool:
        return self._retry_policy.clock() + pause - start > self._retry_policy.total

    def _pause(self, response: Response, host: str, attempt: int) -> float:
        """Seconds to wait on top of the host's pause, which is as long as the server asks."""
        if is_pull_limit(response.status, response.headers, response.content):
            raise _used_up(response, host)
        backoff = self._retry_policy.backoff(attempt)
        seconds = retry_after(response.headers, self._retry_policy.now())
        if seconds is None:
            return backoff
        if seconds > self._retry_policy.longest_wait:
            raise _wait_too_long(response, host, seconds)
        self._pauses.extend(host, seconds)
        return max(0.0, backoff - seconds)


def _used_up(response: Response, host: str) -> QuotaUsedUp:
    response.close()
    return QuotaUsedUp(
        f"the pull quota at {host} is used up",
        reference=host,
        hint="log in for a larger quota, or try again in some hours; 'publish hub limits' shows what is left",
    )


def _wait_too_long(response: Response, host: str, seconds: float) -> Unreachable:
    response.close()
    kind = QuotaUsedUp if response.status == _TOO_MANY else Unreachable
    return kind(
        f"{host} asks to wait {seconds:,.0f} seconds (HTTP {response.status})",
        reference=host,
        hint="that is longer than a run waits: run the same command again later",
    )


# 499 and 522 are what proxies in front of registries answer for their own trouble.
TEMPORARY = frozenset({408, 429, 499, 500, 502, 503, 504, 522})
# Some registries answer 4xx for trouble of their own and say so only in the error's code.
_TEMPORARY_CODES = re.compile(rb'"code"\s*:\s*"(?:TOOMANYREQUESTS|UNAVAILABLE)"', re.IGNORECASE)
_FINAL = frozenset({401, 403, 404, 405})
_TOO_MANY = 429
_DELAY = re.compile(r"\d{1,12}(?:\.\d{1,6})?", re.ASCII)


class RetryPolicy(Value, frozen=True):
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
    remaining = headers.get("ratelimit-remaining", "").partition(";")[0].strip()
    return b"pull rate limit" in content.lower() or remaining == "0"


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds that a server asks to wait; None where it says nothing that can be read.

    Takes Retry-After as seconds or as an HTTP date, X-Retry-After as a unix time (Docker Hub's older form). A date is
    counted from the server's own, so that a wrong clock here does no harm.
    """
    now = _unix_time(headers.get("Date", "")) or now
    if (text := headers.get("Retry-After")) is not None:
        return _seconds(text.strip(), now)
    epoch = headers.get("X-Retry-After", "").strip()
    return max(0.0, float(epoch) - now) if _DELAY.fullmatch(epoch) else None


def _seconds(text: str, now: float) -> float | None:
    if text.isascii() and text.isdigit():
        return float(text[:12])
    if _DELAY.fullmatch(text):
        return float(text)
    moment = _unix_time(text)
    return None if moment is None else max(0.0, moment - now)


def _unix_time(text: str) -> float | None:
    """The unix time of an HTTP date, which is always UTC."""
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


@dataclass
class HostPauses:
    """While a server asks to wait, no thread sends it anything."""

    retry_policy: RetryPolicy
    _until: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def extend(self, host: str, seconds: float) -> None:
        """Send nothing to `host` for so long, or for as long as was asked before."""
        with self._lock:
            self._until[host] = max(self._until[host], self.retry_policy.clock() + seconds)

    def wait(self, host: str) -> None:
        """Wait until the host may be asked again."""
        while (remaining := self._until.get(host, 0.0) - self.retry_policy.clock()) > 0:
            self.retry_policy.sleep(remaining)
