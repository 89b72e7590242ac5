"""How long the steps of a release took, by what it tells of them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from publisher.model.protocols import Meter, Progress

# The first word of a line, and the step that the time before that line belongs to.
_STEPS: Final = {
    "push": "plan and preflight",
    "adopted": "plan and preflight",
    "pushed": "push",
    "verified": "verify",
    "smoke": "smoke",
    "promoted": "move tags",
}


class Stopwatch:
    """Passes on what a run tells, and keeps the time. `timings` are seconds by step, in the steps' order."""

    def __init__(self, progress: Progress, clock: Callable[[], float] = time.monotonic) -> None:
        self._progress = progress
        self._clock = clock
        self._last = clock()
        self.timings: dict[str, float] = {}

    def step(self, text: str) -> None:
        """A step begins or ended."""
        self._progress.step(text)
        word = text.partition(" ")[0]
        if name := _STEPS.get(word):
            now = self._clock()
            self.timings[name] = self.timings.get(name, 0.0) + now - self._last
            self._last = now

    def warn(self, text: str) -> None:
        """A warning takes no time."""
        self._progress.warn(text)

    def meter(self, label: str, total: int | None) -> AbstractContextManager[Meter]:
        """A meter of the one who shows it."""
        return self._progress.meter(label, total)
