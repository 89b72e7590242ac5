"""Lines of floating tags: which versions a repository has published, and which tag belongs to which of them."""

from __future__ import annotations

import re
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import msgspec

from publisher.model.plan import Kind
from publisher.model.value import Value
from publisher.planning.names import version_names
from publisher.planning.rules import MARKER
from publisher.planning.tag_reader import FORBIDDEN, affixes, tag_reader

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from publisher.model.digest import Digest
    from publisher.planning.names import Name
    from publisher.planning.rules import Ruleset
    from publisher.planning.tag_reader import Reading, TagReader
    from publisher.planning.version import Version

# Zeros before a number.
_PADDING: Final = re.compile(r"(?<![0-9])0+(?=[0-9])")


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
    """Versions newest first; lines by name; `foreign` are the tags that no rule speaks of.

    untold: floating tags that stay where they are, since a version's tag can be read in several ways.
    """

    versions: tuple[PublishedVersion, ...]
    lines: tuple[Line, ...]
    foreign: tuple[str, ...]
    untold: tuple[str, ...] = ()

    @property
    def drifted(self) -> tuple[Line, ...]:
        """The lines that a reconcile would write."""
        return tuple(line for line in self.lines if line.state in {LineState.DRIFT, LineState.MISSING})


def survey(ruleset: Ruleset, state: Published) -> Survey:
    """Look at the whole repository; `state` must hold the digests of survey_reads."""
    reader, published = tag_reader(ruleset), published_versions(ruleset, state)
    goals = as_spelled(desired(ruleset, eligible(published)), filter(reader.floats, state.tags))
    untold = {claim.tag for claim in contested(ruleset, state, goals)}
    exact = {tag for found in published.values() for tag in found.tags}
    # A version's own name that would float too (PEP 440's 1.2) is where it belongs while it is the version's.
    floating = {tag: version for tag, version in goals.items() if tag not in untold | exact}
    lines = [line_of(tag, published[version], state) for tag, version in floating.items()]
    lines += [Line(tag, state.held[tag], state.held[tag], None, LineState.OK) for tag in untold if tag in state.held]
    rest = sorted(tag for tag in state.tags - exact - goals.keys() - untold if not reader.is_marker(tag))
    orphans = {tag for tag in rest if reader.floats(tag) and tag not in ruleset.claimed}
    lines += [Line(tag, state.held.get(tag), None, None, LineState.ORPHAN) for tag in orphans]
    return Survey(
        tuple(found for _, found in sorted(published.items(), reverse=True)),
        tuple(sorted(lines, key=lambda line: line.tag)),
        tuple(tag for tag in rest if tag not in orphans),
        tuple(sorted(untold)),
    )


def survey_reads(ruleset: Ruleset, tags: Iterable[str], *, versions: bool = True) -> frozenset[str]:
    """Which of these tags a survey needs the digests of: exact names, their markers, all that may float.

    versions: without it only the exact names that a marker speaks of; `reads_left` tells which others are needed.
    """
    reader, present = tag_reader(ruleset), frozenset(tags)
    spellings = exact_tags(ruleset, present).values()
    exact = {tag for spelled in spellings if versions or _markers(spelled, present) for tag in spelled}
    return frozenset(exact | _markers(exact, present) | {tag for tag in present if reader.floats(tag)})


def _markers(tags: Iterable[str], present: frozenset[str]) -> set[str]:
    return {MARKER + tag for tag in tags} & present


class VersionChoice(Value, frozen=True):
    """Which versions are of interest: the `newest` of those that have a tag like `glob`; None: all of them."""

    newest: int | None = None
    glob: str = "*"

    def takes(self, tag: str) -> bool:
        """Whether a tag is like the glob."""
        return fnmatchcase(tag, self.glob)

    def matching(self, versions: Mapping[Version, tuple[str, ...]]) -> list[Version]:
        """Those with such a tag, newest first, however many."""
        return [version for version in sorted(versions, reverse=True) if any(map(self.takes, versions[version]))]


def reads_left(ruleset: Ruleset, state: Published, choice: VersionChoice) -> frozenset[str]:
    """Which tags' digests tell more of the floating tags, and those of the chosen versions.

    The versions that floating tags belong to, and the first of those names, readable in several ways, that may take one
    from them; what the state holds already is among them.
    """
    published = published_versions(ruleset, state)
    owners = desired(ruleset, eligible(published))
    chosen = choice.matching({version: found.tags for version, found in published.items()})[: choice.newest]
    claims = contested(ruleset, state, owners)
    open_claims = (next((tag for tag in claim.readable_as if tag not in state.stated), None) for claim in claims)
    return frozenset(
        {published[version].tags[0] for version in (*owners.values(), *chosen)} | {tag for tag in open_claims if tag}
    )


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
    """What one repository holds: all its `tags`, and the digests of those that were read.

    stated: what the images under some tags say which version they are, "" where they were asked and say nothing.
    """

    tags: frozenset[str] = frozenset()
    held: Mapping[str, Digest] = msgspec.field(default_factory=dict)
    stated: Mapping[str, str] = msgspec.field(default_factory=dict)


class PublishedVersion(Value, frozen=True):
    """A version that is there. `tags` are its exact names, the rules' own spelling first.

    digest: what the first of them holds, None if it was not read.
    yanked: whether a marker points at what one of them holds.
    certain: whether its name can be read in one way only.
    """

    version: Version
    tags: tuple[str, ...]
    digest: Digest | None
    yanked: bool
    certain: bool = True


def desired(ruleset: Ruleset, versions: Iterable[Version]) -> dict[str, Version]:
    """Tell which floating tag belongs to which version, when these versions are published and not yanked.

    Each version's rules are expanded as if it were released; a name belongs to the highest that produced it.
    Prereleases produce none. All commands that touch floating tags decide by this function alone.
    """
    final = sorted((version for version in versions if not version.is_prerelease), key=lambda version: version.key)
    known = _line_cache(ruleset)
    return {tag: version for version in final for tag in _lines_of(ruleset, version, known)}


def as_spelled(lines: Mapping[str, Version], tags: Iterable[str]) -> dict[str, Version]:
    """The same lines under those of these tags that differ in zeros before numbers alone.

    A match rule writes the line 2026.02 beside PEP 440's 2026.2.1, which has lost the zero.
    """
    present = frozenset(tags)
    padded = {plain: tag for tag in present if (plain := _unpadded(tag)) != tag}
    spelled: dict[str, Version] = {}
    for line, version in lines.items():
        other = padded.get(_unpadded(line), line) if padded else line
        for tag in {other, line} if line in present else {other}:
            spelled[tag] = max(version, spelled.get(tag, version))
    return spelled


def _unpadded(tag: str) -> str:
    return _PADDING.sub("", tag)


@lru_cache(maxsize=32)
def _line_cache(_ruleset: Ruleset) -> dict[str, tuple[str, ...]]:
    return {}


def _lines_of(ruleset: Ruleset, version: Version, known: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    """The floating tags of a version; the same ones are asked for several times in a plan."""
    text = version.raw
    if text not in known:
        known[text] = tuple(str(name.tag) for name in floating_names(ruleset, version))
    return known[text]


def floating_names(ruleset: Ruleset, version: Version) -> tuple[Name, ...]:
    """The floating tags that a version produces, whether or not they belong to it."""
    return tuple(name for name in version_names(ruleset, version) if name.kind is Kind.FLOATING)


def eligible(published: Mapping[Version, PublishedVersion]) -> frozenset[Version]:
    """The versions that floating tags may point to: no prereleases, not yanked, and told by their names."""
    return frozenset(
        version
        for version, found in published.items()
        if found.certain and not version.is_prerelease and not found.yanked
    )


def published_versions(ruleset: Ruleset, state: Published) -> dict[Version, PublishedVersion]:
    """The versions of which an exact name by these rules is there, yanked ones among them."""
    uncertain = frozenset(uncertain_tags(ruleset, state))
    return {
        version: PublishedVersion(
            version, tags, state.held.get(tags[0]), is_yanked(tags, state), certain=not uncertain.issuperset(tags)
        )
        for version, tags in exact_tags(ruleset, state.tags, state.stated).items()
    }


def is_yanked(tags: Iterable[str], state: Published) -> bool:
    """Whether a marker of one of these exact tags points at what one of them holds."""
    present = tuple(tags)
    marked = {state.held.get(MARKER + tag) for tag in present} - {None}
    return bool(marked) and any(state.held.get(tag) in marked for tag in present)


def exact_tags(
    ruleset: Ruleset, tags: Iterable[str], stated: Mapping[str, str] | None = None
) -> dict[Version, tuple[str, ...]]:
    """Sort out which of these tags are exact names, by version; v1.2.3 and 1.2.3 are one.

    stated: what images say that their tags are, where the text alone can't tell; without it the text's first reading
    counts. What could as well be a floating name (PEP 440's version 1.2 beside 1.2.3) is an exact one only while no
    version is there whose line it is.
    """
    reader, present = tag_reader(ruleset), tuple(tags)
    found: dict[Version, list[str]] = {}
    either: list[tuple[Version, str]] = []
    for tag in present:
        readings = reader.readings(tag)
        if readings and reader.floats(tag):
            either.append((readings[0].version, tag))
        elif readings:
            found.setdefault(_told(reader, readings, tag, stated or {}), []).append(tag)
    _add_lone(ruleset, found, either, present)
    fullest = _fullest_spellings(reader, found)
    chosen = ((fullest.get(version, version), spelled) for version, spelled in found.items())
    return {version: _own_first(ruleset, version, spelled) for version, spelled in chosen}


def _fullest_spellings(reader: TagReader, found: Mapping[Version, Sequence[str]]) -> dict[Version, Version]:
    """Of equal versions the one whose numbers stand apart: the lines of 2026.02.03 can't be told from 20260203."""
    several = ((version, tags) for version, tags in found.items() if len(tags) > 1)
    return {
        version: max(
            (reading.version for tag in tags for reading in reader.readings(tag) if reading.version == version),
            key=lambda equal: equal.raw.count("."),
        )
        for version, tags in several
    }


def _told(reader: TagReader, readings: Sequence[Reading], tag: str, stated: Mapping[str, str]) -> Version:
    told = reader.stated(tag, stated[tag]) if len(readings) > 1 and tag in stated else None
    return told or readings[0].version


def _add_lone(
    ruleset: Ruleset, found: dict[Version, list[str]], either: list[tuple[Version, str]], present: Iterable[str]
) -> None:
    """Add what is a line's name or a version's, where no version is there whose line it could be."""
    if not either:
        return
    reader = tag_reader(ruleset)
    marked = (tag.removeprefix(MARKER) for tag in present if tag.startswith(MARKER))
    known = {*found, *(reading.version for tag in marked for reading in reader.readings(tag)[:1])}
    lines = {_unpadded(name.tag) for version in known for name in floating_names(ruleset, version)}
    for version, tag in sorted(either, key=lambda entry: -entry[1].count(".")):
        if _unpadded(tag) not in lines and tag not in ruleset.claimed:
            found.setdefault(version, []).append(tag)
            lines |= {_unpadded(name.tag) for name in floating_names(ruleset, version)} - {_unpadded(tag)}


def _own_first(ruleset: Ruleset, version: Version, spelled: list[str]) -> tuple[str, ...]:
    if len(spelled) == 1:
        return (spelled[0],)
    order = spellings(ruleset, version)
    return tuple(sorted(spelled, key=lambda tag: (order.index(tag) if tag in order else len(order), tag)))


def spellings(ruleset: Ruleset, version: Version) -> tuple[str, ...]:
    """Exact names that mean this version: those of the rules first, then with or without a v before it."""
    own = [str(name.tag) for name in version_names(ruleset, version) if name.kind is Kind.EXACT]
    around = [affixes(rule, ruleset) for rule in (*ruleset.rules, *ruleset.disabled) if rule.names_versions]
    other = [
        f"{start}{v}{FORBIDDEN.sub('-', text)}{end}"
        for text in (str(version), version.raw)
        for start, end in around
        for v in ("", "v")
    ]
    reader = tag_reader(ruleset)
    return tuple(tag for tag in dict.fromkeys(own + other) if version in reader.versions(tag))


class Contested(Value, frozen=True):
    """A floating tag whose version depends on tags that can be read in several ways, the highest of them first."""

    tag: str
    readable_as: tuple[str, ...]


def contested(ruleset: Ruleset, state: Published, owners: Mapping[str, Version]) -> tuple[Contested, ...]:
    """Which floating tags another reading of some exact tag would take from the version that they belong to.

    owners: as `desired` decides by the versions that are certain.
    """
    claims: dict[str, list[tuple[Version, str]]] = {}
    uncertain = uncertain_tags(ruleset, state)
    published = published_versions(ruleset, state) if uncertain else {}
    for tag in uncertain:
        for line, version in _possible_lines(ruleset, state, tag):
            owner = owners.get(line)
            if owner is None or (version > owner and not _is_same(tag, published.get(owner), state)):
                claims.setdefault(line, []).append((version, tag))
    return tuple(Contested(tag, _highest_first(claim)) for tag, claim in claims.items())


def _possible_lines(ruleset: Ruleset, state: Published, tag: str) -> Iterator[tuple[str, Version]]:
    """The floating tags of each version that a tag may name."""
    final = (version for version in tag_reader(ruleset).versions(tag) if not version.is_prerelease)
    for version in final if not is_yanked((tag,), state) else ():
        yield from ((str(name.tag), version) for name in floating_names(ruleset, version))


def _is_same(tag: str, owner: PublishedVersion | None, state: Published) -> bool:
    """Whether it makes no difference which of the two a floating tag belongs to."""
    digest = state.held.get(tag)
    return digest is not None and owner is not None and owner.digest == digest


def _highest_first(claim: list[tuple[Version, str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(tag for _version, tag in sorted(claim, reverse=True)))


def uncertain_tags(ruleset: Ruleset, state: Published) -> tuple[str, ...]:
    """The exact tags that can be read in several ways, and whose images have not said which is right."""
    reader = tag_reader(ruleset)
    dashed = (tag for tag in state.tags if "-" in tag and not tag.startswith(MARKER))
    several = (tag for tag in dashed if len(reader.versions(tag)) > 1)
    return tuple(tag for tag in several if reader.stated(tag, state.stated.get(tag, "")) is None)


def to_ask(ruleset: Ruleset, state: Published, released: Iterable[Version] = ()) -> tuple[str, ...]:
    """The tags whose images have to say which version they are, since a floating tag depends on it; not asked yet."""
    if not uncertain_tags(ruleset, state):
        return ()
    versions = frozenset(released)
    owners = desired(ruleset, eligible(published_versions(ruleset, state)).union(versions))
    claims = contested(ruleset, state, owners)
    if versions:
        # What stays with another version whichever way a tag is read need not be asked.
        claims = tuple(claim for claim in claims if owners.get(claim.tag) in {*versions, None})
    first = (next((tag for tag in claim.readable_as if tag not in state.stated), None) for claim in claims)
    return tuple(dict.fromkeys(tag for tag in first if tag))
