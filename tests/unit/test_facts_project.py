"""The project's metadata."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from publisher.facts.project import read_project, web_page
from publisher.model.facts import Project

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("remote", "page"),
    [
        pytest.param("https://github.com/a/app.git", "https://github.com/a/app", id="https"),
        pytest.param("https://user:secret@github.com/a/app", "https://github.com/a/app", id="secret-dropped"),
        pytest.param("https://git.example:8443/a/app.git", "https://git.example:8443/a/app", id="port"),
        pytest.param("git@github.com:a/app.git", "https://github.com/a/app", id="scp"),
        pytest.param("host:a/app", "https://host/a/app", id="scp-without-user"),
        pytest.param("ssh://git@github.com:22/a/app.git", "https://github.com/a/app", id="ssh"),
        pytest.param("http://git.example/a/app/", "http://git.example/a/app", id="http"),
        pytest.param("/srv/git/app.git", "", id="path"),
        pytest.param("../app", "", id="relative-path"),
        pytest.param("./a:b", "", id="path-with-colon"),
        pytest.param("file:///srv/app.git", "", id="file"),
        pytest.param("https://[bad/a", "", id="malformed"),
        pytest.param("https://h:99999/a", "", id="bad-port"),
        pytest.param("", "", id="none"),
    ],
)
def test_web_page(remote: str, page: str) -> None:
    """A git URL leads to a page, never with a user or a secret in it."""
    assert web_page(remote) == page


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        pytest.param(
            "pyproject.toml",
            '[project]\nname = "tool"\ndescription = "A tool"\nlicense = "MIT"\n',
            Project(title="tool", description="A tool", licenses="MIT"),
            id="pyproject",
        ),
        pytest.param(
            "pyproject.toml",
            '[project]\nname = "tool"\nlicense = {text = "MIT"}\n',
            Project(title="tool", licenses="MIT"),
            id="older-license",
        ),
        pytest.param(
            "pyproject.toml",
            '[project]\nlicense = {text = "MIT License\\nlong"}\nname = "x"\n',
            Project(title="x"),
            id="whole-license-text",
        ),
        pytest.param(
            "package.json",
            '{"name": "app", "description": "An app", "license": "ISC"}',
            Project(title="app", description="An app", licenses="ISC"),
            id="package",
        ),
        pytest.param("pyproject.toml", "broken [", Project(), id="broken-toml"),
        pytest.param("package.json", "[1]", Project(), id="odd-json"),
        pytest.param("package.json", '{"name": 3}', Project(), id="odd-name"),
    ],
)
def test_metadata(tmp_path: Path, name: str, content: str, expected: Project) -> None:
    """What the project's own file says is taken; one that says nothing usable is passed over."""
    (tmp_path / name).write_text(content)
    assert read_project(tmp_path, "") == expected


def test_name_of_the_remote(tmp_path: Path) -> None:
    """Without metadata the repository's name is the title."""
    page = "https://github.com/a/app"
    assert read_project(tmp_path, "git@github.com:a/app.git") == Project(title="app", url=page, source=page)
