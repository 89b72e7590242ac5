"""Progress on stderr: bars on a terminal, one line a step elsewhere."""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, TextIO

from publisher.model.printable import printable
from publisher.report.cells import wrap_message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from rich.progress import Progress as Bars
    from rich.progress import TaskID

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


_WARNING = "warning:"
# The width of a step's first word: what goes on in another line stands below what follows it.
_STEP = 9


class Teller:
    """Tells steps and warnings; implements model.protocols.Progress.

    redact: takes secrets out of every line. quiet: warnings only.
    """

    def __init__(
        self,
        stream: TextIO = sys.stderr,
        *,
        quiet: bool = False,
        color: bool = True,
        redact: Callable[[str], str] = str,
    ) -> None:
        self._stream = stream
        self._quiet = quiet
        self._color = color and stream.isatty()
        self._bars_shown = stream.isatty() and not quiet
        self._redact = redact
        self._lock = threading.Lock()
        self._bars: Bars | None = None
        self._meters = 0

    def step(self, text: str) -> None:
        """A step, in one line."""
        if not self._quiet:
            self._write(text)

    def warn(self, text: str) -> None:
        """What the user should know and needn't act on now."""
        self._write(text, "warning: ")

    def trace(self, text: str) -> None:
        """A line for `--verbose`."""
        self._write(text, "  ")

    def _write(self, text: str, prefix: str = "") -> None:
        line = prefix + safe_lines(printable(self._redact(text)))
        # A stderr that is full or closed must not end a run between two tags.
        with self._lock, suppress(OSError, ValueError):
            for part in self._lines(line):
                if self._bars:
                    self._bars.console.out(part, highlight=False)
                else:
                    print(part, file=self._stream, flush=True)

    def _lines(self, text: str) -> list[str]:
        """The lines of a step or a warning, which goes on below what follows its first word."""
        first, *others = wrap_message(text, self._stream, " " * _STEP)
        if self._color and first.startswith(_WARNING):
            first = f"\x1b[33m{_WARNING}\x1b[0m{first.removeprefix(_WARNING)}"
        return [first, *others]

    @contextmanager
    def meter(self, label: str, total: int | None) -> Iterator[Meter]:
        """A bar on a terminal; elsewhere one line at the end, for what took a while."""
        if self._bars_shown:
            with self._bar(printable(self._redact(label)), total) as bar:
                yield bar
            return
        counter = _Counter()
        yield counter
        if counter.count and counter.seconds > 1:
            self.step(f"  {label}: {size(counter.count)} in {counter.seconds:.1f} s")

    @contextmanager
    def _bar(self, label: str, total: int | None) -> Iterator[Meter]:
        """One bar among those of other threads: a terminal has room for one display that redraws itself."""
        with self._lock:
            if self._bars is None:
                self._bars = _new_bars(self._stream, color=self._color)
                self._bars.start()
            bars = self._bars
            self._meters += 1
            task = bars.add_task(label, total=total)
        try:
            yield _Bar(bars, task)
        finally:
            with self._lock:
                bars.remove_task(task)
                self._meters -= 1
                if not self._meters:
                    bars.stop()
                    self._bars = None


class _Counter:
    """Counts from several threads, without showing it."""

    def __init__(self) -> None:
        self.count = 0
        self._began = time.monotonic()
        self._lock = threading.Lock()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def advance(self, amount: int) -> None:
        with self._lock:
            self.count += amount


class _Bar:
    """One bar; rich's own lock makes it safe for threads."""

    def __init__(self, bars: Bars, task: TaskID) -> None:
        self._bars = bars
        self._task = task

    def advance(self, amount: int) -> None:
        self._bars.advance(self._task, amount)


def _new_bars(stream: TextIO, *, color: bool) -> Bars:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        # Narrow enough that a label of a few words still fits a terminal of 80 columns.
        BarColumn(24, complete_style="cyan", finished_style="green"),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(compact=True),
        TextColumn("left", style="progress.remaining"),
    )
    return Progress(*columns, console=Console(file=stream, no_color=not color), transient=True)


def safe_lines(text: str) -> str:
    """In GitHub's logs a line that starts with two colons is a command, and so is `##[` anywhere: break them.

    Source: actions/runner, ActionCommand: white space before the colons is trimmed, so indenting is not enough.
    """
    if not os.environ.get("GITHUB_ACTIONS"):
        return text
    return re.sub(r"^(\s*):(?=:)", r"\1: ", text, flags=re.MULTILINE).replace("##[", "# #[")


def size(count: float) -> str:
    """Bytes for people, in decimal units as docker shows them."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:  # noqa: PLR2004 - decimal units
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
