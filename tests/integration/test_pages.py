"""Every command of the pages that one learns from, run as written; what it prints is what the page shows."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from publisher.sandbox.server import Sandbox
from tests.integration.test_goalapp import GOALAPP, make_base
from tests.parts.page import Shell, is_as_shown, read_page

if TYPE_CHECKING:
    from tests.parts.command import Publish
    from tests.parts.engine import Engine

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ("images", "build", "run", "share", "data")


@pytest.fixture
def goalapp(engine: Engine, publish_with_engine: Publish, tmp_path: Path) -> Path:
    """The example as docs/README.md sets it up, on a base of the same name without node."""
    base = make_base(engine, tmp_path / "base")
    engine.docker("tag", base, "node:22-alpine")
    app = shutil.copytree(GOALAPP, tmp_path / "goalapp")
    for words in (("init", "-q"), ("add", "."), ("commit", "-qm", "Goals"), ("tag", "v1.0.0")):
        publish_with_engine.git(*words, cwd=app)
    return app


@pytest.mark.parametrize("page", PAGES)
def test_commands(page: str, goalapp: Path, engine: Engine, publish_with_engine: Publish) -> None:
    """All of them succeed, in one shell, on an engine that is as it was before in the end."""
    with Sandbox() as sandbox:
        who = {f"GIT_{role}_{part}": "test@localhost" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}
        bin_ = str(Path(publish_with_engine.program).parent)
        path = f"{bin_}:{publish_with_engine.environ['PATH']}"
        environ = {**publish_with_engine.environ, **who, "PATH": path, "DOCKER_BUILDKIT": "0", "COLUMNS": "160"}
        if page == "share":
            environ["PUBLISH_SANDBOX"] = sandbox.url
        with closing(Shell(goalapp, environ)) as shell:
            for shown in read_page(DOCS / f"{page}.md"):
                code, printed = shell.run(shown.command)
                said = f"docs/{page}.md, line {shown.line}: {shown.command}\n" + "\n".join(printed)
                assert code == 0, said
                assert is_as_shown(printed, shown.output), said


def test_the_pages_are_indexed() -> None:
    """Each page stands in the index, the first five in their order and numbered."""
    index = (DOCS / "README.md").read_text()
    assert all(f"({page.name})" in index for page in DOCS.glob("*.md") if page.name != "README.md")
    for number, page in enumerate(PAGES, 1):
        assert f"{number}. [" in index
        assert (DOCS / f"{page}.md").read_text().startswith(f"# {number}. ")
        assert len(read_page(DOCS / f"{page}.md")) >= 5
