"""What is built."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from publisher.model.errors import NoVersion, UsageError
from publisher.model.facts import Facts, GitState
from publisher.planning.build_ref import RefKind
from publisher.planning.ref_choice import RefReading, choose_ref, released_images
from publisher.planning.rules import read_rules

NOW = datetime(2026, 1, 1, tzinfo=UTC)
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def facts(**known: Any) -> Facts:
    """Facts of a commit on main, changed as told."""
    return Facts(**{"now": NOW, "revision": COMMIT, "ref": "refs/heads/main", **known})


@pytest.mark.parametrize(
    ("known", "stated", "expected"),
    [
        pytest.param({}, "v1.2.3", ("tag", "v1.2.3", "1.2.3"), id="option"),
        pytest.param({"head_tags": ("v9.0.0",)}, "1.2.3", ("tag", "1.2.3", "1.2.3"), id="option-before-git"),
        pytest.param({"head_tags": ("v1.2.3",)}, None, ("tag", "v1.2.3", "1.2.3"), id="tag-at-head"),
        pytest.param({"head_tags": ("v1.9.0", "v1.10.0", "x")}, None, ("tag", "v1.10.0", "1.10.0"), id="highest-tag"),
        pytest.param({"head_tags": ("v1.0.0", "v1.0.0-rc.1")}, None, ("tag", "v1.0.0", "1.0.0"), id="stable-is-higher"),
        pytest.param({"head_tags": ("nightly",)}, None, ("branch", "main", None), id="tag-without-version"),
        pytest.param({}, None, ("branch", "main", None), id="branch"),
        pytest.param({"ref": "refs/heads/a/b"}, None, ("branch", "a/b", None), id="branch-with-slash"),
        pytest.param({"ref": "refs/tags/v1.2.3", "in_ci": True}, None, ("tag", "v1.2.3", "1.2.3"), id="ci-tag"),
        pytest.param({"head_tags": ("v1.2.3",), "in_ci": True}, None, ("branch", "main", None), id="ci-branch"),
        pytest.param({"ref": "refs/pull/7/merge", "in_ci": True}, None, ("pr", "7", None), id="ci-pull-request"),
        pytest.param({"ref": "refs/tags/1.2", "in_ci": True}, None, ("tag", "1.2", None), id="ci-other-tag"),
        pytest.param({"ref": ""}, None, ("none", "", None), id="detached"),
        pytest.param({"ref": "", "revision": None, "git": GitState.EMPTY}, None, ("none", "", None), id="no-commit"),
        pytest.param(
            {"ref": "refs/tags/v2.0.0", "in_ci": True, "git": GitState.ABSENT},
            None,
            ("tag", "v2.0.0", "2.0.0"),
            id="ci-without-checkout",
        ),
    ],
)
def test_origin(known: dict[str, Any], stated: str | None, expected: tuple[str, str, str | None]) -> None:
    """The option counts most, then what CI builds, then a version tag at HEAD, then the branch."""
    origin = choose_ref(facts(**known), stated)
    assert (origin.kind, origin.name, None if origin.version is None else str(origin.version)) == expected


@pytest.mark.parametrize(
    ("known", "said"),
    [
        pytest.param({"ref": ""}, "--version 1.2.3", id="detached"),
        pytest.param({"ref": "", "revision": None}, "no commit yet", id="no-commit"),
        pytest.param({"ref": "refs/notes/x", "in_ci": True}, "neither a branch", id="odd-ref"),
    ],
)
def test_why_there_is_no_tag(known: dict[str, Any], said: str) -> None:
    """Where nothing names a tag, the user is told why."""
    assert said in choose_ref(facts(**known)).note


def test_version_prefix() -> None:
    """Of several images in one repository, each takes only the git tags with its own prefix."""
    known = facts(head_tags=("api/v1.2.3", "web/v9.0.0", "v5.0.0"))
    assert str(choose_ref(known, None, RefReading("api/")).version) == "1.2.3"


def test_other_images_tag_in_ci() -> None:
    """A CI run for another image's tag gives this image no tag, and says so."""
    origin = choose_ref(facts(ref="refs/tags/web/v1.0.0", in_ci=True), None, RefReading("api/"))
    assert (origin.kind, origin.version) == (RefKind.NONE, None)
    assert "no version of this image" in origin.note


PREFIXES = ("api/", "api/v2-", "")
READINGS = {prefix or "root": RefReading(prefix, others=tuple(set(PREFIXES) - {prefix, ""})) for prefix in PREFIXES}


@pytest.mark.parametrize(
    ("known", "takers"),
    [
        pytest.param({"in_ci": True, "ref": "refs/tags/api/v1.0.0"}, {"api/"}, id="prefix"),
        pytest.param({"in_ci": True, "ref": "refs/tags/api/v2-1.0.0"}, {"api/v2-"}, id="longest-prefix"),
        pytest.param({"in_ci": True, "ref": "refs/tags/v1.0.0"}, {"root"}, id="no-prefix"),
        pytest.param({"in_ci": True, "ref": "refs/heads/main"}, None, id="branch"),
        pytest.param({"in_ci": True, "ref": "refs/pull/7/merge"}, None, id="pull-request"),
        pytest.param({"head_tags": ("api/v1.0.0",)}, {"api/"}, id="at-head"),
        pytest.param({"head_tags": ("api/v1.0.0", "v1.0.0")}, {"api/", "root"}, id="two-at-head"),
        pytest.param({"head_tags": ("api/nightly", "x")}, None, id="no-version-at-head"),
        pytest.param({}, None, id="nothing-at-head"),
    ],
)
def test_the_longest_prefix_takes_a_tag(known: dict[str, Any], takers: set[str] | None) -> None:
    """An image without a prefix takes only what no prefix claims; without a tag all images are meant."""
    assert released_images(facts(**known), READINGS) == takers


def test_a_tag_may_belong_to_no_image() -> None:
    readings = {name: reading for name, reading in READINGS.items() if name != "root"}
    assert released_images(facts(in_ci=True, ref="refs/tags/v1.0.0"), readings) == frozenset()


def test_a_tag_with_another_images_longer_prefix_is_no_version_of_this_one() -> None:
    origin = choose_ref(facts(in_ci=True, ref="refs/tags/api/v2-1.0.0"), None, READINGS["api/"])
    assert (origin.kind, "whose tags start with api/v2-" in origin.note) == (RefKind.NONE, True)


@pytest.mark.parametrize("text", ["1.2", "", "latest", "v", "1.2.3-"])
def test_bad_version(text: str) -> None:
    """An option that is no semantic version is refused."""
    with pytest.raises(UsageError, match="is not a semantic version"):
        choose_ref(facts(), text)


@pytest.mark.parametrize("text", ["1.0.0", "nightly"])
@pytest.mark.parametrize("rule", ["type=raw,value=stable", "type=sha", "type=semver,pattern={{version}},value=2.0.0"])
def test_where_no_rule_reads_a_version_any_text_names_one(rule: str, text: str) -> None:
    """As a git tag of that name would; blanks name nothing."""
    reading = RefReading(ruleset=read_rules([rule], None))
    origin = choose_ref(facts(), text, reading)
    assert (origin.kind, origin.name, origin.version) == (RefKind.TAG, text, None)
    with pytest.raises(UsageError):
        choose_ref(facts(), " ", reading)


@pytest.mark.parametrize("state", [GitState.ABSENT, GitState.NOT_INSTALLED, GitState.UNSAFE, GitState.BROKEN])
def test_nothing_says_the_version(state: GitState) -> None:
    """Without git and without an option the reason that git gave is passed on."""
    with pytest.raises(NoVersion, match="the reason of git"):
        choose_ref(facts(ref="", revision=None, git=state, git_problem="the reason of git"))
