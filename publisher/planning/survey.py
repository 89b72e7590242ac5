"""A survey of one repository: every version, and each floating tag beside where it belongs."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from publisher.model.value import Value
from publisher.planning.lines import desired, eligible, exact_tags, published_versions, shapes
from publisher.planning.rules import MARKER, is_marker

if TYPE_CHECKING:
    from collections.abc import Iterable

    from publisher.model.digest import Digest
    from publisher.planning.lines import Published, PublishedVersion
    from publisher.planning.rules import Ruleset
    from publisher.planning.version import Version


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
