"""The blocks of code in a Markdown page, and a shell that runs what stands behind `$` in them.

A command may go on in the next line after a backslash. What stands below it is what it must print, on stdout and stderr
together: `…` stands for anything within a line, and alone in a line for any lines. A command without output below it
must end with 0; `$ echo $?` shows how the one before ended.
"""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

_FENCE: Final = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.DOTALL | re.MULTILINE)
# A page shows what the command prints outside a sandbox too.
_SANDBOX = re.compile(r"^sandbox  http://[^\n]*\n(?:         [^\n]*\n)?|,\"sandbox\":true", re.MULTILINE)
_MARK: Final = "\x1e"


class Block(NamedTuple):
    """One fenced block: where it begins, its language, its text."""

    file: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.file.name}:{self.line}"


class Command(NamedTuple):
    """One command of a console block, and the output that stands below it."""

    text: str
    shown: str


def blocks(file: Path, *languages: str) -> list[Block]:
    """The blocks in these languages, in their order."""
    text = file.read_text()
    fences = ((match, text[: match.start()].count("\n") + 1) for match in _FENCE.finditer(text))
    return [Block(file, line, match[1], match[2]) for match, line in fences if match[1] in languages]


def commands(block: Block) -> list[Command]:
    """The commands of a console block."""
    parts = re.split(r"^\$ ", block.text, flags=re.MULTILINE)
    assert not parts[0].strip(), f"{block}: something stands before the first command"
    listed = []
    for part in parts[1:]:
        command = re.match(r"(?:[^\n]*\\\n)*[^\n]*", part)
        assert command
        listed.append(Command(command[0], part[command.end() :].strip("\n")))
    return listed


def run(
    block: Block, environ: Mapping[str, str], folder: Path, instead: Callable[[str], str] = str, seconds: float = 120
) -> None:
    """Run a console block in one shell; fails where a command ends or prints otherwise than the page says.

    instead: what to run for a command as it stands on the page.
    """
    expected = commands(block)
    lines = [f"printf '{_MARK}%s\\n' $rc; (exit $rc)\n{instead(command.text)}\nrc=$?" for command in expected]
    script = "\n".join(["exec 2>&1; rc=0", *lines, f"printf '{_MARK}%s\\n' $rc"])
    done = subprocess.run(
        ["bash", "-c", script], env=dict(environ), cwd=folder, capture_output=True, text=True, check=False,
        timeout=seconds,
    )  # fmt: skip
    _, *printed, last = done.stdout.split(_MARK)
    assert len(printed) == len(expected), f"{block}: the shell ended early:\n{done.stdout}{done.stderr}"
    codes = [command.partition("\n")[0] for command in (*printed[1:], last)]
    for command, output, code in zip(expected, printed, codes, strict=True):
        shown = without_sandbox(output.partition("\n")[2], command.shown)
        report = f"{block}: {command.text}\nended with {code} and printed\n{shown}"
        if command.shown:
            assert matches(command.shown, shown), f"{report}\nwhere the page shows\n{command.shown}"
        else:
            assert code == "0", report


def without_sandbox(printed: str, shown: str) -> str:
    """Output without what tells of the sandbox, unless the page shows that too."""
    return (printed if "sandbox" in shown else _SANDBOX.sub("", printed)).strip("\n")


def matches(shown: str, printed: str) -> bool:
    """Whether output is what a page shows."""
    lines = [line.rstrip() for line in shown.split("\n")]
    pattern = "\n".join(".*" if line.strip() == "…" else _line(line) for line in lines)
    text = "\n".join(line.rstrip() for line in printed.split("\n"))
    return re.fullmatch(pattern, text, re.DOTALL) is not None


def _line(line: str) -> str:
    return r"[^\n]*".join(map(re.escape, line.split("…")))
