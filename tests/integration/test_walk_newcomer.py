"""Someone new with a laptop: install, init, rehearse, release, sign in and out, on a machine without a keyring.

One person's first hour in one home, in order; each step asserts its exit code and the sentence that leads on.
"""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from publisher import __version__
from tests.support.base_image import WITHOUT_INDEX
from tests.support.builds import CONTAINERD
from tests.support.console import blocks, commands
from tests.support.engine import BUSYBOX
from tests.support.parts import add_buildx
from tests.support.registry import SECRET, USER

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.engine import EngineProcess
    from tests.support.registry import RegistryProcess

ROOT = Path(__file__).parents[2]
VENV, INSTALL, VERSION = "python3 -m venv ~/publish", "~/publish/bin/pip install .", "~/publish/bin/publish --version"


@dataclass(frozen=True)
class Answer:
    """What stood in the terminal, lines unwrapped."""

    code: int
    text: str


@pytest.fixture
def terminal(engine: EngineProcess, tmp_path: Path) -> Callable[..., Answer]:
    """Runs a line in a shell whose home is empty: no session bus, no keyring, no login, docker as it is installed."""
    home = tmp_path / "home"
    home.mkdir()
    add_buildx(home / ".docker")
    python = Path(getattr(sys, "_base_executable", sys.executable)).parent
    environ = {
        "HOME": str(home),
        "PATH": f"{home}/publish/bin:{python}:/usr/local/bin:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "DOCKER_HOST": engine.host,
        "COLUMNS": "160",
        "PIP_NO_COMPILE": "1",  # what is never run need not be compiled
        **WITHOUT_INDEX,
    }

    def run(line: str, folder: Path, stdin: str = "") -> Answer:
        done = subprocess.run(
            ["bash", "-c", line], env=environ, cwd=folder, input=stdin, text=True, check=False, timeout=180,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        return Answer(done.returncode, re.sub(r"[ \n]+", " ", done.stdout))

    return run


def make_project(folder: Path) -> Path:
    """A new repository, nothing committed yet."""
    folder.mkdir()
    (folder / "busybox").write_bytes(BUSYBOX.read_bytes())
    (folder / "busybox").chmod(0o755)
    (folder / "Dockerfile").write_text(
        'FROM scratch\nWORKDIR /app\nCOPY busybox /bin/busybox\nCMD ["/bin/busybox", "true"]\n'
    )
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    subprocess.run(["git", "remote", "add", "origin", "git@github.com:Yeongyin/GoalApp.git"], cwd=folder, check=True)
    return folder


@CONTAINERD
def test_the_first_hour(
    terminal: Callable[..., Answer], private_registry: RegistryProcess, name: str, tmp_path: Path
) -> None:
    # Install, by the lines of docs/install.md.
    shown = [one.text for block in blocks(ROOT / "docs" / "install.md", "console") for one in commands(block)]
    assert [line for line in shown if line in {VENV, INSTALL, VERSION}] == [VENV, INSTALL, VERSION]
    for line in (VENV, INSTALL):
        assert terminal(line, ROOT).code == 0, line
    assert terminal(VERSION, tmp_path) == Answer(0, f"publish {__version__} ")

    # From nothing to a rehearsed release: each command says the next.
    project = make_project(tmp_path / "goals")
    started = terminal("publish init", project)
    assert started.code == 0, started.text
    assert "wrote publish.toml" in started.text
    following = re.search(
        r"next: (publish sandbox exec -- publish release --version 1\.0\.0) \(a rehearsal", started.text
    )
    assert following
    rehearsed = terminal(following[1], project)
    assert rehearsed.code == 0, rehearsed.text
    assert "nothing is committed here yet" in rehearsed.text
    assert "plan for 1.0.0 (rehearsal)" in rehearsed.text
    assert "promoted 4 of 4 tags written" in rehearsed.text
    assert re.search(r"yeongyin/goalapp@sha256:[0-9a-f]{64} $", rehearsed.text)

    # What one gets wrong at first is told, with the way on, and changes nothing.
    for line, code, *said in (
        ("publish init", 2, "publish.toml is there already, and nothing was written", "--force overwrites"),
        ("publish release --verion 1.0.0", 2, "No such option '--verion'", "'--version'", "publish release --help"),
        ("publish release docker-daemon:xyzzy --version 1.0.0", 2, "has no image 'xyzzy'", "docker image ls"),
        (f"publish whoami {private_registry.host}", 3, "Nobody is signed in", f"publish login {private_registry.host}"),
    ):
        wrong = terminal(line, project)
        assert wrong.code == code, wrong.text
        assert [text for text in said if text not in wrong.text] == []

    # Without a keyring a login says so before it asks or reads anything, and where else the secret can go.
    host, image = private_registry.host, f"{private_registry.host}/{name}"
    release = f"publish release --version 1.0.0 --image {image}"
    asked = len(private_registry.requests())
    login = f"publish login {host} -u {USER} --password-stdin"
    refused = terminal(login, project, SECRET)
    assert refused.code == 3
    assert "This machine has no keyring that is running" in refused.text
    assert "--store docker'" in refused.text
    assert len(private_registry.requests()) == asked
    denied = terminal(release, project)
    assert denied.code == 3
    assert "without credentials was denied" in denied.text
    assert "publish login" in denied.text

    # In docker's own file it is kept, said to be readable, used, and forgotten again.
    kept = terminal(f"{login} --store docker", project, SECRET)
    assert kept.code == 0, kept.text
    assert f"{host}: {USER}, by a password or token kept in docker's own file" in kept.text
    assert "as plain base64" in kept.text
    done = terminal(release, project)
    assert done.code == 0, done.text
    assert f"{image}@sha256:" in done.text
    assert f"{host}: forgotten" in (out := terminal(f"publish logout {host}", project)).text
    assert out.code == 0
    assert "the token itself is still valid" in out.text
    assert terminal(f"publish whoami {host}", project).code == 3
    assert terminal(f"publish logout {host}", project).text.startswith(f"{host}: there was no login")
    assert not any(SECRET in answer.text for answer in (refused, denied, kept, done, out))
