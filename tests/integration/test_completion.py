"""Completion as it is typed: the Tab key in a live bash, zsh and fish."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.layout import make_layout
from tests.support.terminal import run_terminal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.command import Publish
    from tests.support.registry import RegistryProcess
    from tests.support.terminal import Terminal

SCRIPTS = Path(sys.executable).parent
SHELLS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], "source <(publish completion bash)"),
    "zsh": (["zsh", "-f", "-i"], "autoload -Uz compinit; compinit -D; source <(publish completion zsh)"),
    "fish": (["fish", "--no-config", "-i"], "publish completion fish | source"),
}


@pytest.fixture
def repository(registry: RegistryProcess, publish: Publish, name: str, tmp_path: Path) -> str:
    """A repository that this machine released 1.2.3 to."""
    make_layout(tmp_path / "layout", name)
    image = f"{registry.host}/{name}"
    done = publish("release", f"oci:{tmp_path / 'layout'}", "--image", image, "--version", "1.2.3")
    assert done.code == 0, done.stderr
    return image


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest, publish: Publish) -> Iterator[Terminal]:
    """A shell that has read publish's script."""
    words, source = SHELLS[request.param]
    environ = {**publish.environ, "PATH": f"{SCRIPTS}:{os.environ['PATH']}", "PS1": "% ", "fish_greeting": ""}
    with run_terminal(words, environ, width=120, cwd=publish.home) as terminal:
        terminal.type(f"{source}; echo rea''dy")
        terminal.press("Enter")
        terminal.wait_for("ready")
        yield terminal


def completed(shell: Terminal, typed: str, expected: str) -> None:
    """Type, press Tab, and wait until the line has become what is expected."""
    shell.type(typed)
    shell.press("Tab")
    shell.wait_for(expected)
    shell.press("C-u")


def test_tab(shell: Terminal, repository: str, publish: Publish) -> None:
    """Commands, options, values, a reference with its colons, a version, a receipt."""
    receipt = publish("history", "--format", "json").document["receipts"][0]["id"]
    completed(shell, "publish rele", "publish release")
    completed(shell, "publish release --dry", "publish release --dry-run")
    completed(shell, "publish plan --format js", "publish plan --format json")
    completed(shell, f"publish verify {repository}:la", f"publish verify {repository}:latest")
    completed(shell, f"publish retag {repository}:1.2.3 {repository}:1.2.", f"{repository}:1.2.3 {repository}:1.2.3")
    completed(shell, "publish yank 1.", "publish yank 1.2.3")
    completed(shell, f"publish tags {repository} --delete la", f"{repository} --delete latest")
    completed(shell, "publish undo 2", f"publish undo {receipt}")


@pytest.mark.parametrize("shell", ["bash"], indirect=True)
def test_bash(shell: Terminal, repository: str) -> None:
    """Words that bash cuts: behind an equals sign, around an at sign, several answers; none of it changes the shell."""
    completed(shell, "publish plan --format=js", "publish plan --format=json")
    completed(shell, f"publish plan --image={repository[:-3]}", f"publish plan --image={repository}")
    completed(shell, f"publish verify {repository}:1.", f"publish verify {repository}:1.2")
    shell.type("[[ $COMP_WORDBREAKS == *:* ]] && echo still-th''ere")
    shell.press("Enter")
    shell.wait_for("still-there")
