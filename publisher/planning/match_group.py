"""The group of a match rule: which texts it gives, wherever in a ref it stands.

A match rule takes its tag out of a git tag whose beginning nobody knows when a registry is read. So the pattern is
read from its group on: what the group takes of a version, and what the rest of the pattern lets follow.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from publisher.model.plan import Kind
from publisher.planning.rules import compiled
from publisher.planning.version import Version, parse_version

if TYPE_CHECKING:
    from collections.abc import Sequence

    from publisher.planning.rules import Rule
    from publisher.planning.version import Scheme

# What makes a piece of a pattern mean something else alone: looks around, back references, conditions.
_ENTANGLED: Final = re.compile(r"\\[1-9]|\(\?(?:P=|=|!|<=|<!|\()")
_LITERAL: Final = re.compile(r"(?:[^\\^$.|?*+()\[\]{}]|\\[^A-Za-z0-9])(?![?*+{])")
_LINE: Final = re.compile(r"v?[0-9]+(?:\.[0-9]+)?")
# What could follow a line's numbers in a whole version.
_CONTINUATIONS: Final = (".7", ".7.7", ".07", ".07.07", ".7.7.7")
# How refs are written around a version, for patterns that can't be taken apart.
_AROUND: Final = ("v", "")


def match_group(rule: Rule) -> MatchGroup:
    """The group that a match rule takes; rules that are written alike share it."""
    return _of_pattern(rule.pattern, compiled(rule, rule.pattern), int(rule.group))


@lru_cache(maxsize=256)
def _of_pattern(_written: str, pattern: re.Pattern[str], number: int) -> MatchGroup:
    return MatchGroup(pattern, number)


class MatchGroup:
    r"""word: the literal text that the group begins with, as the v of (v\d+)."""

    def __init__(self, pattern: re.Pattern[str], number: int) -> None:
        self._pattern = pattern
        self._number = min(number, pattern.groups)
        parts = _split(pattern.pattern, number)
        self._from_group = re.compile(f"({parts[0]}){parts[1]}", pattern.flags) if parts else None
        self.word = _literal_start(parts[0]) if parts else ""
        self._end = _whole_literal(parts[1].removesuffix("$")) if parts else ""

    def give(self, text: str) -> str | None:
        """What the group takes of a ref that reads `text` from where the group begins, or from behind its word."""
        if self._from_group is None:
            found = (self._pattern.search(f"{before}{text}") for before in _AROUND)
            return next((match[self._number] for match in found if match and match[self._number]), None)
        starts = dict.fromkeys((text, self.word + text, f"{self.word}v{text}"))
        ends = dict.fromkeys(("", self._end))
        found = (self._from_group.match(start + end) for start in starts for end in ends)
        return next((match[1] for match in found if match and match[1]), None)

    def gives(self, text: str) -> bool:
        """Whether some ref that ends with this text is given as a whole."""
        return self.give(text) in {text, self.word + text}

    def floats(self, text: str) -> bool:
        """Whether it gives one or two numbers that may be the beginning of a longer version."""
        numbers = text.removeprefix(self.word)
        if _LINE.fullmatch(numbers) is None:
            return False
        return any(self.give(numbers + more) in {text, numbers} for more in _CONTINUATIONS)

    def gives_more_than(self, count: int) -> bool:
        """Whether it gives whole versions of more than `count` numbers."""
        rows = (["7"] * length for length in range(count + 1, 5))
        samples = (".".join(row) for numbers in rows for row in (numbers, ["2027", *numbers[1:]], ["27", *numbers[1:]]))
        padded = ("2027.07", "2027.07.7", "2027.07.07", "20270707", "2027-07-07")
        return any(self.gives(text) for text in (*samples, *(one for one in padded if one.count(".") >= count)))

    def classify(self, part: str, ref: str, start: int, schemes: Sequence[Scheme]) -> tuple[Kind, Version | None]:
        """What the part of a ref at `start` is: a version's own name, its line, or just a word.

        The version is the longest that begins where the part does; what the pattern strips by its letters is no part
        of it. A part that says something else than the whole version comes back as an exact name of the whole one.
        """
        end = start + len(part)
        word = self.word if part.startswith(self.word) else ""
        core = part[len(word) :]
        if parse_version(core, schemes) is None:
            return Kind.REF, None
        stripped = self._end if self._end and ref.startswith(self._end, end) else ""
        rest = core + ref[end + len(stripped) :]
        lengths = (length for length in range(len(rest), len(core) - 1, -1))
        whole, length = next((found, length) for length in lengths if (found := parse_version(rest[:length], schemes)))
        if length == len(core) or not _LINE.fullmatch(core):
            return Kind.EXACT, whole
        return (Kind.FLOATING, whole) if rest[len(core)] == "." else (Kind.EXACT, whole)


def _split(body: str, number: int) -> tuple[str, str] | None:
    """What stands in the group, and what follows it; None where a piece alone would mean something else."""
    if _ENTANGLED.search(body):
        return None
    if number == 0:
        return f"(?:{body})", ""
    span = _group_span(body, number)
    if span is None or body[span[1] : span[1] + 1] in {"?", "*", "+", "{"}:
        return None
    return body[span[0] : span[1] - 1], body[span[1] :]


def _group_span(body: str, number: int) -> tuple[int, int] | None:
    """Where a group's content begins and its parenthesis ends, if it stands in no other and no alternative."""
    depth = seen = start = 0
    for token in _TOKEN.finditer(body):
        opens = token[0].startswith("(")
        if token[0] == "|" and depth == 0:
            return None
        if opens and not token[0].startswith("(?:"):
            seen += 1
            if seen == number:
                start = token.end() if depth == 0 else -1
                opened = depth
        depth += 1 if opens else -1 if token[0] == ")" else 0
        if token[0] == ")" and start and depth == opened:
            return (start, token.end()) if start > 0 else None
    return None


_TOKEN: Final = re.compile(
    r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\((?:\?(?::|[aiLmsux-]+:|P?<\w+>))?|\)|\||[^\\\[()|]+", re.DOTALL
)


def _literal_start(source: str) -> str:
    found, at = "", 3 if source.startswith("(?:") else 0
    if source[at : at + 1] == "^":
        at += 1
    while match := _LITERAL.match(source, at):
        if match[0].isdigit() or ("|" in source and source.startswith("(?:")):
            break
        found, at = found + match[0].removeprefix("\\"), match.end()
    return found


def _whole_literal(source: str) -> str:
    pieces = re.findall(_LITERAL.pattern, source)
    return "".join(piece.removeprefix("\\") for piece in pieces) if "".join(pieces) == source else ""
