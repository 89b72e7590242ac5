"""A seeded scheduler in virtual time: of several runs in one process one at a time takes its next step."""

from __future__ import annotations

import random
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_STUCK = 60.0
_STEADY = (0.0, 0.3, 0.8, 0.95)
"""How likely the run that went last goes on."""
_HASTE = (1, 1, 1, 5, 40)
"""How much likelier a run is than another to go next: some are slow for the whole of another's life."""


@dataclass(eq=False)
class _Ticket:
    """A thread that waits for its turn, from a moment on."""

    run: int
    since: float


class Schedule:
    """Gives the next turn once every run waits for one, and picks whose by the seed: a seed replays a race.

    now: virtual seconds. A step takes some milliseconds, and a pause no time but virtual one: the clock jumps to the
    first of those who sleep once nobody else has anything to do.
    """

    def __init__(self, seed: int, runs: int) -> None:
        self.now = 0.0
        self._random = random.Random(seed)
        self._live = set(range(runs))
        self._haste = [self._random.choice(_HASTE) for _run in range(runs)]
        self._steady, self._last = self._random.choice(_STEADY), -1
        self._waiting: list[_Ticket] = []
        self._granted: _Ticket | None = None
        self._changed = threading.Condition()

    @contextmanager
    def turn(self, run: int, *, pause: float = 0.0) -> Iterator[None]:
        """Wait for the turn of `run`, `pause` seconds from now at the earliest; it lasts as long as the block."""
        ticket = _Ticket(run, self.now + pause)
        with self._changed:
            self._waiting.append(ticket)
            self._pick()
            assert self._changed.wait_for(lambda: self._granted is ticket, _STUCK), "the runs wait for each other"
            self._waiting.remove(ticket)
        try:
            yield
        finally:
            with self._changed:
                self._granted = None
                self.now += self._random.uniform(0.002, 0.05)
                # Where a run has other threads that wait, it can't be waited for.
                self._pick()

    def leave(self, run: int) -> None:
        """The run has ended."""
        with self._changed:
            self._live.discard(run)
            self._pick()

    def choose(self, runs: list[int]) -> int:
        """Which of the runs that could is to go next."""
        if self._last in runs and self._random.random() < self._steady:
            return self._last
        (run,) = self._random.choices(runs, [self._haste[number] for number in runs])
        return run

    def _pick(self) -> None:
        if self._granted is not None or not self._waiting or self._live - {ticket.run for ticket in self._waiting}:
            return
        self.now = max(self.now, min(ticket.since for ticket in self._waiting))
        ready = [ticket for ticket in self._waiting if ticket.since <= self.now]
        self._last = run = self.choose(sorted({ticket.run for ticket in ready}))
        self._granted = next(ticket for ticket in ready if ticket.run == run)
        self._changed.notify_all()
