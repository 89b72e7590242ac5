"""Which tags a cache must not be kept under."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from publisher.model.facts import Facts
from publisher.planning.candidates import PlanRequest, bound_rules, candidates
from publisher.planning.reserved import is_reserved

FACTS = Facts(
    now=datetime(2026, 1, 2, tzinfo=UTC), ref="refs/heads/feature/x", revision="a" * 40, default_branch="main"
)
WITH_ALL = (
    "type=semver,pattern={{version}}",
    "type=semver,pattern={{major}}",
    "type=ref,event=branch",
    "type=ref,event=pr",
    "type=sha",
    "type=raw,value=stable,enable={{is_default_branch}}",
    "type=schedule",
    "type=edge",
)


@pytest.mark.parametrize(
    ("rules", "tag", "reserved"),
    [
        (None, "1.2.3", True),
        (None, "9.9.9-rc.1", True),
        (None, "1.2", True),
        (None, "7", True),
        (None, "latest", True),
        (None, "feature-x", True),
        (None, "sha-abcdef0", True),
        (None, "yanked-1.2.3", True),
        (None, "sha256-" + "a" * 64, True),
        (None, "buildcache", False),
        (None, "cache-1.2", False),
        (WITH_ALL, "stable", True),
        (WITH_ALL, "pr-17", True),
        (WITH_ALL, "nightly", True),
        (WITH_ALL, "edge", True),
        (WITH_ALL, "1.2", False),
        (WITH_ALL, "pr-cache", False),
        (WITH_ALL, "sha-cache", False),
    ],
)
def test_reserved_tags(rules: tuple[str, ...] | None, tag: str, reserved: bool) -> None:
    """What some run of the same rules may write is reserved, whatever is built now and whichever rule is enabled."""
    assert is_reserved(bound_rules(PlanRequest(rules=rules), FACTS), tag) is reserved


PULL = ("type=ref,event=pr", "type=sha")


@pytest.mark.parametrize(
    ("rules", "flavor", "written", "left"),
    [
        pytest.param((), (), ["pr-7"], [], id="default"),
        pytest.param(PULL, (), ["pr-7", "sha-aaaaaaa"], [], id="both"),
        pytest.param((*PULL, "type=raw,value=nightly"), (), ["pr-7", "sha-aaaaaaa"], ["nightly"], id="word"),
        pytest.param(PULL, ("latest=true",), ["pr-7", "sha-aaaaaaa"], ["latest"], id="latest"),
        pytest.param(
            ("type=semver,pattern={{version}},value=9.9.9",), (), [], ["9.9.9", "latest"], id="stated-version"
        ),
        pytest.param(("type=ref,event=pr,prefix=",), (), [], ["7"], id="number-is-a-line"),
        pytest.param(("type=ref,event=pr,prefix=1.2.",), (), [], ["1.2.7"], id="number-makes-a-version"),
        pytest.param(
            ("type=ref,event=pr,prefix=,suffix=-x", "type=semver,pattern={{major}}-x"), (), [], ["7-x"], id="rule"
        ),
        pytest.param(("type=raw,value=pr-7", "type=ref,event=pr"), (), ["pr-7"], [], id="same-name"),
    ],
)
def test_a_pull_request_writes_tags_of_its_own(
    rules: tuple[str, ...], flavor: tuple[str, ...], written: list[str], left: list[str]
) -> None:
    """None that names or follows a version, and no word: its code is not the project's yet; what is left is told."""
    facts = Facts(now=FACTS.now, ref="refs/pull/7/merge", revision="a" * 40, in_ci=True, event="pull_request")
    asked = candidates(PlanRequest(images=("a/b",), rules=rules, flavor=flavor, pull_request=True), facts)
    assert [name.tag for name in asked.names] == written
    assert [warning for warning in asked.warnings if "left out" in warning] == (
        [f"a pull request writes the tags of ref,event=pr and sha only; left out: {', '.join(left)}"] if left else []
    )


def test_what_is_no_pull_request_is_not_narrowed() -> None:
    asked = candidates(PlanRequest(images=("a/b",), rules=("type=raw,value=x",), pull_request=True), FACTS)
    assert [name.tag for name in asked.names] == ["x"]
