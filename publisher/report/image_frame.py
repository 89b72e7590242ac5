"""One line an image on a terminal: its name, what it does now, how far its bytes are.

It stands alone, since rich is imported only where such lines are shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from publisher.report.cells import pad

if TYPE_CHECKING:
    from collections.abc import Sequence

_LONGEST_NAME = 24
_LONGEST_STEP = 30


class ImageFrame:
    """Redraws itself in place. Safe to use from several threads, by rich's own lock."""

    def __init__(self, stream: TextIO, names: Sequence[str], *, color: bool) -> None:
        columns = (
            TextColumn("{task.description}", markup=False),
            TextColumn("{task.fields[step]}", markup=False),
            BarColumn(16, complete_style="cyan", finished_style="green"),
            DownloadColumn(),
        )
        self.bars = Progress(*columns, console=Console(file=stream, no_color=not color), transient=True)
        width = min(_LONGEST_NAME, max(map(len, names)))
        self._rows = {
            name: self.bars.add_task(_cell(name, width), total=None, step=_cell("waits", _LONGEST_STEP))
            for name in names
        }

    def __contains__(self, name: str) -> bool:
        return name in self._rows

    def show(self, name: str, text: str) -> None:
        """What the image does now."""
        self.bars.update(self._rows[name], step=_cell(" ".join(text.split()), _LONGEST_STEP))

    def begin(self, name: str, total: int | None) -> None:
        """So many bytes of it are on their way."""
        self.bars.reset(self._rows[name], total=total)

    def advance(self, name: str, amount: int) -> None:
        """So many more have arrived."""
        self.bars.advance(self._rows[name], amount)


def _cell(text: str, room: int) -> str:
    return pad(text if len(text) <= room else f"{text[: room - 1]}…", room)
