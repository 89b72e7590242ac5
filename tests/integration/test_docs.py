"""The README and the pages in docs/: every command in them is run, and prints what the page shows."""

from __future__ import annotations

import re
import shutil
import sys
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from typing import TYPE_CHECKING

import pytest

import publisher
from publisher.model.errors import PublishError
from publisher.sandbox.options import Options
from publisher.sandbox.server import Sandbox
from tests.support.console import Block, blocks, commands, run
from tests.support.engine import BUSYBOX
from tests.support.layout import make_layout

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.command import Publish
    from tests.support.engine import EngineProcess

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
SCRIPTS = Path(sys.executable).parent
CONFIGURATION = """
[hub]
description = "A small app"
readme = "README.md"
"""
FROM_GIT = f"git+https://github.com/OWNER/publish@{'0' * 40}"
DOCTOR_IN_AN_IMAGE = (
    'docker run --rm -v "$PWD:/work:ro" -v /var/run/docker.sock:/var/run/docker.sock '
    '--group-add "$(stat -c %g /var/run/docker.sock)" publish doctor'
)
# What a page shows and no test may do as it stands: it would change the machine, or take minutes. Where it is tested.
ELSEWHERE = {
    "pipx install .": "test_stranger",
    "uv tool install .": "test_stranger, by pip",
    "python3 -m venv ~/publish": "test_stranger",
    "~/publish/bin/pip install .": "test_stranger",
    "~/publish/bin/publish --version": "test_stranger",
    "sudo apt install pipx git": "changes the machine",
    "sudo apt install python3-venv git": "changes the machine; scripts/environment does the same",
    f"pipx install {FROM_GIT}": "test_stranger, by pip",
    f"uv tool install {FROM_GIT}": "test_stranger, by pip",
    f"~/publish/bin/pip install {FROM_GIT}": "test_stranger",
    "~/publish/bin/pip install --require-hashes --only-binary :all: -r requirements/publish.txt": "test_github_action",
    "~/publish/bin/pip install --no-index --no-deps --no-build-isolation .": "test_github_action",
    "docker build -t publish .": "test_github_workflows: this project releases itself",
    "docker run --rm publish --version": "test_github_workflows: its smoke run",
    DOCTOR_IN_AN_IMAGE: "needs the engine's socket of the machine",
    "scripts/demo": "test_stranger",
    "scripts/test": "what runs this test",
    "python -m tests.bench": "tests/bench",
    "scripts/lock": "asks the package index",
    "publish login": "test_login; a sandbox needs none",
    "publish sandbox serve --port 5000 --store ./sandbox": "test_sandbox_server: it runs until it is stopped",
}
# Those that one learns from are run by test_pages, each in one shell.
LEARNED = [f"docs/{name}.md" for name in ("README", "build", "data", "images", "run", "share")]
CONSOLE = [
    "README.md",
    "docs/configuration.md",
    "docs/errors.md",
    "docs/install.md",
    "docs/migration.md",
    "docs/sandbox.md",
    "docs/security.md",
]


def _world(publish: Publish, folder: Path, sandbox: Sandbox) -> dict[str, str]:
    """A folder with a project, two images, and a sandbox at hand; docker is the real one."""
    (folder / "README.md").write_text("# Goals\n\nA list.\n")
    for name in ("image", "other"):
        make_layout(folder / name, name, ("linux/amd64", "linux/arm64"))
    return {
        **{name: value for name, value in publish.environ.items() if name not in {"COLUMNS", "LINES"}},
        "PATH": f"{SCRIPTS}:{publish.environ['PATH']}",
        "PUBLISH_SANDBOX": sandbox.url,
        "PUBLISH_CONFIG": str(folder / "hub.toml"),
        "DOCKER_CONFIG": f"{publish.home}/.docker",
        "DOCKER_BUILDKIT": "0",
    }


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """One that holds the sample, and the repository whose page is described."""
    with Sandbox(options=Options(sample=True)) as running:
        yield running


def runnable(page: str) -> list[Block]:
    """The page's console blocks, without the commands of ELSEWHERE."""
    found = []
    for block in blocks(ROOT / page, "console"):
        kept = [one for one in commands(block) if one.text.partition("#")[0].strip() not in ELSEWHERE]
        text = "".join(f"$ {one.text}\n{one.shown}\n" for one in kept)
        found.append(block._replace(text=text))
    return found


@pytest.mark.parametrize("page", CONSOLE)
def test_commands(
    page: str, publish_with_engine: Publish, engine: EngineProcess, sandbox: Sandbox, tmp_path: Path
) -> None:
    """Every console block of the page, one after another in one folder."""
    environ = _world(publish_with_engine, tmp_path, sandbox)
    (tmp_path / "hub.toml").write_text(_configuration(page))
    shutil.copy(BUSYBOX, tmp_path / "busybox")
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY busybox /bin/busybox\n")
    engine.docker("build", "-q", "-t", "goalapp", str(tmp_path))
    for block in runnable(page):
        if commands(block):
            run(block, environ, tmp_path, _without_engine)


def _configuration(page: str) -> str:
    """The one that the page's commands need; of its own page, the example of several images."""
    if page == "docs/configuration.md":
        return next(block.text for block in blocks(ROOT / page, "toml") if "[images.web]" in block.text)
    return CONFIGURATION if page == "docs/migration.md" else ""


def _without_engine(command: str) -> str:
    """The first release of the README needs no docker: it gets none."""
    return f"DOCKER_HOST=unix:///nowhere.sock {command}" if "--sample" in command else command


def test_every_page_is_run() -> None:
    """A page with console blocks is among those that are run, and nothing is left out that isn't there."""
    pages = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
    assert {str(page.relative_to(ROOT)) for page in pages if blocks(page, "console")} == {
        *(page for page in CONSOLE if blocks(ROOT / page, "console")),
        *LEARNED,
    }
    shown = {
        one.text.partition("#")[0].strip()
        for page in pages
        for block in blocks(page, "console")
        for one in commands(block)
    }
    assert set(ELSEWHERE) <= shown


def test_links() -> None:
    """Every link to a file of this repository leads to one."""
    for page in (ROOT / "README.md", *DOCS.rglob("*.md")):
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_error_page_is_the_code() -> None:
    """Both tables name every kind that there is, at its exit code, and no other."""
    for module in walk_packages(publisher.__path__, "publisher."):
        if not module.name.endswith("__main__"):
            import_module(module.name)
    kinds = {one.kind: one.exit_code for one in every(PublishError)}
    rows = [line.split("|")[1:-1] for line in (DOCS / "errors.md").read_text().splitlines() if line.startswith("|")]
    by_code = {
        kind: row[0].split(",")[0].strip()
        for row in rows
        if len(row) == 3
        for kind in re.findall(r"`([a-z-]+)`", row[2])
        if row[0].strip()[:1].isdigit()
    }
    assert by_code == {kind: str(code) for kind, code in kinds.items()}
    assert [row[0].strip(" `") for row in rows if row[0].startswith(" `")] == list(by_code)


def every(kind: type[PublishError]) -> Iterator[type[PublishError]]:
    """A class and all below it."""
    yield kind
    for below in kind.__subclasses__():
        yield from every(below)
