"""Text from elsewhere, made safe to show on a terminal."""

from __future__ import annotations

import unicodedata

LONGEST = 2_000

# Besides control characters: surrogates, bidirectional controls and zero-width characters (Cf), line separators.
# They let remote text rewrite what the reader sees (CVE-2021-25743 and its kin).
_HIDDEN = frozenset({"Cc", "Cs", "Cf", "Zl", "Zp"})


def printable(text: str, *, longest: int = LONGEST) -> str:
    """Show control and invisible characters as escapes; keep newlines and tabs; cut at `longest` characters."""
    escaped = "".join(_escape(character) for character in text[: longest + 1])
    return escaped if len(escaped) <= longest else escaped[:longest] + "…"


def _escape(character: str) -> str:
    if character in "\n\t":
        return character
    if unicodedata.category(character) in _HIDDEN:
        code = ord(character)
        if code > 0xFFFF:  # noqa: PLR2004 - two bytes
            return f"\\U{code:08x}"
        return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}"  # noqa: PLR2004 - one byte
    return character


def printable_json(text: str) -> str:
    """The same JSON document, with hidden characters as JSON's own escapes: it is read on terminals too.

    So is `##[`, which is a command to GitHub's runner wherever it stands. All these can stand in strings only.
    """
    text = text.replace("##[", r"#\u0023[")
    return text if text.isascii() and "\x7f" not in text else "".join(map(_escape_in_json, text))


def _escape_in_json(character: str) -> str:
    if character in "\n\t" or unicodedata.category(character) not in _HIDDEN:
        return character
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[offset : offset + 2].hex()}" for offset in range(0, len(units), 2))
