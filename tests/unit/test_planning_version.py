"""Versions, and the tags that look like one."""

from __future__ import annotations

import pytest

from publisher.model.plan import Kind
from publisher.planning.rules import DEFAULT
from publisher.planning.tag_reader import tag_reader
from publisher.planning.version import is_exact_name, is_floating_name, is_stable, parse_version, version_of


@pytest.mark.parametrize(
    ("text", "version"),
    [
        pytest.param("1.2.3", "1.2.3", id="plain"),
        pytest.param("v1.2.3", "1.2.3", id="leading-v"),
        pytest.param("1.2.3-rc.1", "1.2.3-rc.1", id="prerelease"),
        pytest.param("1.2.3+build.5", "1.2.3+build.5", id="build-metadata"),
        pytest.param("0.0.0", "0.0.0", id="zero"),
    ],
)
def test_version_is_read(text: str, version: str) -> None:
    """A semantic version is read with or without a v, its build metadata kept; {{version}} leaves it out."""
    assert str(parse_version(text)) == version


@pytest.mark.parametrize(
    "text", ["", "v", "1.2", "1", "01.2.3", "1.2.3.4", "vv1.2.3", "1.2.3 ", "1.2.3\n", "1.2.٣", "latest", "9" * 5000]
)
def test_no_version(text: str) -> None:
    """What isn't a whole semantic version is none."""
    assert parse_version(text) is None


def test_prerelease_is_not_stable() -> None:
    """Only a version without a prerelease part is stable."""
    stable, unstable = parse_version("1.0.0"), parse_version("1.0.0-rc.1")
    assert stable is not None
    assert unstable is not None
    assert (is_stable(stable), is_stable(unstable)) == (True, False)


@pytest.mark.parametrize("tag", ["1.2.3", "v1.2.3", "1.2.3-alpine", "1.2.3-rc.1", "1.2.3.4", "2024.01.15"])
def test_exact_names(tag: str) -> None:
    """A whole version, with a suffix or not, is an exact name and no floating one."""
    assert (is_exact_name(tag), is_floating_name(tag)) == (True, False)


@pytest.mark.parametrize("tag", ["1.2", "1", "v1", "v1.2", "latest", "1.2-alpine", "1-alpine3.18", "latest-alpine"])
def test_floating_names(tag: str) -> None:
    """A part of a version, or latest, with a suffix or not, is a floating name and no exact one."""
    assert (is_exact_name(tag), is_floating_name(tag)) == (False, True)


@pytest.mark.parametrize("tag", ["main", "sha-1234567", "pr-7", "yanked-1.2.3", "alpine", "vlatest", "1.2.", "v"])
def test_other_names(tag: str) -> None:
    """Everything else is neither."""
    assert (is_exact_name(tag), is_floating_name(tag)) == (False, False)


@pytest.mark.parametrize(("tag", "version"), [("v1.2.3", "1.2.3"), ("1.2", "None"), ("01.2.3", "01.2.3")])
def test_version_of_a_tag(tag: str, version: str) -> None:
    """An exact name states its version; any other tag states none."""
    assert str(version_of(tag)) == version


@pytest.mark.parametrize(
    ("tag", "current", "new", "lower"),
    [
        pytest.param("1.2", "1.2.3", "1.2.2", True, id="lower"),
        pytest.param("1.2", "1.2.3", "1.2.4", False, id="higher"),
        pytest.param("1.2", "1.2.3", "v1.2.3", False, id="the-same"),
        pytest.param("latest", "2.0.0", "2.0.0-rc.1", True, id="prerelease-is-lower"),
        pytest.param("1.2-alpine", "1.2.10-alpine", "1.2.9-alpine", True, id="with-suffix"),
        pytest.param("latest", "2026.03.0", "2026.02.1", True, id="calendar"),
        pytest.param("api-latest", "api-1.3.0", "api-1.2.0", True, id="prefix"),
        pytest.param("latest", "20260203", "20260131", True, id="dates"),
        pytest.param("main", "1.2.3", "1.2.2", False, id="not-floating"),
        pytest.param("latest", "main", "1.2.2", False, id="unknown-version"),
    ],
)
def test_lowers(tag: str, current: str, new: str, lower: bool) -> None:
    """Moving a floating tag to a lower version is known as such, without any rules of the repository's own."""
    reader = tag_reader(DEFAULT)
    before, after = reader.version_of(current), reader.version_of(new)
    assert (reader.kind_of(tag) is Kind.FLOATING and bool(before and after and after < before)) is lower
