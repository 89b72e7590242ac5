"""Which tags a retention policy keeps."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from publisher.model.digest import Digest
from publisher.model.settings import RetentionSettings
from publisher.planning.retention import Stored, decide_retention
from publisher.planning.rules import DEFAULT

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def digest(text: str) -> Digest:
    return Digest.of(text.encode())


def kept(policy: RetentionSettings, *found: Stored) -> set[str]:
    return {one.stored.tag for one in decide_retention(DEFAULT, policy, found, NOW) if one.kept}


def simple(*tags: str) -> list[Stored]:
    return [Stored(tag, digest(tag)) for tag in tags]


KEEP = RetentionSettings(keep_last=2)


def test_the_newest_versions_stay() -> None:
    found = simple("1.0.0", "1.1.0", "v1.2.0", "2.0.0-rc.1", "main", "sha-0123456")
    assert kept(KEEP, *found) == {"2.0.0-rc.1", "v1.2.0"}


def test_versions_are_compared_as_versions() -> None:
    assert kept(RetentionSettings(keep_last=1), *simple("1.9.0", "1.10.0")) == {"1.10.0"}


def test_floating_tags_stay_with_what_they_point_to() -> None:
    old = Stored("1.0.0", digest("a"))
    found = [old, Stored("1.0", digest("a")), Stored("alias", digest("a")), *simple("1.1.0", "1.2.0", "latest")]
    assert kept(KEEP, *found) == {"1.0.0", "1.0", "alias", "1.1.0", "1.2.0", "latest"}


def test_a_pattern_fits_the_whole_tag() -> None:
    policy = RetentionSettings(keep_last=0, keep=("main", "pr-.*"))
    assert kept(policy, *simple("main", "main-old", "pr-1")) == {"main", "pr-1"}


def test_a_marker_stays_and_its_version_may_go() -> None:
    found = [Stored("1.0.0", digest("a")), Stored("yanked-1.0.0", digest("a")), *simple("1.1.0", "1.2.0")]
    assert kept(KEEP, *found) == {"yanked-1.0.0", "1.1.0", "1.2.0"}


@pytest.mark.parametrize(("days", "stays"), [(None, False), (10, False), (11, True), (12, True)])
def test_young_tags_stay(days: int | None, stays: bool) -> None:
    found = Stored("main", digest("a"), pushed=NOW - timedelta(days=10, hours=12))
    assert kept(RetentionSettings(keep_last=0, max_age_days=days), found) == ({"main"} if stays else set())


def test_an_unknown_age_counts_as_young() -> None:
    assert kept(RetentionSettings(keep_last=0, max_age_days=1), *simple("main")) == {"main"}


def test_what_a_kept_index_lists_stays() -> None:
    index = Stored("1.0.0", digest("index"), frozenset({digest("amd64")}))
    found = [index, Stored("amd64", digest("amd64")), Stored("arm64", digest("arm64"))]
    assert kept(RetentionSettings(keep_last=1), *found) == {"1.0.0", "amd64"}


def test_signatures_stay_with_what_they_sign() -> None:
    def signed(name: str) -> Stored:
        return Stored(f"sha256-{digest(name).hex}.sig", digest(f"signature of {name}"))

    index = Stored("1.0.0", digest("index"), frozenset({digest("amd64")}))
    gone = Stored("main", digest("main"))
    found = [index, gone, signed("index"), signed("amd64"), signed("main"), signed("untagged")]
    assert kept(RetentionSettings(keep_last=1), *found) == {
        "1.0.0",
        signed("index").tag,
        signed("amd64").tag,
        signed("untagged").tag,
    }


def test_what_keeps_a_tag_is_told() -> None:
    said = {
        one.stored.tag: one.reason for one in decide_retention(DEFAULT, KEEP, simple("1.0.0", "latest", "main"), NOW)
    }
    assert said == {
        "1.0.0": "one of the newest 2 versions",
        "latest": "a floating tag",
        "main": "nothing keeps it",
    }


TAGS = st.sampled_from(["1.0.0", "1.1.0", "2.0.0-rc.1", "1.0", "1", "latest", "main", "pr-7", "yanked-1.0.0", "x"])
FOUND = st.dictionaries(TAGS, st.tuples(st.integers(0, 3), st.frozensets(st.integers(0, 3), max_size=2)), max_size=8)


def made(found: dict[str, tuple[int, frozenset[int]]]) -> list[Stored]:
    return [
        Stored(tag, digest(str(own)), frozenset(digest(str(one)) for one in rest)) for tag, (own, rest) in found.items()
    ]


@given(FOUND, st.integers(0, 3))
def test_nothing_that_is_kept_loses_what_it_needs(found: dict[str, tuple[int, frozenset[int]]], last: int) -> None:
    stored = [
        Stored(tag, digest(str(own)), frozenset(digest(str(one)) for one in rest)) for tag, (own, rest) in found.items()
    ]
    decided = decide_retention(DEFAULT, RetentionSettings(keep_last=last), stored, NOW)
    assert [one.stored for one in decided] == stored
    staying = [one.stored for one in decided if one.kept and not one.stored.tag.startswith("yanked-")]
    needed = {entry for one in staying for entry in one.entries}
    needed |= {one.digest for one in staying if one.tag in {"1", "1.0", "latest"}}
    assert not [one for one in decided if not one.kept and one.stored.digest in needed]


@given(FOUND, st.integers(0, 3))
def test_pruning_twice_takes_nothing_more(found: dict[str, tuple[int, frozenset[int]]], last: int) -> None:
    stored = [
        Stored(tag, digest(str(own)), frozenset(digest(str(one)) for one in rest)) for tag, (own, rest) in found.items()
    ]
    policy = RetentionSettings(keep_last=last)
    left = [one.stored for one in decide_retention(DEFAULT, policy, stored, NOW) if one.kept]
    assert all(one.kept for one in decide_retention(DEFAULT, policy, left, NOW))
