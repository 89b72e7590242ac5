"""The version that a tag names: one notion for what is written and for what is read back.

What a set of rules writes for a version must read back as that version whatever is being released, so nothing here
depends on the ref that is built, and rules that are not enabled now are read all the same.
"""

from __future__ import annotations

import re
from functools import lru_cache
from math import inf
from operator import itemgetter
from typing import TYPE_CHECKING, Final, NamedTuple

from publisher.model.plan import Kind
from publisher.planning.flavor import Latest
from publisher.planning.match_group import match_group
from publisher.planning.rules import MARKER, PLACEHOLDER, RuleType
from publisher.planning.version import (
    Version,
    is_exact_name,
    is_floating_name,
    is_stable,
    parse_version,
    version_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from publisher.planning.rules import Rule, Ruleset

FORBIDDEN: Final = re.compile(r"[^A-Za-z0-9._-]+")
"""What can't stand in a tag; each run of it is written as one dash."""
# Endings that no build metadata has: with one of them the text tells that it is a prerelease.
_PRERELEASE: Final = re.compile(r"(?:alpha|beta|rc|pre|preview)(?![A-Za-z])", re.IGNORECASE)
# Epochs count the few times that a project changed how it counts; a longer number before a dash is a date.
_EPOCH: Final = re.compile(r"(v?[0-9]{1,3})-(?=[0-9])")
_DASHED_DATE: Final = re.compile(r"v?[0-9]{4}-[0-9]{2}-[0-9]{2}")
_NUMBERS: Final = re.compile(r"[0-9]+(?:\.[0-9]+)*")
# A version's key, in which a line's numbers go on without end.
_Order = tuple[int, tuple[float, ...], int, tuple[object, ...], tuple[object, ...]]
# A tag with more dashes than this is a branch's or a sentence.
_MOST_DASHES: Final = 8


class Reading(NamedTuple):
    """One version that a tag may name. text: how it was spelled before it was a tag; label: the whole tag so."""

    version: Version
    text: str
    label: str

    def says(self, version: Version) -> bool:
        """Whether it is this version, or the same text counted by another scheme."""
        numbers = re.search(r"[0-9].*", self.text)
        return self.version == version or (
            numbers is not None and parse_version(numbers[0], (version.scheme,)) == version
        )


@lru_cache(maxsize=32)
def tag_reader(ruleset: Ruleset) -> TagReader:
    """The reader of a set of rules; the same rules have the same one."""
    return TagReader(ruleset)


class TagReader:
    """Reads tags by one set of rules."""

    def __init__(self, ruleset: Ruleset) -> None:
        rules = [*ruleset.rules, *ruleset.disabled]
        forms = [_Form(rule, ruleset) for rule in rules if rule.is_fixed and (rule.scheme or rule.names_versions)]
        # 1.2.3-alpine is 1.2.3 to a rule with that suffix, and a prerelease only where there is none.
        sizes = sorted({form.size for form in forms}, reverse=True)
        self._groups = [[form for form in forms if form.size == size] for size in sizes]
        self._lines = _lines(ruleset, rules)
        self._read: dict[str, tuple[Reading, ...]] = {}
        self._matching = [form for form in forms if form.rule.type is RuleType.MATCH and self._is_line(form, forms)]

    def readings(self, tag: str) -> tuple[Reading, ...]:
        """Each version that the tag may name, as its text says at first sight before others; none for other tags.

        Several: a dash may stand for what a tag can't hold, as the + of build metadata.
        """
        if tag not in self._read:
            self._read[tag] = self._first_readings(tag)
        return self._read[tag]

    def versions(self, tag: str) -> tuple[Version, ...]:
        """The versions that it may name for ever; none for what could as well be a floating tag."""
        readings = self.readings(tag)
        return () if not readings or self.floats(tag) else tuple(reading.version for reading in readings)

    def stated(self, tag: str, label: str) -> Version | None:
        """The version that the image under the tag states, if the rules write this very tag from it."""
        named = [reading.version for reading in self.readings(tag) if label in _labels(reading)]
        return named[0] if len(named) == 1 else None

    def floats(self, tag: str) -> bool:
        """Whether it looks like a floating tag, whatever the version."""
        return self._lines.fullmatch(tag) is not None or any(form.floats(tag) for form in self._matching)

    def kind_of(self, tag: str) -> Kind:
        """What kind of tag it is to somebody who moves it by hand: by the rules, else by what people call tags."""
        if self.versions(tag) or is_exact_name(tag):
            return Kind.EXACT
        return Kind.FLOATING if self.floats(tag) or is_floating_name(tag) else Kind.REF

    def version_of(self, tag: str) -> Version | None:
        """The version that an exact tag names at first sight, by the rules, else by what people call tags."""
        versions = self.versions(tag)
        return versions[0] if versions else version_of(tag)

    def is_marker(self, tag: str) -> bool:
        """Whether it marks a version as yanked."""
        exact = tag.removeprefix(MARKER)
        return tag.startswith(MARKER) and (is_exact_name(exact) or bool(self.readings(exact)))

    def _first_readings(self, tag: str) -> tuple[Reading, ...]:
        for forms in self._groups:
            read = [reading for form in forms for reading in form.readings(tag)]
            if read:
                # Rules of two types may count one text differently: the first of them is taken at its word.
                spelled = {reading.text: reading for reading in reversed(read)}.values()
                return tuple({reading.version: reading for reading in spelled}.values())[::-1]
        return ()

    @staticmethod
    def _is_line(form: _Form, forms: list[_Form]) -> bool:
        """Whether what a match rule gives may be the line of what another rule names."""
        return any(other.rule is not form.rule and other.is_longer_than_lines for other in forms)


def newest_first(ruleset: Ruleset, tags: Iterable[str]) -> list[str]:
    """Tags in the order of versions, each floating tag before those that it spans; other names last, by name."""
    reader = tag_reader(ruleset)
    words, numbered, others = list[str](), list[tuple[_Order, str]](), list[str]()
    for tag in sorted(tags):
        if order := _order(reader, tag):
            numbered.append((order, tag))
        else:
            (words if reader.kind_of(tag) is Kind.FLOATING else others).append(tag)
    numbered.sort(key=itemgetter(0), reverse=True)
    return [*words, *(tag for _order, tag in numbered), *others]


def _order(reader: TagReader, tag: str) -> _Order | None:
    """What a tag is compared by; a line comes after all that can be on it."""
    kind = reader.kind_of(tag)
    if kind is Kind.EXACT:
        version = reader.version_of(tag)
        return version.key if version else None
    numbers = _NUMBERS.search(tag) if kind is Kind.FLOATING else None
    return (0, (*map(int, numbers[0].split(".")), inf), 0, (), ()) if numbers else None


class _Form:
    """How one rule writes versions into tags."""

    def __init__(self, rule: Rule, ruleset: Ruleset) -> None:
        self.rule = rule
        self._prefix, self._suffix = affixes(rule, ruleset)
        self.size = (len(self._suffix), len(self._prefix))
        self._template = _template(rule.pattern) if rule.scheme and rule.names_versions else None

    @property
    def is_longer_than_lines(self) -> bool:
        """Whether its tags can hold more than the one or two numbers of a line."""
        if self.rule.type is RuleType.MATCH:
            return match_group(self.rule).gives_more_than(1)
        return self.rule.names_versions

    def readings(self, tag: str) -> Iterator[Reading]:
        text = self._inner(tag)
        if text is None:
            return
        whole = self._whole(text) or ""
        for version, written in _versions(self.rule, whole):
            if whole == text or is_stable(version):
                yield self._reading(version, written, text.replace(whole, written, 1))
        if whole != text:
            # A prerelease is written as its whole version, whatever stands around it in the pattern.
            unstable = ((version, written) for version, written in _versions(self.rule, text) if not is_stable(version))
            yield from (self._reading(version, written, written) for version, written in unstable)

    def floats(self, tag: str) -> bool:
        text = self._inner(tag)
        return text is not None and match_group(self.rule).floats(text)

    def _inner(self, tag: str) -> str | None:
        inside = tag.startswith(self._prefix) and tag.endswith(self._suffix)
        return (tag[len(self._prefix) : len(tag) - len(self._suffix)] or None) if inside else None

    def _whole(self, text: str) -> str | None:
        """The version within a tag, as the pattern of the rule puts it there."""
        if not self.rule.names_versions:
            return None
        if self._template is None:
            return text
        match = self._template.fullmatch(text)
        if match is None:
            return None
        parts = match.groupdict()
        return parts["whole"] if "whole" in parts else f"{parts['major']}.{parts['minor']}.{parts['patch']}"

    def _reading(self, version: Version, written: str, inner: str) -> Reading:
        return Reading(version, written, f"{self._prefix}{inner}{self._suffix}")


def affixes(rule: Rule, ruleset: Ruleset) -> tuple[str, str]:
    """What a rule's tags begin and end with: its own prefix and suffix, else the flavor's."""
    prefix = ruleset.flavor.prefix if rule.prefix is None else rule.prefix
    suffix = ruleset.flavor.suffix if rule.suffix is None else rule.suffix
    return FORBIDDEN.sub("-", prefix), FORBIDDEN.sub("-", suffix)


def _template(pattern: str) -> re.Pattern[str]:
    """A pattern of placeholders as an expression that finds them again."""
    return re.compile("".join(_pieces(pattern, lambda name: f"(?P<{name}>[0-9]+)")))


def _lines(ruleset: Ruleset, rules: list[Rule]) -> re.Pattern[str]:
    """What the floating tags of version patterns look like, and `latest`."""
    shapes = [_shape(rule, *affixes(rule, ruleset)) for rule in rules if rule.is_floating]
    latest = [re.escape(ruleset.flavor.latest_name)] if ruleset.flavor.latest is not Latest.FALSE else []
    return re.compile("|".join([*latest, *shapes]) or r"(?!)")


def _shape(rule: Rule, prefix: str, suffix: str) -> str:
    return f"{re.escape(prefix)}{''.join(_pieces(rule.pattern, lambda _: '[0-9]+'))}{re.escape(suffix)}"


def _pieces(pattern: str, number: Callable[[str], str]) -> Iterator[str]:
    """The pieces of a pattern as expressions; a stable version, which is what patterns are for, has no prerelease."""
    pieces = PLACEHOLDER.split(pattern)
    for place, piece in enumerate(pieces):
        if not place % 2:
            whole_follows = pieces[place + 1 : place + 2] == ["version"]
            yield re.escape(FORBIDDEN.sub("-", piece.removesuffix("v") if whole_follows else piece))
        elif piece in {"version", "raw"}:
            yield r"(?P<whole>v?[0-9].*)"
        elif piece != "prerelease":
            yield number(piece)


def _versions(rule: Rule, text: str) -> Iterator[tuple[Version, str]]:
    """What a rule writes as this text: each version, and how it was spelled."""
    if rule.type is RuleType.SEMVER and not rule.keeps_raw:
        version = parse_version(text)
        return iter([(version.without_build(), text)] if version and not version.build else [])
    schemes = (rule.scheme,) if rule.scheme else rule.schemes
    spelled = _spellings(text) if rule.type is not RuleType.MATCH else filter(match_group(rule).gives, _spellings(text))
    word = match_group(rule).word if rule.type is RuleType.MATCH else ""
    read = [(version, one) for one in spelled if (version := parse_version(one.removeprefix(word), schemes))]
    if rule.type is RuleType.PEP440 and not rule.keeps_raw:
        return ((version, one) for version, one in read if str(version) == one.removeprefix("v"))
    return iter(read)


def _spellings(text: str) -> Iterator[str]:
    """The text as it is, and with a dash for what a tag can't hold: the + of build metadata, the ! of an epoch."""
    yield text
    date = _DASHED_DATE.match(text)
    epoch = _EPOCH.match(text)
    starts = [text, *([f"{epoch[1]}!{text[epoch.end() :]}"] if epoch and not date else [])]
    yield from starts[1:]
    dashes = [place for place, letter in enumerate(text) if letter == "-" and place >= (date.end() if date else 1)]
    for start in starts if len(dashes) <= _MOST_DASHES else ():
        for place in dashes:
            if start[place] == "-" and not _PRERELEASE.match(start, place + 1):
                yield f"{start[:place]}+{start[place + 1 :]}"


def _labels(reading: Reading) -> set[str]:
    """How an image may state a reading: the version, as it was written or without its v, or the tag before dashes."""
    plain = reading.text.removeprefix("v")
    return {plain, f"v{plain}", str(reading.version), reading.label}
