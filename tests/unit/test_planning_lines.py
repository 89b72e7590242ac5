"""Published versions and the lines of floating tags."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from publisher.model.digest import Digest
from publisher.planning.build_ref import BuildRef, RefKind
from publisher.planning.lines import Published, desired, eligible, exact_tags, published_versions, spellings
from publisher.planning.names import bind
from publisher.planning.rules import DEFAULT, Rule, Ruleset, RuleType, read_rules
from publisher.planning.version import Version, is_stable

if TYPE_CHECKING:
    from random import Random

NOWHERE = BuildRef(kind=RefKind.NONE, revision="0" * 40)
ONE, TWO = Digest.of(b"1"), Digest.of(b"2")
WHOLE = Rule(type=RuleType.SEMVER, pattern="{{version}}")
ALPINE = Rule(type=RuleType.SEMVER, pattern="{{version}}", suffix="-alpine")
API = Rule(type=RuleType.SEMVER, pattern="v{{version}}", prefix="api-")

VERSIONS = st.builds(
    lambda major, minor, patch, pre: Version.parse(f"{major}.{minor}.{patch}{pre}"),
    st.integers(0, 2),
    st.integers(0, 2),
    st.integers(0, 2),
    st.sampled_from(["", "", "-rc.1", "-rc.2"]),
)


def versions(*texts: str) -> list[Version]:
    """Read versions."""
    return [Version.parse(text) for text in texts]


def test_desired() -> None:
    """Each floating tag belongs to the highest version of its line."""
    owners = desired(DEFAULT, versions("1.0.0", "1.1.0", "2.0.0", "1.0.1", "3.0.0-rc.1", "0.9.0"))
    assert {tag: str(version) for tag, version in owners.items()} == {
        "0.9": "0.9.0",
        "1.0": "1.0.1",
        "1.1": "1.1.0",
        "1": "1.1.0",
        "2.0": "2.0.0",
        "2": "2.0.0",
        "latest": "2.0.0",
    }


def test_nothing_published_desires_nothing() -> None:
    """No version, no floating tag; a prerelease alone gives none either."""
    assert desired(DEFAULT, []) == desired(DEFAULT, versions("1.0.0-rc.1")) == {}


@given(st.lists(VERSIONS), st.randoms())
def test_desired_knows_no_order(published: list[Version], random: Random) -> None:
    """The order in which versions were published doesn't matter."""
    shuffled = list(published)
    random.shuffle(shuffled)
    assert desired(DEFAULT, shuffled) == desired(DEFAULT, published)


@given(st.lists(VERSIONS))
def test_desired_is_the_highest_of_its_line(published: list[Version]) -> None:
    """Every owner is stable, and no stable version of its line is higher."""
    for tag, owner in desired(DEFAULT, published).items():
        line = "" if tag == "latest" else f"{tag}."
        assert owner == max(one for one in published if is_stable(one) and str(one).startswith(line))


@pytest.mark.parametrize(
    ("rules", "tags", "expected"),
    [
        pytest.param([WHOLE], ["1.2.3"], {"1.2.3": ("1.2.3",)}, id="plain"),
        pytest.param([WHOLE], ["v1.2.3", "1.2.3"], {"1.2.3": ("1.2.3", "v1.2.3")}, id="two-spellings-are-one"),
        pytest.param([WHOLE], ["v1.2.3"], {"1.2.3": ("v1.2.3",)}, id="other-spelling"),
        pytest.param([WHOLE], ["1.2", "latest", "main", "yanked-1.2.3", "01.2.3"], {}, id="no-versions"),
        pytest.param([WHOLE], ["1.2.3-alpine"], {"1.2.3-alpine": ("1.2.3-alpine",)}, id="prerelease-without-rule"),
        pytest.param([ALPINE], ["1.2.3-alpine", "1.2.3"], {"1.2.3": ("1.2.3-alpine",)}, id="suffix"),
        pytest.param([ALPINE], ["1.2.3-rc.1-alpine"], {"1.2.3-rc.1": ("1.2.3-rc.1-alpine",)}, id="prerelease-suffix"),
        pytest.param(
            [WHOLE, ALPINE],
            ["1.2.3-alpine", "1.2.3"],
            {"1.2.3": ("1.2.3", "1.2.3-alpine")},
            id="longest-suffix-first",
        ),
        pytest.param([API], ["api-v1.2.3", "1.2.3"], {"1.2.3": ("api-v1.2.3",)}, id="prefix-and-pattern"),
        pytest.param([API], ["api-1.2.3"], {"1.2.3": ("api-1.2.3",)}, id="prefix-without-v"),
    ],
)
def test_exact_tags(rules: list[Rule], tags: list[str], expected: dict[str, tuple[str, ...]]) -> None:
    """Tags are read back by the rules that make them."""
    found = exact_tags(Ruleset.of(rules), tags)
    assert {str(version): spelled for version, spelled in found.items()} == expected


def test_spellings() -> None:
    """A version's own name comes first, then the one with a v."""
    assert spellings(DEFAULT, Version.parse("1.2.3")) == ("1.2.3", "v1.2.3")


@pytest.mark.parametrize(
    ("held", "yanked"),
    [
        pytest.param({"1.2.3": ONE}, False, id="no-marker"),
        pytest.param({"1.2.3": ONE, "yanked-1.2.3": ONE}, True, id="marker"),
        pytest.param({"1.2.3": TWO, "yanked-1.2.3": ONE}, False, id="marker-of-other-content"),
        pytest.param({"1.2.3": ONE, "yanked-1.2.4": ONE}, False, id="marker-of-another-version"),
        pytest.param({"1.2.3": ONE, "v1.2.3": ONE, "yanked-v1.2.3": ONE}, True, id="marker-of-the-other-spelling"),
    ],
)
def test_yanked(held: dict[str, Digest], yanked: bool) -> None:
    """A version is yanked while a marker of its name points at what it holds."""
    published = published_versions(DEFAULT, Published(frozenset(held), held))
    version = Version.parse("1.2.3")
    assert published[version].yanked is yanked
    assert (version in eligible(published)) is not yanked


def test_prerelease_is_not_eligible() -> None:
    """A prerelease is published, and yet no floating tag may point to it."""
    published = published_versions(DEFAULT, Published(frozenset({"1.0.0-rc.1"})))
    assert len(published) == 1
    assert not eligible(published)


@pytest.mark.parametrize(
    ("rules", "tags", "expected"),
    [
        pytest.param(
            ["type=pep440,pattern={{version}}", "type=pep440,pattern={{major}}.{{minor}}"],
            ["1.2.3", "1.2", "1.3rc1", "1.2.post1"],
            {"1.2.3": ("1.2.3",), "1.3rc1": ("1.3rc1",), "1.2.post1": ("1.2.post1",)},
            id="pep440-line-is-no-version",
        ),
        pytest.param(
            ["type=pep440,pattern={{version}}"], ["2026.11", "x"], {"2026.11": ("2026.11",)}, id="pep440-calendar"
        ),
        pytest.param(["type=semver,pattern={{raw}}"], ["v1.2.3", "1"], {"1.2.3": ("v1.2.3",)}, id="raw"),
        pytest.param(["type=ref,event=tag"], ["v1.2.3", "main"], {"1.2.3": ("v1.2.3",)}, id="ref-tag"),
        pytest.param(
            [r"type=match,pattern=v(\d+\.\d+\.\d+)$,group=1"],
            ["1.2.3", "1.2.4-rc.1", "main"],
            {"1.2.3": ("1.2.3",)},
            id="match-must-give-the-tag-back",
        ),
        pytest.param(["type=semver,pattern=r{{version}}-x"], ["r1.2.3-x"], {"1.2.3": ("r1.2.3-x",)}, id="pattern"),
    ],
)
def test_exact_tags_of_written_rules(rules: list[str], tags: list[str], expected: dict[str, tuple[str, ...]]) -> None:
    """Each type of rule reads back the versions that it names, and nothing else."""
    found = exact_tags(read_rules(rules, None), tags)
    assert {str(version): spelled for version, spelled in found.items()} == expected


def test_two_schemes_are_one_version() -> None:
    """PEP 440's 1.2 and semver's 1.2.0 count the same."""
    assert Version.parse("1.2.0") == Version.parse_pep440("1.2")
    assert len({Version.parse("1.2.0"), Version.parse_pep440("1.2")}) == 1


@pytest.mark.parametrize(
    "order",
    [
        ["1.0.0-1", "1.0.0-2", "1.0.0-10", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-beta", "1.0.0", "1.0.1", "1.10.0"],
        ["1.0.dev1", "1.0a1.dev1", "1.0a1", "1.0b2", "1.0rc1", "1.0", "1.0.post1.dev1", "1.0.post1", "1.1", "1!0.1"],
    ],
    ids=["semver", "pep440"],
)
def test_order_of_versions(order: list[str]) -> None:
    """Versions sort as their scheme says."""
    read = Version.parse if order[0].count("-") else Version.parse_pep440
    assert [str(one) for one in sorted(map(read, reversed(order)))] == order


def test_latest_of_a_flavor() -> None:
    """Latest with a suffix is a line of its own, and latest=false none."""
    whole = ["type=semver,pattern={{version}}"]
    alpine = read_rules(whole, ["suffix=-alpine,onlatest=true"])
    assert desired(bind(alpine, NOWHERE), versions("1.0.0")) == {"latest-alpine": Version.parse("1.0.0")}
    assert not desired(bind(read_rules(whole, ["latest=false"]), NOWHERE), versions("1.0.0"))


def test_claimed_names_float_for_nobody() -> None:
    """A fixed word that a rule gives is no line, even where versions would give the same name."""
    rules = read_rules(["type=semver,pattern={{version}}", "type=raw,value=latest"], None)
    assert desired(rules, versions("1.0.0")).keys() == {"latest"}
    assert not desired(bind(rules, NOWHERE), versions("1.0.0"))
