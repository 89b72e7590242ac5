"""The screens in docs/screens: what each command shows at 80 and 140 columns, with and without colour.

`pytest tests/integration/test_screens.py --update-screens` writes them anew; then read the difference.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from publisher.cli.program import COMMANDS
from publisher.sandbox.options import Options
from publisher.sandbox.server import Sandbox
from tests.support.engine import BUSYBOX, EngineProcess
from tests.support.layout import make_layout
from tests.support.registry import SECRET, USER
from tests.support.screen import draw_svg, normalize, strip_colors
from tests.support.terminal import run_terminal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tests.support.command import Publish
    from tests.support.registry import RegistryProcess

SCREENS = Path(__file__).parents[2] / "docs" / "screens"
SCRIPTS = Path(sys.executable).parent
IMAGE = "yeongyin/goalapp"
HOME = "/home/captain"

CONFIGURATION = f"""\
images = ["{IMAGE}"]

[hub]
description = "A small app"
readme      = "README.md"
immutable   = ["^[0-9]+[.][0-9]+[.][0-9]+$"]
create      = true

[retention]
keep-last = 2
"""


class Screen(NamedTuple):
    """One command to show. name: "" runs it unseen. answers: what is typed when something stands on the screen."""

    name: str
    command: str
    code: int = 0
    answers: Mapping[str, str] = {}


# Those that have no colours in the first place, which the runs with colours show.
COLORLESS = {
    "help", "help-of-release", "init", "slip", "slip-in-a-file", "push", "hub-limits", "whoami", "logout", "schema",
}  # fmt: skip
INTRODUCTION = """\
What each command shows in a terminal, with the [sandbox](../sandbox.md) as registry. Ids, dates and ports stand for
those of a run. The files are held by `tests/integration/test_screens.py`, which runs every command at both widths, with
and without colour; `pytest tests/integration/test_screens.py --update-screens` writes them anew.
"""
YES = {"[y/N]:": "y"}
STORY = (
    Screen("help", "publish --help"),
    Screen("help-of-release", "publish release --help"),
    Screen("slip", "publish relese", 2),
    Screen("slip-in-a-file", "publish --config slip.toml plan", 2),
    Screen("init", f"publish init --image {IMAGE} --dry-run"),
    Screen("plan", "publish plan oci:1.0.0 --version 1.0.0"),
    Screen("release", "publish release oci:1.0.0 --version 1.0.0", answers={"Release this? [y/N]:": "y"}),
    Screen("", "publish release oci:1.1.0 --version 1.1.0 -y"),
    Screen("release-older-line", "publish release oci:1.0.1 --version 1.0.1 -y"),
    Screen("release-refused", "publish release oci:other --version 1.1.0 -y", 4),
    Screen("", "publish release oci:2.0.0 --version 2.0.0-rc.1 -y"),
    Screen("verify", f"publish verify {IMAGE}:latest {IMAGE}:nightly", 5),
    Screen("push", "publish push oci:1.0.0"),
    Screen("retag", f"publish retag {IMAGE}:1.1.0 :stable :tested"),
    Screen("status", "publish status"),
    Screen("yank", "publish yank 1.1.0", answers=YES),
    Screen("undo", "publish undo", answers=YES),
    Screen("", f"publish retag {IMAGE}:1.0.0 :latest --force"),
    Screen("status-drift", "publish status", 4),
    Screen("reconcile", "publish reconcile", answers=YES),
    Screen("history", "publish history"),
    Screen("tags", f"publish tags {IMAGE}"),
    Screen("tags-prune", f"publish tags {IMAGE} --prune"),
    Screen("hub-describe", "publish hub describe", answers=YES),
    Screen("hub-settings", "publish hub settings --dry-run"),
    Screen("hub-limits", "publish hub limits"),
    Screen("login", "publish login HOST --store docker", answers={"Username at": USER, "Password or token of": SECRET}),
    Screen("whoami", "publish whoami HOST"),
    Screen("logout", "publish logout HOST"),
    Screen("schema", "publish schema"),
    Screen("doctor", "publish doctor", 6),
)
WITH_ENGINE = (
    Screen("build", "publish build --version 1.2.0 --no-cache"),
    Screen("smoke", "publish smoke"),
    Screen("smoke-failed", "publish --config failing.toml smoke", 5),
)
BUILT = f"""\
images = ["{IMAGE}"]
source = "docker-daemon:goalapp:1.2.0"

[build]

[smoke]
command = ["/bin/busybox", "cat", "/page"]
"""


@pytest.fixture
def home() -> Iterator[Path]:
    """A home whose name is as long as the one that the docs show."""
    folder = Path(tempfile.mkdtemp(prefix="", dir="/tmp"))
    assert len(str(folder)) == len(HOME)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def project(publish: Publish, home: Path) -> Path:
    """A git repository of fixed times, and images of fixed content."""
    folder = home / "goalapp"
    folder.mkdir()
    (folder / "publish.toml").write_text(CONFIGURATION)
    (folder / "slip.toml").write_text(f'images = ["{IMAGE}"]\n[tags]\nruels = ["type=sha"]\n')
    (folder / "README.md").write_text("# Goals\n\nA list of what you want to do next.\n")
    (folder / ".gitignore").write_text("/*\n!/publish.toml\n!/README.md\n!/.gitignore\n")
    when = {f"GIT_{role}_DATE": "2026-01-02T09:00:00Z" for role in ("AUTHOR", "COMMITTER")}
    places: dict[str, object] = {"HOME": home, "DOCKER_CONFIG": home / ".docker"}
    # Whatever this machine has: no engine, no keyring.
    places |= {"DOCKER_HOST": f"unix://{home}/docker.sock", "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"}
    places |= {f"XDG_{kind}_HOME": home / f".{kind}" for kind in ("STATE", "CACHE", "CONFIG")}
    publish.environ.update(when, **{name: str(place) for name, place in places.items()})
    publish.git("init", "-q", "-b", "main", cwd=folder)
    publish.git("add", ".", cwd=folder)
    publish.git("commit", "-q", "-m", "Goals", cwd=folder)
    for version in ("1.0.0", "1.0.1", "1.1.0", "2.0.0", "other"):
        make_layout(folder / version, version, ("linux/amd64", "linux/arm64"))
    return folder


@pytest.mark.parametrize(("width", "color"), [(80, True), (140, True), (80, False)], ids=["80", "140", "80-plain"])
def test_screens(
    width: int,
    color: bool,
    publish: Publish,
    project: Path,
    private_registry: RegistryProcess,
    request: pytest.FixtureRequest,
) -> None:
    """Each command in a real terminal shows what the docs show, and no colour where none is wanted."""
    with Sandbox(options=Options(auth=True)) as sandbox:
        environ = {
            **publish.environ,
            "PATH": f"{SCRIPTS}:{os.environ['PATH']}",
            "PUBLISH_SANDBOX": sandbox.url,
            "HOST": private_registry.host,
            **({} if color else {"PUBLISH_NO_COLOR": "1"}),
        }
        story = [screen for screen in STORY if color or screen.name not in COLORLESS]
        shown = {screen.name: show(screen, environ, width, project) for screen in story}
    assert {name for name, screen in shown.items() if name and "\x1b" not in screen} == (
        COLORLESS if color else {screen.name for screen in story if screen.name}
    )
    compare(shown, width, color=color, update=request.config.getoption("update_screens"))


@pytest.mark.parametrize("width", [80, 140])
def test_screens_of_an_engine(
    width: int, publish_with_engine: Publish, engine: EngineProcess, home: Path, request: pytest.FixtureRequest
) -> None:
    """What builds and runs an image: its times and ids are the engine's own; a build is shown as BuildKit makes it."""
    (home / "publish.toml").write_text(f'{BUILT}exit-code = 0\noutput = "Goals"\n')
    (home / "failing.toml").write_text(f'{BUILT}output = "Tasks"\n')
    (home / "page").write_text("Goals\n")
    shutil.copy(BUSYBOX, home / "busybox")
    (home / "Dockerfile").write_text("FROM scratch\nCOPY busybox /bin/busybox\nCOPY page /page\n")
    environ = {**publish_with_engine.environ, "PATH": f"{SCRIPTS}:{os.environ['PATH']}", "HOME": str(home)}
    shown = {screen.name: show(screen, environ, width, home) for screen in WITH_ENGINE}
    # The engine's builder writes the time into what it builds: every id is another one.
    shown["build"] = re.sub(r"(?<=sha256:)[0-9a-f\n]{64,65}(?=\n)", _zeros, shown["build"])
    if engine.store == "classic":
        assert "4/4 LABEL org.opencontainers.image.version=1.2.0" in shown.pop("build")
    compare(shown, width, color=True, update=request.config.getoption("update_screens"))


def _zeros(found: re.Match[str]) -> str:
    return re.sub("[0-9a-f]", "0", found[0])


def test_the_page_shows_every_screen(request: pytest.FixtureRequest) -> None:
    """docs/screens/README.md has each of them, and each command of the help is among them."""
    every = [screen for screen in (*STORY, *WITH_ENGINE) if screen.name]
    assert held(SCREENS / "README.md", page(every), request.config.getoption("update_screens"))
    assert {screen.command.split()[1] for screen in every} >= set(COMMANDS) - {"sandbox", "completion"}
    files = {f"{screen.name}-{width}.{kind}" for screen in every for width in (80, 140) for kind in ("txt", "svg")}
    assert {file.name for file in SCREENS.iterdir()} == files | {"README.md"}


def page(screens: Iterable[Screen]) -> str:
    """A picture of each, and where the others are."""
    parts = [f"# Screens\n\n{INTRODUCTION}"]
    for screen in screens:
        ends = f" ends with {screen.code}" if screen.code else ""
        links = ", ".join(
            f"[{width} columns {words}]({screen.name}-{width}.{kind})"
            for width in (80, 140)
            for kind, words in (("svg", "in colour"), ("txt", "as text"))
            if (width, kind) != (80, "svg")
        )
        alt = f"{screen.command}: the screen"
        parts.append(f"## `{screen.command}`{ends}\n\n![{alt}]({screen.name}-80.svg)\n\n{links}\n")
    return "\n".join(parts)


def compare(shown: Mapping[str, str], width: int, *, color: bool, update: bool) -> None:
    """Hold the screens against the files; `update` writes these instead."""
    files = [pair for name, screen in shown.items() if name for pair in kept(name, screen, width, color=color)]
    different = {file.name: text for file, text in files if not held(file, text, update)}
    # The texts are enough to see what changed, where texts did.
    assert {name: text for name, text in different.items() if name.endswith(".txt")} == {}
    assert sorted(different) == []


def show(screen: Screen, environ: Mapping[str, str], width: int, project: Path) -> str:
    """Run it in a terminal; what stands there at the end, below the command itself.

    HOST is a registry that asks who one is; a sandbox needs no login.
    """
    command = screen.command.replace("HOST", environ.get("HOST", ""))
    if command != screen.command:
        environ = {name: value for name, value in environ.items() if name != "PUBLISH_SANDBOX"}
    with run_terminal(command.split(), environ, width=width, height=100, cwd=project) as terminal:
        for question, answer in screen.answers.items():
            terminal.wait_for(question)
            terminal.type(answer)
            terminal.press("Enter")
        assert terminal.end() == screen.code, terminal.screen()
        shown = f"$ {command}\n{terminal.screen(color=True)}"
        return normalize(shown.replace(environ["HOME"], HOME))


def kept(name: str, screen: str, width: int, *, color: bool) -> list[tuple[Path, str]]:
    """The files of one screen, and what they hold."""
    text = (SCREENS / f"{name}-{width}.txt", strip_colors(screen))
    return (
        [text, (SCREENS / f"{name}-{width}.svg", draw_svg(screen, screen.split("\n", maxsplit=1)[0], width))]
        if color
        else [text]
    )


def held(file: Path, text: str, update: bool) -> bool:
    """Whether a file holds just that."""
    if update:
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    return file.exists() and file.read_text() == text
