"""Text from elsewhere, made safe to show."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from publisher.model.printable import LONGEST, printable, printable_json

CONTROLS = [*range(9), *range(0xB, 0x20), *range(0x7F, 0xA0)]
HIDDEN = [*range(0x200B, 0x2010), *range(0x2028, 0x202F), *range(0x2066, 0x206A), 0xFEFF, 0x61C, 0xAD, 0xD800, 0xE0041]


@pytest.mark.parametrize("code", CONTROLS + HIDDEN, ids=hex)
def test_hidden(code: int) -> None:
    """Control and invisible characters are shown as escapes."""
    shown = printable(f"a{chr(code)}b")
    assert chr(code) not in shown
    assert shown.startswith("a\\")
    assert f"{code:02x}" in shown


@pytest.mark.parametrize("text", ["", "plain", "two\nlines\tand a tab", "żółć 漢字 🚢", "back\\slash"])
def test_plain(text: str) -> None:
    """What can be read stays."""
    assert printable(text) == text


def test_escapes() -> None:
    """The forms of an escape."""
    assert printable("\x1b[31m\u202e\U000e0041") == "\\x1b[31m\\u202e\\U000e0041"


@given(st.text(st.characters(), max_size=200), st.integers(1, 100))
def test_any_text(text: str, longest: int) -> None:
    """Whatever comes, what is shown is short, visible, and shown the same again."""
    shown = printable(text, longest=longest)
    assert len(shown) <= longest + 1
    assert all(c in "\n\t" or unicodedata.category(c) not in {"Cc", "Cf", "Cs", "Zl", "Zp"} for c in shown)
    assert printable(shown, longest=longest) == shown


@pytest.mark.parametrize("text", ["x" * 5000, "\x1b" * LONGEST], ids=["plain", "escapes"])
def test_cut(text: str) -> None:
    """A long text is cut, escapes counted."""
    assert len(printable(text)) == LONGEST + 1
    assert printable(text).endswith("…")


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=200))
def test_json_is_the_same_document(text: str) -> None:
    """What is hidden stands as an escape, which reads back as what it was."""
    shown = printable_json(json.dumps([text], ensure_ascii=False))
    assert json.loads(shown) == [text]
    assert all(c in "\n\t" or unicodedata.category(c) not in {"Cc", "Cf", "Cs", "Zl", "Zp"} for c in shown)
