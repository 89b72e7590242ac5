"""Faults to order: which request fails, and how."""

from __future__ import annotations

import math
import re
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, Self

from publisher.model.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Quota:
    """At most `limit` in each window of `seconds`, 0 for no limit; counted for all callers together."""

    def __init__(self, limit: int, seconds: int, clock: Callable[[], float] = time.time) -> None:
        self.limit, self.seconds, self._clock = limit, seconds, clock
        self._count, self._ends = 0, 0.0
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Use one up; False where none is left."""
        with self._lock:
            self._turn()
            self._count += 1
            return not self.limit or self._count <= self.limit

    @property
    def remaining(self) -> int:
        """How many may follow."""
        with self._lock:
            self._turn()
            return max(self.limit - self._count, 0)

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
            self._count, self._ends = 0, self._clock() + self.seconds


FaultKind = Literal["status", "reset", "lost", "slow"]

_RULE: Final = re.compile(
    r"(?P<method>[A-Z]+|\*) (?P<path>\S+) (?:(?:(?P<nth>[1-9]\d{0,8})(?:st|nd|rd|th)|every) )?"
    r"(?:(?P<status>[45]\d\d)(?::(?P<wait>\d{1,6}))?|(?P<hang>reset|lost)|slow(?::(?P<pause>\d{1,4}(?:\.\d{1,3})?))?)",
    re.ASCII,
)
_HINT: Final = (
    "it is METHOD PATH-PART [NTH|every] STATUS[:RETRY-AFTER]|reset|lost|slow[:SECONDS], "
    "as in 'PUT /manifests/ 3rd 503' or 'GET /tags/list 429:2'"
)


@dataclass(frozen=True, slots=True)
class Fault:
    """One rule: the nth request (0 for every) whose method (`*` for any) and path fit fails by `kind`.

    `status` answers `status`, with `seconds` as its Retry-After if there are any; `reset` closes the connection
    before anything is done, `lost` after it is done; `slow` waits `seconds` and then goes on.
    """

    method: str
    path: str
    nth: int
    kind: FaultKind
    status: int = 0
    seconds: float = 0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `PUT /manifests/ 3rd 503`; raises UsageError."""
        match = _RULE.fullmatch(text.strip())
        if match is None:
            raise UsageError(f"'{text}' is not a fault rule", hint=_HINT)
        method, path, nth = match["method"], match["path"], int(match["nth"] or 0)
        if match["status"]:
            return cls(method, path, nth, "status", int(match["status"]), float(match["wait"] or 0))
        if match["hang"]:
            return cls(method, path, nth, "reset" if match["hang"] == "reset" else "lost")
        return cls(method, path, nth, "slow", seconds=float(match["pause"] or 1))

    def fits(self, method: str, path: str) -> bool:
        """Whether the rule speaks of such a request."""
        return self.method in {"*", method} and self.path in path


class Faults:
    """All rules, and how many requests each has met."""

    def __init__(self, rules: Iterable[str]) -> None:
        self._rules = tuple(Fault.parse(rule) for rule in rules)
        self._hits = [0] * len(self._rules)
        self._lock = threading.Lock()

    def strike(self, method: str, path: str) -> Fault | None:
        """Count a request (`path` with its query), and tell the first rule whose turn it is."""
        with self._lock:
            matches = [rule for number, rule in enumerate(self._rules) if self._counts(number, method, path)]
        return matches[0] if matches else None

    def _counts(self, number: int, method: str, path: str) -> bool:
        rule = self._rules[number]
        if not rule.fits(method, path):
            return False
        self._hits[number] += 1
        return rule.nth in {0, self._hits[number]}
