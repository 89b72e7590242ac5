"""One line of the table, and the clock behind it."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Row:
    """One line of the table: `figure` must be at least or at most `goal`."""

    what: str
    figure: float
    goal: float
    at_least: bool
    detail: str

    @property
    def met(self) -> bool:
        """Whether the goal is reached."""
        return self.figure >= self.goal if self.at_least else self.figure <= self.goal

    def __str__(self) -> str:
        sign = ">=" if self.at_least else "<="
        verdict = "ok" if self.met else "MISSED"
        return f"{self.what:<52} {self.figure:>8.2f} {sign} {self.goal:<7.2f} {verdict:<7} {self.detail}"


def timed(work: Callable[[], object]) -> float:
    """Wall seconds; what an image made just before left to be written to disk is not part of them."""
    os.sync()
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
