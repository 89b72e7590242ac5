"""Published versions and the lines of floating tags."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from publisher.model.digest import Digest
from publisher.planning.lines import Published, desired, eligible, exact_tags, published_versions, spellings
from publisher.planning.rules import DEFAULT, Rule, Ruleset, RuleType
from publisher.planning.version import Version

if TYPE_CHECKING:
    from random import Random

ONE, TWO = Digest.of(b"1"), Digest.of(b"2")
WHOLE = Rule(type=RuleType.SEMVER, pattern="{{version}}")
ALPINE = Rule(type=RuleType.SEMVER, pattern="{{version}}", suffix="-alpine")
API = Rule(type=RuleType.SEMVER, pattern="v{{version}}", prefix="api-")

VERSIONS = st.builds(
    Version,
    st.integers(0, 2),
    st.integers(0, 2),
    st.integers(0, 2),
    st.sampled_from([None, None, "rc.1", "rc.2"]),
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
        assert owner == max(one for one in published if not one.prerelease and str(one).startswith(line))


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
