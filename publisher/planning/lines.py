"""Lines of floating tags: which versions a repository has published, and which tag belongs to which of them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from publisher.model.plan import Kind
from publisher.planning.rules import MARKER, version_names
from publisher.planning.version import is_stable, parse_version

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from publisher.model.digest import Digest
    from publisher.planning.rules import Name, Rule, Ruleset
    from publisher.planning.version import Version


@dataclass(frozen=True, slots=True)
class Published:
    """What one repository holds: all its `tags`, and the digests of those that were read."""

    tags: frozenset[str] = frozenset()
    held: Mapping[str, Digest] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PublishedVersion:
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
    # Of stable versions the numbers alone decide; comparing them as tuples is what makes long lists cheap.
    stable = sorted(filter(is_stable, versions), key=lambda version: version.to_tuple()[:3])
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
    """Sort out which of these tags are exact names, by version; v1.2.3 and 1.2.3 are one."""
    readers = _readers(ruleset)
    found: dict[Version, list[str]] = {}
    for tag in tags:
        if (version := _read(readers, tag)) is not None:
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
    affixes = [_affixes(rule) for rule in ruleset.rules if rule.is_exact]
    other = [f"{start}{v}{version}{end}" for start, end in affixes for v in ("", "v")]
    return tuple(dict.fromkeys(own + other))


def _affixes(rule: Rule) -> tuple[str, str]:
    """What an exact rule puts before and after the version, a v left out."""
    before, _, after = rule.pattern.partition("{{version}}")
    return (rule.prefix + before).removesuffix("v"), after + rule.suffix


def _readers(ruleset: Ruleset) -> tuple[re.Pattern[str], ...]:
    """Patterns that find the version within an exact name.

    The longest suffix is tried first: 1.2.3-alpine is 1.2.3 to a rule with that suffix, no prerelease.
    """
    exact = sorted((rule for rule in ruleset.rules if rule.is_exact), key=lambda rule: -len(rule.suffix))
    return tuple(_reader(rule) for rule in exact)


def _reader(rule: Rule) -> re.Pattern[str]:
    start, end = _affixes(rule)
    return re.compile(rf"{re.escape(start)}v?([0-9]+\.[0-9].*){re.escape(end)}")


def _read(readers: tuple[re.Pattern[str], ...], tag: str) -> Version | None:
    for reader in readers:
        match = reader.fullmatch(tag)
        version = parse_version(match[1]) if match else None
        if version is not None:
            return version
    return None
