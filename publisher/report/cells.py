"""Text in a terminal's cells: how wide it is, and how it breaks into lines."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# A word that is longer than a line is best cut behind one of these: references, paths and lists stay readable.
_JOINTS: Final = re.compile(r"[/:@,=&?-]")
# What a last column of sentences, and any other, keep as long as something else can give way.
_SENTENCE: Final = 20
_NARROW: Final = 8


def columns(stream: TextIO) -> int:
    """Cells a line of `stream` has room for: a terminal's, or $COLUMNS; without end in a file or a pipe."""
    if (text := os.environ.get("COLUMNS", "")).isdecimal() and int(text):
        return int(text)
    try:
        return os.get_terminal_size(stream.fileno()).columns or sys.maxsize
    except (OSError, ValueError):
        return sys.maxsize


def width(text: str) -> int:
    """How many cells a terminal takes for `text`: two for a wide character, none for a combining one."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def pad(text: str, room: int) -> str:
    """Fill up with spaces to `room` cells."""
    return text + " " * (room - width(text))


def longest_word(text: str) -> int:
    """The width below which a word would have to be cut."""
    return max(map(width, text.split()), default=0)


def wrap(text: str, room: int, indent: str = "") -> list[str]:
    """Lines of at most `room` cells, broken between words; all but the first begin with `indent`."""
    lines: list[str] = []
    line = ""
    for word in text.split():
        pieces = [*_split_word(word, max(room - len(indent), 1))]
        for piece in pieces:
            candidate = f"{line} {piece}" if line else piece
            if line and (width(candidate) > room or piece is not pieces[0]):
                lines.append(line)
                candidate = indent + piece
            line = candidate
    return [*lines, line] if line else lines


def wrap_message(text: str, stream: TextIO, indent: str = "") -> list[str]:
    """The lines of running text for `stream`: on a terminal broken between words, elsewhere as they are."""
    lines = text.split("\n")
    return [part for line in lines for part in fold(line, columns(stream), indent)] if stream.isatty() else lines


def fold(line: str, room: int, indent: str = "") -> list[str]:
    """Break a line between words, which stay whole however long they are: a digest is copied. Its own spaces stay."""
    lines: list[str] = []
    while width(line) > room:
        space = line.rfind(" ", len(indent) + 1 if lines else 1, _fitting(line, room) + 1)
        space = space if space > 0 else line.find(" ", _fitting(line, room))
        if space < 0 or not line[space:].strip() or not line[:space].strip():
            break
        lines.append(line[:space].rstrip())
        line = indent + line[space:].lstrip()
    return [*lines, line]


def _split_word(word: str, room: int) -> Iterator[str]:
    """The word, in pieces where it is wider than a whole line."""
    while width(word) > room:
        end = _fitting(word, room)
        joints = [joint.end() for joint in _JOINTS.finditer(word, 0, end)]
        # A joint that leaves most of the line empty is no good place.
        if joints and joints[-1] > end // 2:
            end = joints[-1]
        yield word[:end]
        word = word[end:]
    yield word


def _fitting(word: str, room: int) -> int:
    """How many of the first characters fit; at least one."""
    if word.isascii():
        return room
    end = 1
    while end < len(word) and width(word[: end + 1]) <= room:
        end += 1
    return end


def fit(natural: Sequence[int], words: Sequence[int], room: int) -> list[int]:
    """Widths of columns that fit into `room`, as far as they can.

    natural: what each column would like. words: what it needs to keep every word whole. The last column, which holds
    sentences, gives way first; then the others, widest first; only then are words cut.
    """
    widths = list(natural)
    last = len(widths) - 1
    sentence = [*natural[:last], max(words[last], min(natural[last], _SENTENCE))]
    for lowest in (
        sentence,
        [*words[:last], sentence[last]],
        words,
        [min(word, _NARROW) for word in words],
        [1] * len(widths),
    ):
        while sum(widths) > room and (wide := [index for index, size in enumerate(widths) if size > lowest[index]]):
            widths[max(wide, key=lambda index: widths[index])] -= 1
    return widths
