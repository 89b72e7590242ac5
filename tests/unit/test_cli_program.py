"""The help: its groups, its examples, and what a slip is answered with."""

from __future__ import annotations

import json
import re
import shlex
from typing import TYPE_CHECKING

import click
import pytest

from publisher.cli.context import GlobalOptions, RunContext
from publisher.cli.program import COMMANDS, program, run

if TYPE_CHECKING:
    from collections.abc import Iterator


def leaves() -> Iterator[tuple[str, click.Command]]:
    """Every command that runs something, by its words."""
    with click.Context(program) as context:
        for name in COMMANDS:
            command = program.get_command(context, name)
            assert command
            if isinstance(command, click.Group):
                yield from ((f"{name} {word}", inner) for word, inner in command.commands.items())
            else:
                yield name, command


def examples(command: click.Command) -> list[list[str]]:
    """The words of each `publish …` in a command's examples."""
    text = (command.epilog or "").partition("Examples:\n")[2]
    found = []
    for line in text.splitlines():
        for part in re.split(r"&&|\||<\(|[<>]", line):
            words = shlex.split(part.strip().rstrip(")"), comments=True)
            if words[:1] == ["publish"]:
                found.append(words[1:])
    return found


@pytest.mark.parametrize(("name", "command"), [*leaves()], ids=lambda value: value if isinstance(value, str) else "")
def test_examples_parse(name: str, command: click.Command) -> None:
    """Each command's help has examples of that command, and they name options and arguments that there are."""
    shown = examples(command)
    assert any(" ".join(words).startswith(name) for words in shown), "no example"
    for words in shown:
        parse(words)


def parse(words: list[str]) -> None:
    """Parse a command line as the program would, and run nothing."""
    with program.make_context("publish", list(words)) as context:
        context.obj = GlobalOptions(RunContext(), None, verbose=False, quiet=False, color=False)
        rest = [*context._protected_args, *context.args]
        group: click.Group = program
        while True:
            name, command, rest = group.resolve_command(context, rest)
            assert command
            if not isinstance(command, click.Group):
                command.make_context(name, rest, parent=context)
                return
            group = command


def test_a_wrong_example_is_found() -> None:
    """The check above can fail."""
    with pytest.raises(click.UsageError):
        parse(["release", "--nope"])
    with pytest.raises(click.UsageError):
        parse(["hub", "limits", "left-over"])


def test_groups(capsys: pytest.CaptureFixture[str]) -> None:
    """Release, repair, look after, parts, in the order of the work."""
    assert run(["--help"]) == 0
    sections = re.split(r"^(Release|Repair|Look after|Parts):\n", capsys.readouterr().out, flags=re.MULTILINE)[1:]
    listed = {
        title: re.findall(r"^  (\w+) ", rows, re.MULTILINE)
        for title, rows in zip(sections[::2], sections[1::2], strict=True)
    }
    assert listed["Release"] == ["init", "login", "plan", "build", "smoke", "release", "retag", "verify"]
    assert listed["Repair"] == ["status", "reconcile", "yank", "undo", "history"]
    assert listed["Look after"] == ["tags", "hub", "logout", "whoami", "doctor"]
    assert listed["Parts"][:4] == ["push", "sandbox", "schema", "completion"]


@pytest.mark.parametrize("words", [[], ["hub"], ["sandbox"]], ids=["publish", "hub", "sandbox"])
def test_a_bare_group_shows_its_help(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """On stderr, as a usage error."""
    assert run(words) == 2
    assert capsys.readouterr().err.startswith(f"Usage: {' '.join(['publish', *words])} ")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["relese"], "No such command 'relese'. Did you mean 'release'? See 'publish --help'."),
        (["xyzzy"], "No such command 'xyzzy'. See 'publish --help'."),
        (["hub", "descibe"], "No such command 'descibe'. Did you mean 'describe'? See 'publish hub --help'."),
        (
            ["release", "--dry-rum"],
            "No such option '--dry-rum'. Did you mean '--dry-run'? See 'publish release --help'.",
        ),
        (["release", "--version"], "Option '--version' requires an argument. See 'publish release --help'."),
        (["schema", "recepit"], "No schema 'recepit'. Did you mean 'receipt'? See 'publish schema --help'."),
        (["yank"], "Missing argument 'VERSION'. See 'publish yank --help'."),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_slips(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One paragraph with the nearest name and the help to look into; the same as JSON where that is wanted."""
    assert run(words) == 2
    got = capsys.readouterr()
    assert (got.out, " ".join(got.err.split())) == ("", f"publish: {told}")
    if words[-1] == "--version":
        return  # it would take --format for its value
    assert run([*words, "--format=json"]) == 2
    document = json.loads(capsys.readouterr().out)
    assert (document["schema"], document["kind"]) == ("publish.error/1", "usage")
