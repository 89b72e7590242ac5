"""What holds of every plan, whatever was released before."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from publisher.model.digest import Digest
from publisher.model.facts import Facts
from publisher.model.plan import Action, Kind, Plan
from publisher.model.reference import Reference, Repository
from publisher.planning.candidates import Candidates, PlanRequest, candidates, to_read
from publisher.planning.lines import (
    LineState,
    Published,
    VersionChoice,
    desired,
    eligible,
    published_versions,
    reads_left,
    survey,
    survey_reads,
)
from publisher.planning.names import version_names
from publisher.planning.plan import ReleasedContent, make_plan
from publisher.planning.rules import DEFAULT
from publisher.planning.version import Version

if TYPE_CHECKING:
    from collections.abc import Callable

HUB = Repository.parse("a/b")
FACTS = Facts(now=datetime(2026, 1, 1, tzinfo=UTC))

VERSION = st.builds(
    lambda major, minor, patch, pre: f"{major}.{minor}.{patch}{pre}",
    st.integers(0, 2),
    st.integers(0, 2),
    st.integers(0, 2),
    st.sampled_from(["", "", "", "-rc.1"]),
)
ASTRAY = [("2.1.0-fork.3", "a fork"), ("1.0.0-build.7", "1.0.0"), ("latest", "else"), ("7", "else"), ("v1.1.1", "v")]
STEP = st.tuples(st.sampled_from(["release", "release", "release", "yank", "unyank"]), VERSION)


def content_of(version: str) -> ReleasedContent:
    """Each version has an image of its own."""
    digest = Digest.of(version.encode())
    return ReleasedContent(digest, frozenset({digest}))


@dataclass
class Registry:
    """One repository, and the commands as they act on it."""

    held: dict[str, Digest] = field(default_factory=dict)

    def read(self, wanted: frozenset[str]) -> Published:
        """All tags, and the digests of those that are asked for."""
        return Published(frozenset(self.held), {tag: self.held[tag] for tag in wanted})

    def plan(self, version: str) -> Plan:
        """Plan a release from what the planner asks to read."""
        asked = candidates(PlanRequest(images=("a/b",), version=version), FACTS)
        return make_plan(asked, {HUB: self.read(to_read(asked, self.held))}, content_of(version))

    def release(self, version: str) -> Plan:
        """Do as planned."""
        plan = self.plan(version)
        for move in plan.moves:
            if move.action.writes:
                assert move.after is not None
                self.held[move.tag] = move.after
        return plan

    def settle(self) -> None:
        """Put every floating tag where it belongs."""
        state = self.read(survey_reads(DEFAULT, self.held))
        for line in survey(DEFAULT, state).drifted:
            assert line.desired is not None
            self.held[line.tag] = line.desired

    def step(self, action: str, version: str) -> None:
        """One command; a yank of what isn't there does nothing."""
        if action == "release":
            self.release(version)
        elif version in self.held:
            if action == "yank":
                self.held[f"yanked-{version}"] = self.held[version]
            else:
                self.held.pop(f"yanked-{version}", None)
            self.settle()

    @property
    def eligible(self) -> frozenset[Version]:
        """The versions that may float."""
        return eligible(published_versions(DEFAULT, Published(frozenset(self.held), self.held)))

    def assert_true(self) -> None:
        """Every floating tag holds what the highest eligible version of its line holds."""
        for tag, owner in desired(DEFAULT, self.eligible).items():
            assert self.held[tag] == self.held[str(owner)], tag


def after(steps: list[tuple[str, str]]) -> Registry:
    """A repository after some commands."""
    registry = Registry()
    for action, version in steps:
        registry.step(action, version)
    return registry


@given(st.lists(STEP, max_size=25))
@settings(deadline=None)
def test_floating_tags_end_on_the_highest(steps: list[tuple[str, str]]) -> None:
    """Whatever the order of releases, prereleases and yanks, each floating tag ends on its highest version."""
    after(steps).assert_true()


@given(st.lists(STEP, max_size=15), VERSION)
@settings(deadline=None)
def test_planning_is_idempotent(steps: list[tuple[str, str]], version: str) -> None:
    """A release that is done plans nothing more."""
    registry = after(steps)
    registry.release(version)
    again = registry.plan(version)
    assert {move.action for move in again.moves} <= {Action.UNCHANGED, Action.KEEP}
    assert again == registry.plan(version)


@given(st.lists(STEP, max_size=15), VERSION)
@settings(deadline=None)
def test_no_release_lowers_a_tag(steps: list[tuple[str, str]], version: str) -> None:
    """No release moves a floating tag from an eligible version to a lower one."""
    registry = after(steps)
    holders = {self_digest(one): one for one in registry.eligible}
    for move in registry.plan(version).moves:
        if move.kind is Kind.FLOATING and move.action.writes and (holder := holders.get(move.before)):
            assert Version.parse(version) >= holder


def self_digest(version: Version) -> Digest | None:
    """What a version's exact tag holds."""
    return content_of(str(version)).digest


@given(st.lists(STEP, max_size=15), VERSION)
@settings(deadline=None)
def test_reading_less_decides_the_same(steps: list[tuple[str, str]], version: str) -> None:
    """The digests that the planner asks for are all that it needs."""
    registry = after(steps)
    asked = candidates(PlanRequest(images=("a/b",), version=version), FACTS)
    whole = make_plan(asked, {HUB: Published(frozenset(registry.held), registry.held)}, content_of(version))
    assert registry.plan(version).moves == whole.moves


@given(st.lists(STEP, max_size=15), VERSION)
@settings(deadline=None)
def test_every_planned_tag_is_valid(steps: list[tuple[str, str]], version: str) -> None:
    """Every reference and every listed tag parses, and no tag is listed twice."""
    plan = after(steps).plan(version)
    assert [Reference.parse(str(move.reference)) for move in plan.moves] == [move.reference for move in plan.moves]
    assert [Reference.parse(tag).familiar for tag in plan.tags] == list(dict.fromkeys(plan.tags))


@given(st.lists(STEP, max_size=15))
@settings(deadline=None)
def test_settled_lines_are_true(steps: list[tuple[str, str]]) -> None:
    """After settling a survey finds no drift, and every tag once."""
    registry = after(steps)
    registry.settle()
    found = survey(DEFAULT, registry.read(survey_reads(DEFAULT, registry.held)))
    assert {line.state for line in found.lines} <= {LineState.OK, LineState.ORPHAN}
    seen = [tag for one in found.versions for tag in one.tags] + [line.tag for line in found.lines]
    markers = [tag for tag in registry.held if tag.startswith("yanked-")]
    assert sorted([*seen, *markers, *found.foreign]) == sorted(registry.held)


@given(st.lists(STEP, max_size=25), st.integers(0, 3), st.lists(st.sampled_from(ASTRAY), max_size=3))
@settings(deadline=None)
def test_a_survey_that_reads_less_tells_the_same(
    steps: list[tuple[str, str]], newest: int, astray: list[tuple[str, str]]
) -> None:
    """Of floating tags; a digest of the chosen versions, and at most two for each floating tag and marker."""
    registry, choice = after(steps), VersionChoice(newest)
    for tag, content in astray:
        registry.held[tag] = Digest.of(content.encode())
    read = survey_reads(DEFAULT, registry.held, versions=False)
    while more := reads_left(DEFAULT, registry.read(read), choice) - read:
        read |= more
    narrow, whole = survey(DEFAULT, registry.read(read)), survey(DEFAULT, registry.read(frozenset(registry.held)))
    assert narrow.lines == whole.lines
    assert narrow.versions[:newest] == whole.versions[:newest]
    markers = [tag for tag in registry.held if tag.startswith("yanked-")]
    assert len(read) <= 2 * (len(whole.lines) + len(markers)) + newest


def crowd(size: int) -> Registry:
    """So many tags: versions, their lines, and others."""
    versions = [
        f"{major}.{minor}.{patch}" for major in range(10) for minor in range(30) for patch in range(size // 410)
    ]
    made = {name.tag for text in versions for name in version_names(DEFAULT, Version.parse(text))}
    tags = [*made, *(f"sha-{number:07x}" for number in range(size - len(made)))]
    return Registry({str(tag): Digest.of(tag.encode()) for tag in tags})


def steps_of(work: Callable[[], object]) -> int:
    """How many calls of Python functions it takes: the same on a fast machine and on a slow one."""
    calls = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
    return calls


def test_ten_thousand_tags() -> None:
    """A plan over ten thousand tags takes steps in proportion to them, and few for each."""
    few, many = crowd(1_000), crowd(10_000)
    plan = many.plan("5.5.99")
    assert [move.action for move in plan.moves] == [Action.CREATE, Action.MOVE, Action.KEEP, Action.KEEP]
    steps = steps_of(lambda: many.plan("5.5.99"))
    assert steps <= 11 * steps_of(lambda: few.plan("5.5.99"))
    assert steps <= 35 * len(many.held)


def test_candidates_need_no_registry() -> None:
    """Reading asks only for tags that are there."""
    asked: Candidates = candidates(PlanRequest(images=("a/b",), version="1.2.3"), FACTS)
    assert to_read(asked, ["1.2.3", "main", "latest", "1.1.0"]) == {"1.2.3", "latest", "1.1.0"}
