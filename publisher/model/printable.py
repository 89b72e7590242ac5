"""Text from elsewhere, made safe to show on a terminal."""

from __future__ import annotations

import unicodedata

LONGEST = 2_000

# Besides control characters: surrogates, bidirectional controls and zero-width characters (Cf), line separators.
# They let remote text rewrite what the reader sees (CVE-2021-25743 and its kin).
_HIDDEN = frozenset({"Cc", "Cs", "Cf", "Zl", "Zp"})


def printable(text: str, *, longest: int = LONGEST) -> str:
    """Show control and invisible characters as escapes; keep newlines and tabs; cut at `longest` characters."""
    shown = "".join(_escape(character) for character in text[: longest + 1])
    return shown if len(shown) <= longest else shown[:longest] + "…"


def _escape(character: str) -> str:
    if character in "\n\t":
        return character
    if unicodedata.category(character) in _HIDDEN:
        code = ord(character)
        if code > 0xFFFF:  # noqa: PLR2004 - two bytes
            return f"\\U{code:08x}"
        return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}"  # noqa: PLR2004 - one byte
    return character
