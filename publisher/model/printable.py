"""Text from elsewhere, made safe to show on a terminal."""

from __future__ import annotations

import unicodedata

LONGEST = 2_000

# Bidirectional controls, line separators and zero-width characters: they let remote text rewrite what the reader
# sees (CVE-2021-25743 and its kin), though unicodedata doesn't class them all as control characters.
_HIDDEN = frozenset(
    chr(code) for code in (*range(0x200B, 0x2010), *range(0x2028, 0x202F), *range(0x2060, 0x206A), 0xFEFF)
)


def printable(text: str, *, longest: int = LONGEST) -> str:
    """Show control and invisible characters as escapes; keep newlines and tabs; cut at `longest` characters."""
    shown = "".join(_escape(character) for character in text[: longest + 1])
    return shown if len(text) <= longest else shown[:longest] + "…"


def _escape(character: str) -> str:
    if character in "\n\t":
        return character
    if character in _HIDDEN or unicodedata.category(character) in {"Cc", "Cs"}:
        code = ord(character)
        return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}"  # noqa: PLR2004 - one byte
    return character
