"""A screen as docs show it: without what differs from run to run, as text, and as a picture in its colours."""

from __future__ import annotations

import re
from html import escape
from typing import Final, NamedTuple

_ID: Final = re.compile(r"20\d{6}T\d{6}\.\d{3}Z(-[0-9a-f]{6})?")
_COLOR: Final = re.compile(r"\x1b\[([\d;]*)m")
_PALETTE: Final = {
    30: "#6e7681", 31: "#ff7b72", 32: "#7ee787", 33: "#e3b341", 34: "#79c0ff", 35: "#d2a8ff", 36: "#76e3ea",
    37: "#e6edf3",
}  # fmt: skip
_INK, _MUTED = "#e6edf3", "#8b949e"
_SIGN, _LINE, _EDGE = 8.4, 18, 16


def normalize(text: str) -> str:
    """Ids, dates, times and ports in place of those of this run, each as wide as it was."""
    ids = sorted({match[0] for match in _ID.finditer(text)})
    for number, run_id in enumerate(ids):
        text = text.replace(run_id, f"20260102T0900{number:02}.000Z{'-000000' if '-' in run_id else ''}")
    text = re.sub(r"20\d\d-\d\d-\d\d(T\d\d:\d\d:\d\dZ)?", lambda match: "2026-01-02T09:00:00Z"[: len(match[0])], text)
    text = re.sub(r"127\.0\.0\.1:\d{5}\b", "127.0.0.1:50000", text)
    return re.sub(r"\b\d\.\d s\b", "0.5 s", text)


def strip_colors(text: str) -> str:
    """Without colours, and without the blanks that they ended in."""
    return "\n".join(line.rstrip() for line in _COLOR.sub("", text).split("\n"))


class _TextRun(NamedTuple):
    """Characters of one look, from a column on."""

    column: int
    text: str
    fill: str
    bold: bool


def draw_svg(screen: str, title: str, width: int) -> str:
    """The screen as an SVG picture of a terminal."""
    lines = screen.rstrip("\n").split("\n")
    across, down = width * _SIGN + 2 * _EDGE, len(lines) * _LINE + 2 * _EDGE + 18
    rows = [_row(line, number) for number, line in enumerate(_looks(lines))]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {across:.0f} {down}" width="{across:.0f}" '
        f'height="{down}" role="img" aria-label="{escape(title)}">\n'
        "<style>text{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;"
        f"white-space:pre;fill:{_INK}}}</style>\n"
        f'<rect width="{across:.0f}" height="{down}" rx="8" fill="#0d1117"/>\n'
        + "".join(f'<circle cx="{20 + 18 * number}" cy="17" r="5" fill="#30363d"/>' for number in range(3))
        + "\n"
        + "\n".join(filter(None, rows))
        + "\n</svg>\n"
    )


def _row(runs: list[_TextRun], number: int) -> str:
    y = 18 + _EDGE + (number + 1) * _LINE - 5
    return "".join(
        f'<text x="{_EDGE + run.column * _SIGN:.1f}" y="{y}" textLength="{len(run.text) * _SIGN:.1f}"{_style(run)}>'
        f"{escape(run.text)}</text>"
        for run in runs
    )


def _style(run: _TextRun) -> str:
    rules = ([f"fill:{run.fill}"] if run.fill != _INK else []) + (["font-weight:bold"] if run.bold else [])
    return f' style="{";".join(rules)}"' if rules else ""


def _looks(lines: list[str]) -> list[list[_TextRun]]:
    """Each line in runs of one look; a look goes on through the ends of lines, as tmux prints it."""
    fill, bold, dim = _INK, False, False
    rows = []
    for line in lines:
        runs: list[_TextRun] = []
        column = 0
        for number, part in enumerate(_COLOR.split(line)):
            if number % 2:
                for code in (int(word or 0) for word in part.split(";")):
                    if code == 0:
                        fill, bold, dim = _INK, False, False
                    bold, dim = bold or code == 1, dim or code == 2
                    fill = _PALETTE.get(code, _INK if code == 39 else fill)
            else:
                if part.strip():
                    lead = len(part) - len(part.lstrip())
                    shown = part.strip()
                    runs.append(_TextRun(column + lead, shown, _MUTED if dim and fill == _INK else fill, bold))
                column += len(part)
        rows.append(runs)
    return rows
