"""Every command of the pages that one learns from, run as written; what it prints is what the page shows."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from publisher.sandbox.server import Sandbox
from tests.integration.test_goalapp import make_base
from tests.support.console import without_sandbox
from tests.support.page import Shell, is_as_shown, read_page

if TYPE_CHECKING:
    from tests.support.command import Publish
    from tests.support.engine import EngineProcess

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ("images", "build", "run", "share", "data")


@pytest.fixture
def environ(publish_with_engine: Publish) -> dict[str, str]:
    """A reader's terminal, wide enough for every table."""
    who = {f"GIT_{role}_{part}": "test@localhost" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}
    path = f"{Path(publish_with_engine.program).parent}:{publish_with_engine.environ['PATH']}"
    return {**publish_with_engine.environ, **who, "PATH": path, "DOCKER_BUILDKIT": "0", "COLUMNS": "160"}


@pytest.mark.parametrize("page", PAGES)
def test_commands(page: str, environ: dict[str, str], engine: EngineProcess, tmp_path: Path) -> None:
    """All of them succeed and print what the page shows, in one shell that begins as docs/README.md says."""
    # What a page that broke off has left would stop those after it.
    engine.docker("rm", "-f", "goals", "hello", "counter", check=False)
    engine.docker("tag", make_base(engine, tmp_path / "base"), "node:22-alpine")
    with Sandbox() as sandbox:
        rehearsed = {"PUBLISH_SANDBOX": sandbox.url} if page == "share" else {}
        with closing(Shell(DOCS.parent, {**environ, **rehearsed})) as shell:
            for name in ("README", page):
                _follow(shell, DOCS / f"{name}.md")


def _follow(shell: Shell, page: Path) -> None:
    for shown in read_page(page):
        code, printed = shell.follow(shown)
        said = f"{page.name}, line {shown.line}: {shown.command}\n" + "\n".join(printed)
        assert code == 0, said
        output = without_sandbox("\n".join(printed), "\n".join(shown.output))
        assert is_as_shown(output.splitlines(), shown.output), said


def test_the_pages_are_indexed() -> None:
    """Each page stands in the index, the first five in their order and numbered."""
    index = (DOCS / "README.md").read_text()
    assert all(f"({page.name})" in index for page in DOCS.glob("*.md") if page.name != "README.md")
    for number, page in enumerate(PAGES, 1):
        assert f"{number}. [" in index
        assert (DOCS / f"{page}.md").read_text().startswith(f"# {number}. ")
        assert len(read_page(DOCS / f"{page}.md")) >= 5
