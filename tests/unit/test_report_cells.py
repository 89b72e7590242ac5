"""Text in a terminal's cells, and tables that fit any width."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from publisher.report.cells import fit, fold, pad, width, wrap
from publisher.report.tables import table

# Words as they come from elsewhere: wide ones, combining marks, control characters, nothing at all.
CELLS = st.text(st.sampled_from("ab-/: \n\t\x1b漢字é\u0301\u202e🚢"), max_size=30)


@pytest.mark.parametrize(
    ("text", "cells"), [("", 0), ("abc", 3), ("漢字", 4), ("e\u0301", 1), ("🚢", 2), ("żółć", 4)], ids=ascii
)
def test_width(text: str, cells: int) -> None:
    """As terminals count."""
    assert width(text) == cells
    assert width(pad(text, 10)) == 10


@pytest.mark.parametrize(
    ("text", "room", "expected"),
    [
        pytest.param("one two three", 7, ["one two", "three"], id="words"),
        pytest.param("yeongyin/goalapp:latest", 18, ["yeongyin/goalapp:", "latest"], id="behind-a-joint"),
        pytest.param("ab/cdefghijkl", 10, ["ab/cdefghi", "jkl"], id="no-line-is-left-empty"),
        pytest.param("漢字漢字", 5, ["漢字", "漢字"], id="wide"),
        pytest.param("漢", 1, ["漢"], id="wider-than-the-room"),
        pytest.param("", 5, [], id="empty"),
    ],
)
def test_wrap(text: str, room: int, expected: list[str]) -> None:
    """Between words first; a word that is too long behind a mark within it."""
    assert wrap(text, room) == expected


def test_wrap_indents() -> None:
    """All lines but the first."""
    assert wrap("warning: one two", 12, "  ") == ["warning: one", "  two"]


@pytest.mark.parametrize(
    ("natural", "words", "room", "expected"),
    [
        pytest.param([5, 30], [5, 8], 40, [5, 30], id="room-enough"),
        pytest.param([5, 30], [5, 8], 25, [5, 20], id="the-last-gives-way"),
        pytest.param([20, 30], [8, 8], 35, [15, 20], id="then-the-others"),
        pytest.param([20, 30], [20, 8], 28, [20, 8], id="words-stay-whole"),
        pytest.param([20, 20], [20, 20], 20, [10, 10], id="then-words-are-cut"),
        pytest.param([20, 20], [20, 20], 4, [2, 2], id="at-all-costs"),
    ],
)
def test_fit(natural: list[int], words: list[int], room: int, expected: list[int]) -> None:
    """The last column first, then the widest; words are cut only where nothing else helps."""
    assert fit(natural, words, room) == expected


@given(st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=5), st.integers(16, 120))
def test_tables_fit(rows: list[tuple[str, str, str]], room: int) -> None:
    """Whatever the cells hold, no line is wider than the terminal, and nothing in it moves the cursor."""
    lines = table(("one", "two", "three"), rows, color=False, width=room)
    assert all(width(line) <= room for line in lines)
    assert not any(unicodedata.category(sign) in {"Cc", "Cf", "Zl", "Zp"} for line in lines for sign in line)


def test_wide_characters_keep_columns_aligned() -> None:
    """What follows a wide cell begins below its head."""
    lines = table(("a", "b"), [("漢字", "x"), ("abc", "y")], color=False, width=80)
    assert lines == ["a     b", "漢字  x", "abc   y"]


def test_a_column_that_holds_nothing_is_left_out() -> None:
    """Its head too."""
    assert table(("a", "b", "c"), [("1", "", "3")], color=False, width=80) == ["a  c", "1  3"]


@pytest.mark.parametrize(
    ("line", "room", "expected"),
    [
        pytest.param("push     oci:layout of it", 80, ["push     oci:layout of it"], id="fits"),
        pytest.param("push     oci:layout of it", 20, ["push     oci:layout", "    of it"], id="breaks"),
        pytest.param(
            "pushed   sha256:0123456789 (copy)", 12, ["pushed", "    sha256:0123456789", "    (copy)"], id="whole"
        ),
        pytest.param("0123456789", 4, ["0123456789"], id="one-word"),
        pytest.param("漢字 漢字 x", 5, ["漢字", "    漢字", "    x"], id="wide"),
        pytest.param("", 4, [""], id="empty"),
    ],
)
def test_fold(line: str, room: int, expected: list[str]) -> None:
    """Between words, which stay whole; the spaces within a line stay."""
    assert fold(line, room, "    ") == expected


@given(st.text(st.sampled_from("ab 漢"), max_size=40), st.integers(1, 30))
def test_fold_loses_no_word(line: str, room: int) -> None:
    """Whatever the line and the room."""
    assert " ".join(fold(line, room, "  ")).split() == line.split()
