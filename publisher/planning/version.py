"""Versions, semantic ones, those of PEP 440 and dotted numbers, and the tags that look like one."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Self

from semver import Version as Semver

if TYPE_CHECKING:
    from collections.abc import Sequence

    from packaging.version import Version as Pep440

# One part of a key below the numbers, comparable with any other: a number counts less than a word, as in semver.
_Part = tuple[int, int, str]
_BEFORE, _FINAL, _AFTER = -1, 0, 1
# Where a development release could stand and there is none.
_NO_DEV: Final[_Part] = (2, 0, "")

_DATE: Final = r"[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
_COMPACT: Final = r"[0-9]{4}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])"
# Two numbers or more, or a date; behind it what semver puts there, an ending and build metadata.
_DOTTED: Final = re.compile(
    rf"v?((?P<numbers>{_DATE}|{_COMPACT}|[0-9]+(?:\.[0-9]+)+)(?:-(?P<ending>[0-9A-Za-z][0-9A-Za-z.-]*))?)"
    r"(?:\+(?P<build>[0-9A-Za-z.-]+))?"
)
_NATURAL: Final = re.compile(r"[0-9]+|[^0-9.-]+")


class Scheme(StrEnum):
    """How a version is written; the first two are words of a rule's `type`.

    DOTTED: numbers with dots, as calendar versions (2026.02.0, 0.8.4.0, 0.30), and dates (20260203, 2026-02-03).
    """

    SEMVER = "semver"
    PEP440 = "pep440"
    DOTTED = "dotted"


ANY_SCHEME: Final = (Scheme.SEMVER, Scheme.DOTTED, Scheme.PEP440)
"""What rules read that take a ref as it is."""


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """A version. Two that count the same are equal however they are written: 1.2.0, and PEP 440's 1.2.

    key: what it is compared by: epoch, numbers without zeros at the end, stage, what follows, build metadata.
    text: as {{version}} writes it, build metadata left out. numbers: at least three.
    build: semver's build metadata, "" without; PEP 440's local version is a part of `text`. raw: as it was written.
    prerelease: whether it comes before its own numbers; what comes after them (1.2.post1) is neither that nor stable.
    """

    key: tuple[int, tuple[int, ...], int, tuple[_Part, ...], tuple[_Part, ...]]
    text: str = field(compare=False)
    numbers: tuple[int, ...] = field(compare=False)
    scheme: Scheme = field(default=Scheme.SEMVER, compare=False)
    build: str = field(default="", compare=False)
    raw: str = field(default="", compare=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a semantic version, a v before it or not; raises ValueError."""
        parsed = Semver.parse(text.removeprefix("v"))
        words = parsed.prerelease.split(".") if parsed.prerelease else []
        numbers = (parsed.major, parsed.minor, parsed.patch)
        stage = _BEFORE if words else _FINAL
        plain, build = str(parsed).partition("+")[0], parsed.build or ""
        key = (0, _significant(numbers), stage, tuple(map(_semver_part, words)), _natural_parts(build))
        return cls(key, plain, numbers, Scheme.SEMVER, build, text.removeprefix("v"))

    @classmethod
    def parse_pep440(cls, text: str) -> Self:
        """Read a version of PEP 440, which is put in its normal form; raises ValueError."""
        from packaging.version import Version as Pep440

        parsed = Pep440(text)
        numbers = (*parsed.release, 0, 0)[: max(3, len(parsed.release))]
        ahead = parsed.pre is not None or (parsed.dev is not None and parsed.post is None)
        stage = _BEFORE if ahead else _AFTER if parsed.is_postrelease else _FINAL
        key = (parsed.epoch, _significant(numbers), stage, _pep440_parts(parsed), _local_parts(parsed.local or ""))
        return cls(key, str(parsed), numbers, Scheme.PEP440, "", text.removeprefix("v"))

    @classmethod
    def parse_dotted(cls, text: str) -> Self:
        """Read dotted numbers or a date, zeros before a number kept in `text`; raises ValueError.

        An ending of numbers alone (20260203-1) counts builds of the same version; any other is a prerelease's.
        """
        match = _DOTTED.fullmatch(text)
        if match is None:
            raise ValueError(f"'{text}' is not a row of dotted numbers, nor a date")
        written, ending, build = match["numbers"], match["ending"] or "", match["build"] or ""
        counts_builds = not re.search(r"[A-Za-z]", ending)
        numbers = tuple(map(int, _split_date(written)))
        after = _natural_parts(f"{ending}.{build}" if counts_builds else build)
        words = () if counts_builds else _natural_parts(ending)
        key = (0, _significant(numbers), _BEFORE if words else _FINAL, words, after)
        padded = (*numbers, 0, 0)[: max(3, len(numbers))]
        return cls(key, match[1], padded, Scheme.DOTTED, build, text.removeprefix("v"))

    @property
    def major(self) -> int:
        """The first number."""
        return self.numbers[0]

    @property
    def minor(self) -> int:
        """The second number."""
        return self.numbers[1]

    @property
    def patch(self) -> int:
        """The third number."""
        return self.numbers[2]

    @property
    def is_prerelease(self) -> bool:
        """Whether it comes before the version with the same numbers."""
        return self.key[2] == _BEFORE

    def without_build(self) -> Self:
        """Leave build metadata out, as semver's {{version}} does, or a local version."""
        local = self.scheme is Scheme.PEP440 and "+" in self.text
        if not self.build and not local:
            return self
        return replace(
            self, key=(*self.key[:4], ()), text=self.text.partition("+")[0], build="", raw=self.raw.partition("+")[0]
        )

    def __str__(self) -> str:
        return f"{self.text}+{self.build}" if self.build else self.text


def _split_date(written: str) -> list[str]:
    if re.fullmatch(_COMPACT, written):
        return [written[:4], written[4:6], written[6:]]
    return re.split(r"[.-]", written)


def _significant(numbers: Sequence[int]) -> tuple[int, ...]:
    """The numbers without zeros at the end: 1.2 and 1.2.0 are one version."""
    end = len(numbers)
    while end and not numbers[end - 1]:
        end -= 1
    return tuple(numbers[:end])


def _semver_part(word: str) -> _Part:
    return (0, int(word), "") if word.isdecimal() else (1, 0, word)


def _natural_parts(text: str) -> tuple[_Part, ...]:
    """Numbers as numbers, wherever they stand: cu99 comes before cu118."""
    return tuple(_semver_part(part) for part in _NATURAL.findall(text))


def _local_parts(local: str) -> tuple[_Part, ...]:
    """PEP 440's order of local versions: a number counts more than a word."""
    return tuple((1, int(part), "") if part.isdecimal() else (0, 0, part) for part in local.split(".") if part)


def _pep440_parts(parsed: Pep440) -> tuple[_Part, ...]:
    """PEP 440's order: 1.0.dev1, 1.0a1.dev1, 1.0a1, 1.0rc1, 1.0, 1.0.post1.dev1, 1.0.post1."""
    parts: list[_Part] = []
    if parsed.pre:
        parts += [(1, 0, parsed.pre[0]), (0, parsed.pre[1], "")]
    if parsed.post is not None:
        parts += [(0, parsed.post, "")]
    if parts or parsed.dev is not None:
        parts += [_NO_DEV if parsed.dev is None else (0, parsed.dev, "")]
    return tuple(parts)


_PARSERS: Final = {
    Scheme.SEMVER: Version.parse,
    Scheme.PEP440: Version.parse_pep440,
    Scheme.DOTTED: Version.parse_dotted,
}
_STARTS: Final = re.compile(r"[vV]?[0-9]")


def parse_version(text: str, schemes: Sequence[Scheme] = (Scheme.SEMVER,)) -> Version | None:
    """Read a whole version by the first of these schemes that fits; None if it isn't one."""
    if not _STARTS.match(text):
        return None
    for scheme in schemes:
        try:
            return _PARSERS[scheme](text)
        except ValueError:
            continue
    return None


def is_stable(version: Version) -> bool:
    """Whether it is neither a prerelease nor a post-release."""
    return version.key[2] == _FINAL


def is_prerelease_text(text: str) -> bool:
    """Whether a ref's name is a prerelease by any scheme, whatever the rules are."""
    version = parse_version(text, ANY_SCHEME)
    return version is not None and version.is_prerelease


# Names as people give them, whatever the rules: perhaps a word before them (api-1.2.3), perhaps a suffix behind.
_WORD: Final = r"(?:(?!yanked-)[A-Za-z][A-Za-z0-9]*[-_])"
_EXACT: Final = re.compile(rf"{_WORD}*(?P<version>v?(?:[0-9]+\.[0-9]+\.[0-9]+|{_DATE}|{_COMPACT})(?:[-._].*)?)")
_FLOATING: Final = re.compile(rf"(?:v?[0-9]+|{_WORD}*(?:v?[0-9]+\.[0-9]+|latest)|v?[0-9]+\.[0-9]+)(?:-[A-Za-z].*)?")


def is_exact_name(tag: str) -> bool:
    """Whether the tag names one version for ever, whatever the rules: 1.2.3, v1.2.3, 1.2.3-alpine, 20260203."""
    return _EXACT.fullmatch(tag) is not None


def is_floating_name(tag: str) -> bool:
    """Whether the tag follows a line of versions, whatever the rules: 1.2, v1, latest, 1.2-alpine."""
    return _FLOATING.fullmatch(tag) is not None


def version_of(tag: str) -> Version | None:
    """The version that an exact name states, a suffix read as semver reads it; None for any other tag."""
    match = _EXACT.fullmatch(tag)
    return parse_version(match["version"], (Scheme.SEMVER, Scheme.DOTTED)) if match else None
