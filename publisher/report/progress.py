"""Progress on stderr: bars on a terminal, one line a step elsewhere."""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from contextlib import contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Final, TextIO

from publisher.model.printable import printable
from publisher.model.protocols import ImagesProgress
from publisher.report.cells import wrap_message
from publisher.report.current_image import current_image
from publisher.report.workflow_commands import annotation, workflow_command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from rich.progress import Progress as Bars
    from rich.progress import Task, TaskID

    from publisher.model.protocols import Meter, Progress
    from publisher.model.value import Place
    from publisher.report.image_frame import ImageFrame


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

    def warn(self, text: str, place: Place | None = None) -> None:
        """A warning takes no time."""
        self._progress.warn(text, place)

    def group(self, title: str) -> AbstractContextManager[None]:
        """A group of the one who shows it."""
        return self._progress.group(title)

    def meter(self, label: str, total: int | None) -> AbstractContextManager[Meter]:
        """A meter of the one who shows it."""
        return self._progress.meter(label, total)

    def images(self, names: Sequence[str]) -> AbstractContextManager[None]:
        """A frame of the one who shows it."""
        progress = self._progress
        return progress.images(names) if isinstance(progress, ImagesProgress) else nullcontext()


_WARNING = "warning:"
# The width of a step's first word: what goes on in another line stands below what follows it.
_STEP = 9


class Teller:
    """Tells steps and warnings; implements model.protocols.Progress.

    redact: takes secrets out of every line. quiet: warnings only. annotates: in the words of GitHub's runner.
    """

    def __init__(
        self,
        stream: TextIO = sys.stderr,
        *,
        quiet: bool = False,
        color: bool = True,
        redact: Callable[[str], str] = str,
        annotates: bool = False,
    ) -> None:
        self._annotates = annotates
        self._stream = stream
        self._quiet = quiet
        self._color = color and stream.isatty()
        self._bars_shown = stream.isatty() and not quiet
        self._redact = redact
        self._lock = threading.Lock()
        self._bars: Bars | None = None
        self._frame: ImageFrame | None = None
        self._meters = 0

    def step(self, text: str) -> None:
        """A step, in one line; of one of several images on a terminal, in the image's own line."""
        image = current_image()
        if self._frame and image in self._frame:
            self._frame.show(image, printable(self._redact(text)))
        elif not self._quiet:
            self._write(text)

    def warn(self, text: str, place: Place | None = None) -> None:
        """What the user should know and needn't act on now."""
        if self._annotates:
            self._print([annotation("warning", self._redact(text), place)])
        else:
            self._write(text, "warning: ")

    @contextmanager
    def group(self, title: str) -> Iterator[None]:
        """A step with all that it tells; folded in a step's log of GitHub Actions."""
        if not self._annotates or self._quiet:
            self.step(title)
            yield
            return
        self._print([workflow_command("group", safe_lines(printable(self._redact(title))))])
        try:
            yield
        finally:
            self._print([workflow_command("endgroup")])

    def trace(self, text: str) -> None:
        """A line for `--verbose`."""
        self._write(text, "  ")

    def _write(self, text: str, prefix: str = "") -> None:
        if image := current_image():
            prefix = f"{prefix}{image}: "
        line = prefix + safe_lines(printable(self._redact(text)))
        self._print(self._lines(line))

    def _print(self, lines: Iterable[str]) -> None:
        # A stderr that is full or closed must not end a run between two tags.
        with self._lock, suppress(OSError, ValueError):
            for line in lines:
                if self._bars:
                    self._bars.console.out(line, highlight=False)
                else:
                    print(line, file=self._stream, flush=True)

    def _lines(self, text: str) -> list[str]:
        """The lines of a step or a warning, which goes on below what follows its first word."""
        first, *others = wrap_message(text, self._stream, " " * _STEP)
        if self._color and first.startswith(_WARNING):
            first = f"\x1b[33m{_WARNING}\x1b[0m{first.removeprefix(_WARNING)}"
        return [first, *others]

    @contextmanager
    def meter(self, label: str, total: int | None) -> Iterator[Meter]:
        """A bar on a terminal; elsewhere one line at the end, for what took a while."""
        image = current_image()
        if self._frame and image in self._frame:
            self._frame.begin(image, total)
            yield _ImageMeter(self._frame, image)
            return
        if self._bars_shown:
            with self._bar(printable(self._redact(label)), total) as bar:
                yield bar
            return
        counter = _Counter()
        yield counter
        if counter.count and counter.seconds > 1:
            self.step(f"  {label}: {size(counter.count)} in {counter.seconds:.1f} s")

    @contextmanager
    def images(self, names: Sequence[str]) -> Iterator[None]:
        """While several images are released: on a terminal one line for each of them, redrawn in place."""
        if not self._bars_shown:
            yield
            return
        from publisher.report.image_frame import ImageFrame

        self._frame = ImageFrame(self._stream, names, color=self._color)
        self._bars = self._frame.bars
        self._meters += 1
        self._bars.start()
        try:
            yield
        finally:
            with self._lock:
                self._bars.stop()
                self._bars = self._frame = None
                self._meters -= 1

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
        """Count on; a total that was an estimate grows where more comes."""
        self._bars.advance(self._task, amount)
        task = next(task for task in self._bars.tasks if task.id == self._task)
        if task.total is not None and task.completed > task.total:
            self._bars.update(self._task, total=task.completed)


class _ImageMeter:
    """The bytes of one of several images, in its line."""

    def __init__(self, frame: ImageFrame, image: str) -> None:
        self._frame = frame
        self._image = image

    def advance(self, amount: int) -> None:
        self._frame.advance(self._image, amount)


def _new_bars(stream: TextIO, *, color: bool) -> Bars:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, ProgressColumn, TextColumn
    from rich.text import Text

    class Rate(ProgressColumn):
        """How fast, and the time that is left, once they can be told."""

        max_refresh = 0.5

        def render(self, task: Task) -> Text:
            """Nothing before there is a speed."""
            speed, left = task.finished_speed or task.speed, task.time_remaining
            if speed is None:
                return Text("")
            time_left = "" if left is None else f" {int(left) // 60:02}:{int(left) % 60:02} left"
            return Text(f"{size(speed)}/s{time_left}", style="progress.remaining")

    columns = (
        TextColumn("{task.description}", markup=False),
        # Narrow enough that a label of a few words still fits a terminal of 80 columns.
        BarColumn(24, complete_style="cyan", finished_style="green"),
        DownloadColumn(),
        Rate(),
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
