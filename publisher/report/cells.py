"""Text in a terminal's cells: how wide it is, and how it breaks into lines."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# A word that is longer than a line is best cut behind one of these: references, paths and lists stay readable.
_JOINTS: Final = re.compile(r"[/:@,=&?-]")
# What a last column of sentences, and any other, keep as long as something else can give way.
_SENTENCE: Final = 20
_NARROW: Final = 8


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
        pieces = [*_cut(word, max(room - len(indent), 1))]
        for piece in pieces:
            joined = f"{line} {piece}" if line else piece
            if line and (width(joined) > room or piece is not pieces[0]):
                lines.append(line)
                joined = indent + piece
            line = joined
    return [*lines, line] if line else lines


def _cut(word: str, room: int) -> Iterator[str]:
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
        while sum(widths) > room and (wide := [at for at, size in enumerate(widths) if size > lowest[at]]):
            widths[max(wide, key=lambda at: widths[at])] -= 1
    return widths
