"""Lines of floating tags: which versions a repository has published, and which tag belongs to which of them."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from publisher.model.plan import Kind
from publisher.model.value import Value
from publisher.planning.flavor import Latest
from publisher.planning.names import version_names
from publisher.planning.rules import MARKER, PLACEHOLDER, RuleType, is_marker
from publisher.planning.version import is_stable, parse_version

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from publisher.model.digest import Digest
    from publisher.planning.names import Name
    from publisher.planning.rules import Rule, Ruleset
    from publisher.planning.version import Scheme, Version


class LineState(StrEnum):
    """How a floating tag stands to its version. An orphan has no version left, and stays where it is."""

    OK = "ok"
    DRIFT = "drift"
    MISSING = "missing"
    ORPHAN = "orphan"


class Line(Value, frozen=True):
    """One floating tag: what it holds, what it should hold, and by which version."""

    tag: str
    digest: Digest | None
    desired: Digest | None
    version: Version | None
    state: LineState


class Survey(Value, frozen=True):
    """Versions newest first; lines by name; `foreign` are the tags that no rule speaks of."""

    versions: tuple[PublishedVersion, ...]
    lines: tuple[Line, ...]
    foreign: tuple[str, ...]

    @property
    def drifted(self) -> tuple[Line, ...]:
        """The lines that a reconcile would write."""
        return tuple(line for line in self.lines if line.state in {LineState.DRIFT, LineState.MISSING})


def survey(ruleset: Ruleset, state: Published) -> Survey:
    """Look at the whole repository; `state` must hold the digests of survey_reads."""
    published = published_versions(ruleset, state)
    wanted = desired(ruleset, eligible(published))
    lines = [line_of(tag, published[version], state) for tag, version in wanted.items()]
    floating = shapes(ruleset)
    exact = {tag for found in published.values() for tag in found.tags}
    rest = sorted(tag for tag in state.tags - exact - wanted.keys() if not is_marker(tag))
    orphans = {tag for tag in rest if floating.fullmatch(tag) and tag not in ruleset.claimed}
    lines += [Line(tag, state.held.get(tag), None, None, LineState.ORPHAN) for tag in orphans]
    return Survey(
        tuple(found for _, found in sorted(published.items(), reverse=True)),
        tuple(sorted(lines, key=lambda line: line.tag)),
        tuple(tag for tag in rest if tag not in orphans),
    )


def survey_reads(ruleset: Ruleset, tags: Iterable[str]) -> frozenset[str]:
    """Which of these tags a survey needs the digests of: exact names, their markers, all that may float."""
    present = frozenset(tags)
    exact = {tag for spelled in exact_tags(ruleset, present).values() for tag in spelled}
    markers = {MARKER + tag for tag in exact} & present
    floating = shapes(ruleset)
    return frozenset(exact | markers | {tag for tag in present if floating.fullmatch(tag)})


def line_of(tag: str, owner: PublishedVersion, state: Published) -> Line:
    """One line beside the version that it belongs to; what was not read counts as right."""
    held = state.held.get(tag)
    return Line(tag, held, owner.digest, owner.version, _state(tag, held, owner, state))


def _state(tag: str, held: Digest | None, owner: PublishedVersion, state: Published) -> LineState:
    if held is None and tag not in state.tags:
        return LineState.MISSING
    unread = held is None or owner.digest is None
    return LineState.OK if unread or held == owner.digest else LineState.DRIFT


class Published(Value, frozen=True):
    """What one repository holds: all its `tags`, and the digests of those that were read."""

    tags: frozenset[str] = frozenset()
    held: Mapping[str, Digest] = msgspec.field(default_factory=dict)


class PublishedVersion(Value, frozen=True):
    """A version that is there. `tags` are its exact names, the rules' own spelling first.

    digest: what the first of them holds, None if it was not read.
    yanked: whether a marker points at what one of them holds.
    """

    version: Version
    tags: tuple[str, ...]
    digest: Digest | None
    yanked: bool


def desired(ruleset: Ruleset, versions: Iterable[Version]) -> dict[str, Version]:
    """Tell which floating tag belongs to which version, when these versions are published and not yanked.

    Each version's rules are expanded as if it were released; a name belongs to the highest that produced it.
    Prereleases produce none. All commands that touch floating tags decide by this function alone.
    """
    stable = sorted(filter(is_stable, versions), key=lambda version: version.key)
    return {name.tag: version for version in stable for name in floating_names(ruleset, version)}


def floating_names(ruleset: Ruleset, version: Version) -> tuple[Name, ...]:
    """The floating tags that a version produces, whether or not they belong to it."""
    return tuple(name for name in version_names(ruleset, version) if name.kind is Kind.FLOATING)


def eligible(published: Mapping[Version, PublishedVersion]) -> frozenset[Version]:
    """The versions that floating tags may point to: stable, and not yanked."""
    return frozenset(version for version, found in published.items() if is_stable(version) and not found.yanked)


def published_versions(ruleset: Ruleset, state: Published) -> dict[Version, PublishedVersion]:
    """The versions of which an exact name by these rules is there, yanked ones among them."""
    return {
        version: PublishedVersion(version, tags, state.held.get(tags[0]), is_yanked(tags, state))
        for version, tags in exact_tags(ruleset, state.tags).items()
    }


def is_yanked(tags: Iterable[str], state: Published) -> bool:
    """Whether a marker of one of these exact tags points at what one of them holds."""
    present = tuple(tags)
    marked = {state.held.get(MARKER + tag) for tag in present} - {None}
    return bool(marked) and any(state.held.get(tag) in marked for tag in present)


def exact_tags(ruleset: Ruleset, tags: Iterable[str]) -> dict[Version, tuple[str, ...]]:
    """Sort out which of these tags are exact names, by version; v1.2.3 and 1.2.3 are one.

    What could as well be a floating name, as PEP 440's version 1.2 beside 1.2.3, is no exact one.
    """
    readers, floating = _readers(ruleset), shapes(ruleset)
    found: dict[Version, list[str]] = {}
    for tag in tags:
        if (version := _read(readers, tag)) is not None and not floating.fullmatch(tag):
            found.setdefault(version, []).append(tag)
    return {version: _own_first(ruleset, version, spelled) for version, spelled in found.items()}


def _own_first(ruleset: Ruleset, version: Version, spelled: list[str]) -> tuple[str, ...]:
    if len(spelled) == 1:
        return (spelled[0],)
    order = spellings(ruleset, version)
    return tuple(sorted(spelled, key=lambda tag: (order.index(tag) if tag in order else len(order), tag)))


def spellings(ruleset: Ruleset, version: Version) -> tuple[str, ...]:
    """All exact names that mean this version: those of the rules first, then with or without a v before it."""
    own = [str(name.tag) for name in version_names(ruleset, version) if name.kind is Kind.EXACT]
    affixes = [_affixes(rule) for rule in _exact_rules(ruleset)]
    other = [f"{start}{v}{version}{end}" for start, end in affixes for v in ("", "v")]
    return tuple(dict.fromkeys(own + other))


def _exact_rules(ruleset: Ruleset) -> list[Rule]:
    """The rules whose tags may name a whole version; of one that matches only the result can tell."""
    return [rule for rule in ruleset.rules if rule.is_exact or rule.type is RuleType.MATCH]


def _affixes(rule: Rule) -> tuple[str, str]:
    """What an exact rule puts before and after the version, a v left out; other parts of a pattern are digits."""
    whole = PLACEHOLDER.search(rule.pattern) if rule.scheme else None
    before = rule.pattern[: whole.start()] if whole else ""
    after = rule.pattern[whole.end() :] if whole and whole[1] in {"version", "raw"} else ""
    return ((rule.prefix or "") + before).removesuffix("v"), after + (rule.suffix or "")


class _Reader(Value, frozen=True):
    """A pattern that finds the version within an exact name, and how versions are written there.

    proves: a rule that must give the tag back, where the pattern alone says too little.
    """

    pattern: re.Pattern[str]
    schemes: tuple[Scheme, ...]
    proves: Ruleset | None = None


def _readers(ruleset: Ruleset) -> tuple[_Reader, ...]:
    """The longest suffix is tried first: 1.2.3-alpine is 1.2.3 to a rule with that suffix, no prerelease."""
    exact = sorted(_exact_rules(ruleset), key=lambda rule: -len(rule.suffix or ""))
    return tuple(dict.fromkeys(_reader(rule, ruleset) for rule in exact))


def _reader(rule: Rule, ruleset: Ruleset) -> _Reader:
    start, end = _affixes(rule)
    pattern = re.compile(rf"{re.escape(start)}v?([0-9].*){re.escape(end)}")
    schemes = (rule.scheme,) if rule.scheme else ruleset.schemes
    alone = replace(ruleset, rules=(rule,)) if rule.type is RuleType.MATCH else None
    return _Reader(pattern, schemes, alone)


def _read(readers: tuple[_Reader, ...], tag: str) -> Version | None:
    for reader in readers:
        match = reader.pattern.fullmatch(tag)
        version = parse_version(match[1], reader.schemes) if match else None
        if version is not None and (reader.proves is None or tag in _exact_names(reader.proves, version)):
            return version
    return None


def _exact_names(ruleset: Ruleset, version: Version) -> set[str]:
    return {str(name.tag) for name in version_names(ruleset, version) if name.kind is Kind.EXACT}


def shapes(ruleset: Ruleset) -> re.Pattern[str]:
    """What floating tags look like by these rules, whatever the version."""
    made = [_shape(rule) for rule in ruleset.rules if rule.is_floating]
    latest = [re.escape(ruleset.flavor.latest_name)] if ruleset.flavor.latest is not Latest.FALSE else []
    return re.compile("|".join([*latest, *made]) or r"(?!)")


def _shape(rule: Rule) -> str:
    parts = PLACEHOLDER.split(rule.pattern)
    # Every second part is a placeholder's name; a stable version has no prerelease.
    numbers = [
        re.escape(part) if not at % 2 else "" if part == "prerelease" else "[0-9]+" for at, part in enumerate(parts)
    ]
    return f"{re.escape(rule.prefix or '')}{''.join(numbers)}{re.escape(rule.suffix or '')}"
