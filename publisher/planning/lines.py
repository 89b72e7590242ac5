"""Lines of floating tags: which versions a repository has published, and which tag belongs to which of them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from publisher.model.plan import Kind
from publisher.model.value import Value
from publisher.planning.flavor import Latest
from publisher.planning.naming import version_names
from publisher.planning.rules import MARKER, PLACEHOLDER, RuleType
from publisher.planning.version import is_stable, parse_version

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from publisher.model.digest import Digest
    from publisher.planning.naming import Name
    from publisher.planning.rules import Rule, Ruleset
    from publisher.planning.version import Scheme, Version


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
