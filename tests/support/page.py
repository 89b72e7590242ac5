"""The commands of a page of the documentation, and what it says they print."""

from __future__ import annotations

import re
import subprocess
import uuid
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.terminal import run_terminal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
_ANYTHING = "…"
_IN_A_TERMINAL = re.compile(r"docker (?:run|exec) -it ")
# What busybox's shell, Alpine's too, shows root where it waits for a line.
_PROMPT = "/app # "


@dataclass(frozen=True)
class PageCommand:
    """One command of a page: its text, its line there, and the lines that it prints."""

    line: int
    command: str
    output: tuple[str, ...]

    @property
    def typed(self) -> list[str]:
        """The lines that the reader types into what the command started, in a terminal."""
        if not _IN_A_TERMINAL.match(self.command):
            return []
        return [line.removeprefix(_PROMPT) for line in self.output if line.startswith(_PROMPT)]


def read_page(page: Path) -> list[PageCommand]:
    """All commands: `$` begins one, `>` continues it."""
    text = page.read_text()
    return [
        shown for match in _BLOCK.finditer(text) for shown in _commands(match[1], text[: match.start()].count("\n") + 2)
    ]


def _commands(block: str, first: int) -> Iterator[PageCommand]:
    begun: list[tuple[int, list[str], list[str]]] = []
    for number, line in enumerate(block.splitlines(), first):
        if line.startswith("$ "):
            begun.append((number, [line[2:]], []))
        elif line.startswith("> ") and not begun[-1][2]:
            begun[-1][1].append(line[2:])
        else:
            begun[-1][2].append(line)
    for number, command, output in begun:
        yield PageCommand(number, "\n".join(command), tuple(output))


class Shell:
    """A bash that runs one command after the other, as a reader's terminal does."""

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._process = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=folder, env=dict(environ), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, bufsize=1,
        )  # fmt: skip

    def follow(self, shown: PageCommand) -> tuple[int, list[str]]:
        """Do what the page shows; the exit code, and the lines that were printed."""
        return self._talk(shown.command, shown.typed) if shown.typed else self.run(shown.command)

    def _talk(self, command: str, typed: list[str]) -> tuple[int, list[str]]:
        """Run it in a terminal, and type each line when it is waited for."""
        here = Path(f"/proc/{self._process.pid}/cwd").resolve()
        with run_terminal(["bash", "-c", command], self._environ, width=160, cwd=here) as terminal:
            for number, line in enumerate(typed, 1):
                terminal.wait_until(partial(_waits, number), f"prompt {number}")
                terminal.type(line)
                terminal.press("Enter")
            return terminal.end(), terminal.screen().rstrip().splitlines()

    def run(self, command: str) -> tuple[int, list[str]]:
        """Its exit code, and the lines that it printed."""
        mark = uuid.uuid4().hex
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{command}\nprintf '\\n%s %s\\n' {mark} $?\n")
        self._process.stdin.flush()
        lines: list[str] = []
        for line in self._process.stdout:
            if line.startswith(mark):
                return int(line.split()[1]), "\n".join(lines).rstrip().splitlines()
            lines.append(line.rstrip("\n"))
        raise AssertionError(f"the shell ended: {lines}")

    def close(self) -> None:
        """End it."""
        self._process.communicate("exit\n", timeout=30)


def _waits(number: int, screen: str) -> bool:
    """Whether that prompt has come, and nothing behind it yet."""
    lines = screen.rstrip("\n").split("\n")
    prompt = _PROMPT.rstrip()
    return lines[-1] == prompt and sum(line.startswith(prompt) for line in lines) == number


def is_as_shown(printed: list[str], shown: tuple[str, ...]) -> bool:
    """Whether each line shown was printed, in that order; `…` alone is any lines, within a line any text."""
    pattern = "".join("(?:.*\n)*" if line == _ANYTHING else _line(line) for line in shown)
    return re.fullmatch(pattern, "".join(f"{_plain(line)}\n" for line in printed)) is not None


def _line(text: str) -> str:
    return ".*".join(map(re.escape, _plain(text).split(_ANYTHING))) + "\n"


def _plain(text: str) -> str:
    """Columns are as wide as their widest entry, which differs from run to run."""
    return re.sub(r"\s+", " ", text).strip()
