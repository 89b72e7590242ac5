"""Versions, semantic ones and those of PEP 440, and the tags that look like one."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Self

from semver import Version as Semver

if TYPE_CHECKING:
    from collections.abc import Sequence

    from packaging.version import Version as Pep440

# Exact for people, not only for semver: 1.2.3-alpine and 1.2.3.4 name one build for ever too.
_EXACT = re.compile(r"v?[0-9]+\.[0-9]+\.[0-9]+(?:[-._].*)?")
_FLOATING = re.compile(r"(?:v?[0-9]+(?:\.[0-9]+)?|latest)(?:-[A-Za-z].*)?")

# One part of a key below the numbers, comparable with any other: a number counts less than a word, as in semver.
_Part = tuple[int, int, str]
_BEFORE, _FINAL, _AFTER = -1, 0, 1
# Where a development release could stand and there is none.
_NO_DEV: Final[_Part] = (2, 0, "")


class Scheme(StrEnum):
    """How a version is written; the words are those of a rule's `type`."""

    SEMVER = "semver"
    PEP440 = "pep440"


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """A version. Two that count the same are equal however they are written: 1.2.0, and PEP 440's 1.2.

    key: what it is compared by: epoch, numbers without zeros at the end, stage, what follows.
    text: as {{version}} writes it, build metadata left out. numbers: at least three.
    prerelease: whether it comes before its own numbers; what comes after them (1.2.post1) is neither that nor stable.
    """

    key: tuple[int, tuple[int, ...], int, tuple[_Part, ...]]
    text: str = field(compare=False)
    numbers: tuple[int, ...] = field(compare=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a semantic version, a v before it or not; raises ValueError."""
        found = Semver.parse(text.removeprefix("v"))
        words = found.prerelease.split(".") if found.prerelease else []
        numbers = (found.major, found.minor, found.patch)
        stage = _BEFORE if words else _FINAL
        plain = str(found).partition("+")[0]
        return cls((0, _significant(numbers), stage, tuple(map(_semver_part, words))), plain, numbers)

    @classmethod
    def parse_pep440(cls, text: str) -> Self:
        """Read a version of PEP 440, which is put in its normal form; raises ValueError."""
        from packaging.version import Version as Pep440

        found = Pep440(text)
        numbers = (*found.release, 0, 0)[: max(3, len(found.release))]
        ahead = found.pre is not None or (found.dev is not None and found.post is None)
        stage = _BEFORE if ahead else _AFTER if found.is_postrelease else _FINAL
        return cls((found.epoch, _significant(numbers), stage, _pep440_parts(found)), str(found), numbers)

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

    def __str__(self) -> str:
        return self.text


def _significant(numbers: Sequence[int]) -> tuple[int, ...]:
    """The numbers without zeros at the end: 1.2 and 1.2.0 are one version."""
    end = len(numbers)
    while end and not numbers[end - 1]:
        end -= 1
    return tuple(numbers[:end])


def _semver_part(word: str) -> _Part:
    return (0, int(word), "") if word.isdecimal() else (1, 0, word)


def _pep440_parts(found: Pep440) -> tuple[_Part, ...]:
    """PEP 440's order: 1.0.dev1, 1.0a1.dev1, 1.0a1, 1.0rc1, 1.0, 1.0.post1.dev1, 1.0.post1."""
    parts: list[_Part] = []
    if found.pre:
        parts += [(1, 0, found.pre[0]), (0, found.pre[1], "")]
    if found.post is not None:
        parts += [(0, found.post, "")]
    if parts or found.dev is not None:
        parts += [_NO_DEV if found.dev is None else (0, found.dev, "")]
    return tuple(parts)


def parse_version(text: str, schemes: Sequence[Scheme] = (Scheme.SEMVER,)) -> Version | None:
    """Read a whole version by the first of these schemes that fits; None if it isn't one."""
    for scheme in schemes:
        try:
            return Version.parse(text) if scheme is Scheme.SEMVER else Version.parse_pep440(text)
        except ValueError:
            continue
    return None


def is_stable(version: Version) -> bool:
    """Whether it is neither a prerelease nor a post-release."""
    return version.key[2] == _FINAL


def is_prerelease_text(text: str) -> bool:
    """Whether a ref's name is a prerelease by semver or PEP 440, whatever the rules are."""
    found = parse_version(text, (Scheme.SEMVER, Scheme.PEP440))
    return found is not None and found.is_prerelease


def is_exact_name(tag: str) -> bool:
    """Whether the tag names one version for ever, whatever the rules: 1.2.3, v1.2.3, 1.2.3-alpine."""
    return _EXACT.fullmatch(tag) is not None


def is_floating_name(tag: str) -> bool:
    """Whether the tag follows a line of versions, whatever the rules: 1.2, v1, latest, 1.2-alpine."""
    return _FLOATING.fullmatch(tag) is not None


def version_of(tag: str) -> Version | None:
    """The version that an exact name states, a suffix read as semver reads it; None for any other tag."""
    return parse_version(tag) if is_exact_name(tag) else None


def lowers(tag: str, current: str, new: str) -> bool:
    """Whether moving the tag from the exact name `current` to `new` would lower it.

    Only floating names can be lowered; a name without a version is never known to be lower.
    """
    held, wanted = version_of(current), version_of(new)
    return is_floating_name(tag) and held is not None and wanted is not None and wanted < held
