"""Rules and the names they give."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from publisher.model.errors import BadReference
from publisher.model.plan import Kind
from publisher.model.reference import Tag
from publisher.planning.build_ref import BuildRef, RefKind
from publisher.planning.names import Name, bind, names, version_names
from publisher.planning.rules import DEFAULT, Rule, Ruleset, RuleType
from publisher.planning.tag_reader import tag_reader
from publisher.planning.version import parse_version

COMMIT = "0123456789abcdef0123456789abcdef01234567"
ALPINE = Ruleset.of(
    [
        Rule(type=RuleType.SEMVER, pattern="{{version}}", suffix="-alpine"),
        Rule(type=RuleType.SEMVER, pattern="{{major}}", prefix="v", suffix="-alpine"),
    ]
)


def of_origin(origin: BuildRef) -> tuple[Name, ...]:
    """Names that the default rules make of what is built."""
    return names(bind(DEFAULT, origin), origin).names


def made(ruleset: Ruleset, text: str) -> list[tuple[str, str]]:
    """Names and kinds that a version gives."""
    version = parse_version(text)
    assert version is not None
    return [(name.tag, name.kind) for name in version_names(ruleset, version)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("1.2.3", ["1.2.3", "1.2", "1", "latest"], id="stable"),
        pytest.param("0.3.1", ["0.3.1", "0.3", "latest"], id="no-line-for-major-zero"),
        pytest.param("1.2.3-rc.1", ["1.2.3-rc.1"], id="prerelease"),
        pytest.param("0.1.0-rc.1", ["0.1.0-rc.1"], id="prerelease-of-zero"),
        pytest.param("10.0.0", ["10.0.0", "10.0", "10", "latest"], id="two-digits"),
    ],
)
def test_default_names_of_a_version(text: str, expected: list[str]) -> None:
    """A stable version gives its lines and latest, a prerelease only its whole version."""
    assert [name for name, _ in made(DEFAULT, text)] == expected


def test_kinds() -> None:
    """The whole version is exact, its parts and latest float."""
    assert [kind for _, kind in made(DEFAULT, "1.2.3")] == [Kind.EXACT, *[Kind.FLOATING] * 3]


def test_prefix_and_suffix() -> None:
    """A rule's prefix and suffix stay, for prereleases too."""
    assert [name for name, _ in made(ALPINE, "1.2.3")] == ["1.2.3-alpine", "v1-alpine", "latest"]
    assert made(ALPINE, "1.2.3-rc.1")[0] == ("1.2.3-rc.1-alpine", Kind.EXACT)


@pytest.mark.parametrize(
    ("kind", "name", "expected"),
    [
        pytest.param(RefKind.BRANCH, "main", ["main", "sha-0123456"], id="branch"),
        pytest.param(RefKind.BRANCH, "feature/a+b", ["feature-a-b", "sha-0123456"], id="characters-become-dashes"),
        pytest.param(RefKind.BRANCH, "Feature", ["Feature", "sha-0123456"], id="case-is-kept"),
        pytest.param(RefKind.BRANCH, "sha-0123456", ["sha-0123456"], id="equal-tags-once"),
        pytest.param(RefKind.PULL, "7", ["pr-7"], id="pull-request"),
        pytest.param(RefKind.TAG, "nightly", [], id="tag-without-version"),
        pytest.param(RefKind.NONE, "", [], id="nothing"),
    ],
)
def test_names_of_a_ref(kind: RefKind, name: str, expected: list[str]) -> None:
    """A branch gives its name and the commit's, a pull request its number."""
    found = of_origin(BuildRef(kind=kind, name=name, revision=COMMIT, short=COMMIT[:7]))
    assert [one.tag for one in found] == expected
    assert {one.kind for one in found} <= {Kind.REF}


def test_branch_without_commit() -> None:
    """Where the commit is unknown, none is named."""
    assert [name.tag for name in of_origin(BuildRef(kind=RefKind.BRANCH, name="main"))] == ["main"]


def test_order_is_priority() -> None:
    """Rules stand by the priority of their type, equal ones as written."""
    sha = Rule(type=RuleType.SHA, event="branch")
    major, minor = (Rule(type=RuleType.SEMVER, pattern=part) for part in ("{{major}}", "{{minor}}"))
    assert Ruleset.of([sha, minor, major]).rules == (minor, major, sha)


@pytest.mark.parametrize("branch", [pytest.param("ünï", id="starts-with-dash"), pytest.param("x" * 129, id="too-long")])
def test_bad_tag_names_the_rule(branch: str) -> None:
    """A tag that isn't valid is an error that says which rule made it."""
    with pytest.raises(BadReference, match="the rule 'type=ref,event=branch' made no valid tag"):
        of_origin(BuildRef(kind=RefKind.BRANCH, name=branch, revision=COMMIT, short=COMMIT[:7]))


def test_branch_like_a_marker() -> None:
    """A branch can't pass for a yank marker."""
    with pytest.raises(BadReference, match="marks a yanked version"):
        of_origin(BuildRef(kind=RefKind.BRANCH, name="yanked-1.2.3", revision=COMMIT, short=COMMIT[:7]))


@pytest.mark.parametrize(
    ("tag", "marker"), [("yanked-1.2.3", True), ("yanked-v1.2.3", True), ("yanked-x", False), ("1.2.3", False)]
)
def test_marker(tag: str, marker: bool) -> None:
    """A marker is `yanked-` and an exact name."""
    assert tag_reader(DEFAULT).is_marker(tag) is marker


@given(name=st.text(min_size=1, max_size=140), revision=st.sampled_from(["", COMMIT]))
def test_every_tag_is_valid_or_refused(name: str, revision: str) -> None:
    """Whatever a branch is called, its tags are valid or refused."""
    with contextlib.suppress(BadReference):
        found = of_origin(BuildRef(kind=RefKind.BRANCH, name=name, revision=revision, short=revision[:7]))
        assert all(Tag.parse(one.tag) == one.tag for one in found)
