"""One version of publish: the package's, the command's, the newest in CHANGELOG.md, and that of every example."""

from __future__ import annotations

import re
import tomllib
from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner
from semver import Version

from publisher import __version__
from publisher.cli.program import program

ROOT = Path(__file__).parents[2]
CHANGELOG = (ROOT / "CHANGELOG.md").read_text()
_PENDING = "Unreleased"
_RELEASE = re.compile(r"(\d+\.\d+\.\d+) - (\d{4}-\d{2}-\d{2})")
# Pages and examples that name the version that they were written for.
FILES = [
    ROOT / "README.md",
    *(path for path in (ROOT / "docs").rglob("*.md")),
    *(path for path in (ROOT / "examples").rglob("*") if path.is_file()),
]
_NAMED = re.compile(r"OWNER/publish\S*@0{40} # v(\S+)|publish_images-([\d.]+)-py3")


def check_headings(text: str, version: str) -> None:
    """Raise AssertionError unless the headings are releases, newest first, the newest being `version`.

    Above them may stand what comes next; with that alone nothing has been released yet.
    """
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    pending, dated = headings[:1] == [_PENDING], [text for text in headings if text != _PENDING]
    releases = [match for text in dated if (match := _RELEASE.fullmatch(text))]
    assert len(releases) == len(dated), f"a heading is neither {_PENDING} nor VERSION - DATE: {headings}"
    assert headings == [*([_PENDING] if pending else []), *dated], f"{_PENDING} stands on top: {headings}"
    assert pending or releases, "no release and nothing that comes next"
    versions, dates = [Version.parse(one[1]) for one in releases], [date.fromisoformat(one[2]) for one in releases]
    assert versions == sorted(set(versions), reverse=True), headings
    assert dates == sorted(dates, reverse=True), headings
    if releases:
        assert str(versions[0]) == version, f"the newest release is {versions[0]}, and this is {version}"


def test_the_changelog_is_of_this_version() -> None:
    check_headings(CHANGELOG, __version__)


@pytest.mark.parametrize(
    "headings",
    [
        ["0.2.0 - 2026-11-26"], ["Unreleased", "0.2.0 - 2026-11-26"], ["0.2.0 - 2026-11-26", "0.1.0 - 2026-11-26"],
        ["Unreleased"],
    ],
)  # fmt: skip
def test_such_headings_are_right(headings: list[str]) -> None:
    check_headings("".join(f"## {heading}\n\ntext\n" for heading in headings), "0.2.0")


@pytest.mark.parametrize(
    "headings",
    [
        [], ["0.3.0 - 2026-11-26"], ["0.1.0 - 2026-11-26"], ["0.2.0"], ["0.2.0 - 2026-11-31"],
        ["0.2.0 - 2026-11-26", "Unreleased"], ["0.1.0 - 2026-11-26", "0.2.0 - 2026-11-26"],
        ["0.2.0 - 2026-11-26", "0.1.0 - 2026-11-27"], ["Unreleased", "0.1.0 - 2026-11-26"],
    ],
)  # fmt: skip
def test_such_headings_are_wrong(headings: list[str]) -> None:
    with pytest.raises((AssertionError, ValueError)):
        check_headings("".join(f"## {heading}\n\ntext\n" for heading in headings), "0.2.0")


def test_the_command_says_it() -> None:
    assert CliRunner().invoke(program, ["--version"]).output == f"publish {__version__}\n"
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dynamic"] == ["version"]


def test_every_example_is_of_this_version() -> None:
    named = {
        (str(path.relative_to(ROOT)), match[1] or match[2])
        for path in FILES
        for match in _NAMED.finditer(path.read_text(errors="replace"))
    }
    assert {version for _, version in named} == {__version__}, named
    assert {"examples/workflows/release.yml", "docs/install.md"} <= {path for path, _ in named}
