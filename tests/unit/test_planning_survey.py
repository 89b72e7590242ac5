"""A survey of a repository."""

from __future__ import annotations

import pytest

from publisher.model.digest import Digest
from publisher.planning.lines import LineState, Published, Survey, survey, survey_reads
from publisher.planning.rules import DEFAULT, read_rules
from publisher.planning.tag_reader import newest_first

ONE, TWO = Digest.of(b"1"), Digest.of(b"2")


def look(**held: Digest) -> Survey:
    """Survey a repository; `_` stands for a dot, `__` for a dash, a leading t for nothing."""
    named = {tag.removeprefix("t").replace("__", "-").replace("_", "."): digest for tag, digest in held.items()}
    return survey(DEFAULT, Published(frozenset(named), named))


def states(found: Survey) -> dict[str, LineState]:
    """The state of each line."""
    return {line.tag: line.state for line in found.lines}


def test_lines() -> None:
    """Each floating tag is right, wrong or missing."""
    found = look(t1_0_0=ONE, t1_1_0=TWO, t1_0=ONE, t1_1=ONE, t1=TWO)
    assert states(found) == {
        "1": LineState.OK,
        "1.0": LineState.OK,
        "1.1": LineState.DRIFT,
        "latest": LineState.MISSING,
    }
    assert [(line.tag, line.desired) for line in found.drifted] == [("1.1", TWO), ("latest", TWO)]


def test_yanked_version_owns_nothing() -> None:
    """Lines fall back when their version is yanked."""
    found = look(t1_0_0=ONE, t1_0_1=TWO, yanked__1_0_1=TWO, t1_0=TWO)
    assert [(str(one.version), one.yanked) for one in found.versions] == [("1.0.1", True), ("1.0.0", False)]
    assert next(line.desired for line in found.lines if line.tag == "1.0") == ONE


def test_orphan() -> None:
    """A line without a version left is an orphan, and is not written."""
    found = look(t1_0_0=ONE, yanked__1_0_0=ONE, t1_0=ONE, t3=TWO, latest=ONE)
    assert states(found) == dict.fromkeys(["1.0", "3", "latest"], LineState.ORPHAN)
    assert not found.drifted


def test_foreign() -> None:
    """Tags that no rule speaks of are listed apart; markers aren't."""
    assert look(t1_0_0=ONE, main=ONE, yanked__1_0_0=TWO, yanked__x=ONE).foreign == ("main", "yanked-x")


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        pytest.param(["1.0.0", "1.0", "main"], {"1.0.0", "1.0"}, id="versions-and-lines"),
        pytest.param(["1.0.0", "yanked-1.0.0", "yanked-2.0.0"], {"1.0.0", "yanked-1.0.0"}, id="markers"),
        pytest.param(["latest", "7"], {"latest", "7"}, id="orphans"),
    ],
)
def test_survey_reads(tags: list[str], expected: set[str]) -> None:
    """A survey reads all versions, their markers and all that may float."""
    assert survey_reads(DEFAULT, tags) == expected


ORDERS = {
    "lines-before-versions": ("latest 2 2.0 2.0.1 2.0.0 1 1.10 1.10.0 1.9 1.9.1", ()),
    "prereleases-below": ("latest 2.0.0 2.0.0-rc.2 2.0.0-rc.1 1.0.0", ()),
    "words-last": ("1.0.0 main pr-1 sha-0000001 stable yanked-1.0.0", ()),
    "suffixes": (
        "latest-alpine 2-alpine 2.0.0-alpine 1.0.0-alpine",
        ("type=semver,pattern={{version}},suffix=-alpine",),
    ),
    "calendar": ("2026.10 2026.10.1 2026.9.2", ("type=match,pattern=\\d+\\.\\d+\\.\\d+",)),
}


@pytest.mark.parametrize(("text", "rules"), ORDERS.values(), ids=ORDERS)
def test_the_newest_stands_first(text: str, rules: tuple[str, ...]) -> None:
    """A floating tag stands before the versions that it spans; names that are no versions last, by name."""
    ruleset = read_rules(rules, None) if rules else DEFAULT
    assert newest_first(ruleset, sorted(text.split())) == text.split()


def test_a_line_is_known_by_the_zeros_that_are_there() -> None:
    """PEP 440's 2026.2.1 has lost the zero of the line that a match rule wrote."""
    rules = read_rules(("type=pep440,pattern={{version}}", r"type=match,pattern=v(\d+\.\d+),group=1"), ())
    held = {"2026.2.1": ONE, "2026.02": TWO, "latest": ONE}
    found = survey(rules, Published(frozenset(held), held))
    assert [(line.tag, line.state, line.desired) for line in found.lines] == [
        ("2026.02", LineState.DRIFT, ONE),
        ("latest", LineState.OK, ONE),
    ]
