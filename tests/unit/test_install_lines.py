"""Nothing tells anybody to install a name of a package index that isn't this project's."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("publisher", "docs", "examples", "scripts", ".github", "requirements")
FILES = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "Dockerfile", "pyproject.toml")),
    *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.is_file() and path.suffix != ".pyc"),
]
_COMMAND = re.compile(
    r"\b(?:pip3?|pipx|uv tool|uv pip|uvx|pipx run|poetry|pdm|conda)(?: (?:install|add|run))? +([^\n`|]+)"
)
# A name of the index, with or without an extra or a version; not where an address follows, nor a part of a path or URL.
_OURS = re.compile(
    r"(?<![\w./@+:-])(?:publish|publisher|publish-images)(?:\[[\w,-]+\])?+(?:[=<>~!]=?[^\s@]*)?+(?![\w/.@:-]| @ )"
)


def names(text: str) -> list[str]:
    """The commands in it that would fetch this program by its name alone."""
    return [match[0] for match in _COMMAND.finditer(text) if "install" in match[0] and _OURS.search(match[1])]


@pytest.mark.parametrize(
    "line",
    [
        "pip install publish", "pip install 'publish[sandbox]'", "pip install -U publish==1.0",
        "pipx install publisher", "uv tool install publish-images", "python -m pip install --user publish-images",
        "pip3 install x publish>=2",
    ],
)  # fmt: skip
def test_such_lines_are_known(line: str) -> None:
    assert names(f"some text, {line}\nand more") != []


@pytest.mark.parametrize(
    "line",
    [
        "pip install .", "pipx install git+https://github.com/OWNER/publish@" + "0" * 40,
        "pip install 'publish-images[sign] @ git+https://x/publish@abc'", "pip install -r requirements/publish.txt",
        "~/publish/bin/pip install .",
    ],
)  # fmt: skip
def test_addresses_and_files_are_no_names(line: str) -> None:
    assert names(line) == []


def test_no_text_installs_by_name() -> None:
    """Documentation, hints and help (which stand in the code), templates, scripts, the Action."""
    told = {str(path.relative_to(ROOT)): found for path in FILES if (found := names(path.read_text(errors="replace")))}
    assert told == {}


def test_no_requirement_names_a_stranger() -> None:
    """Neither the locks nor what pyproject.toml asks for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    stated = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    stated += [one for extra in project["project"].get("optional-dependencies", {}).values() for one in extra]
    locked = [line for path in (ROOT / "requirements").iterdir() for line in path.read_text().splitlines()]
    assert [
        text for text in (*stated, *locked) if re.match(r"(?:publish|publisher|publish-images)(?![\w-])", text)
    ] == []
