"""The program: its groups of commands, its global options, and what becomes of errors."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from publisher import __version__
from publisher.cli.context import GlobalOptions, RunContext
from publisher.cli.process import forget_stdout, obey_signals
from publisher.model.errors import Interrupted, Stopped

if TYPE_CHECKING:
    from collections.abc import Sequence


class CommandEntry(NamedTuple):
    """One command: where it lives, and its line in the help."""

    section: str
    help: str


# A command stands in a file of its own name however short it is: it is imported by that name when it runs, so that
# `publish --version` and `--help` stay quick.
COMMANDS = {
    "init": CommandEntry("Release", "Write publish.toml, and a workflow, from what is here."),
    "login": CommandEntry("Release", "Prove a credential to a registry, and keep it in the keyring."),
    "plan": CommandEntry("Release", "Show what a release would do, tag by tag, and why."),
    "build": CommandEntry("Release", "Build the image that [build] describes, with labels from the plan."),
    "smoke": CommandEntry("Release", "Run an image as [smoke] says, and check it."),
    "release": CommandEntry("Release", "Publish an image: push by digest, verify, then move the tags."),
    "retag": CommandEntry("Release", "Point tags at an image that is in a registry already."),
    "verify": CommandEntry("Release", "Check that references hold what they should."),
    "status": CommandEntry("Repair", "Show versions and floating tags, and which are not where they belong."),
    "reconcile": CommandEntry("Repair", "Put the floating tags where they belong."),
    "yank": CommandEntry("Repair", "Let floating tags fall back as if a version were not there."),
    "undo": CommandEntry("Repair", "Go back to before a release."),
    "history": CommandEntry("Repair", "Show the receipts that are kept on this machine."),
    "tags": CommandEntry("Look after", "List a repository's tags; prune or delete some of them."),
    "hub": CommandEntry("Look after", "Docker Hub: README and description, immutable tags, visibility, pulls left."),
    "logout": CommandEntry("Look after", "Forget a credential."),
    "whoami": CommandEntry("Look after", "Show who you are at a registry, and by which credential."),
    "doctor": CommandEntry("Look after", "Check git, engine, configuration and rights, and say what to do."),
    "push": CommandEntry("Parts", "Send content by digest; no tag moves."),
    "sandbox": CommandEntry("Parts", "Rehearse against an embedded registry."),
    "schema": CommandEntry("Parts", "Print the JSON Schema of a document."),
    "completion": CommandEntry("Parts", "Print the completion script of a shell."),
}
_MOVERS = frozenset({"release", "retag", "reconcile", "yank", "undo"})
_SECTIONS = ("Release", "Repair", "Look after", "Parts")


class Program(click.Group):
    """A group that knows its commands by name and imports each when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import `publisher.cli.NAME` and take its `command`."""
        if cmd_name not in COMMANDS:
            return None
        from importlib import import_module

        command: click.Command = import_module(f"publisher.cli.{cmd_name}").command
        name_variables(command, f"PUBLISH_{cmd_name.upper()}")
        command.short_help = COMMANDS[cmd_name].help
        for part in (command, *getattr(command, "commands", {}).values()):
            _part_examples(part)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; a misspelt one is answered with the nearest name."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(args[0], COMMANDS, n=1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            raise click.UsageError(f"No such command '{args[0]}'.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands under their sections."""
        for section in _SECTIONS:
            rows = [(name, entry.help) for name, entry in COMMANDS.items() if entry.section == section]
            if rows:
                with formatter.section(section):
                    formatter.write_dl(rows)


def _part_examples(command: click.Command) -> None:
    """Let the examples, a docstring's last part, stand below the options, line by line.

    In a raw docstring click's mark for "leave these lines as they are" is two characters.
    """
    text, mark, examples = (command.help or "").partition("\\b\n")
    if mark:
        lines = "".join(f"\n  {line.strip()}" for line in examples.strip().splitlines())
        command.help, command.epilog = text.rstrip(), f"\b\nExamples:{lines}"


def name_variables(command: click.Command, prefix: str) -> None:
    """Let every option be set by PREFIX_OPTION, after its long name."""
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            longest = max(parameter.opts, key=len)
            parameter.envvar = f"{prefix}_{longest.lstrip('-').upper().replace('-', '_')}"
    if isinstance(command, click.Group):
        for name, subcommand in command.commands.items():
            name_variables(subcommand, f"{prefix}_{name.upper()}")


def _show_version(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        click.echo(f"publish {__version__}")
        ctx.exit()


@click.group(
    cls=Program,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "auto_envvar_prefix": "PUBLISH",
        "max_content_width": 100,
    },
    epilog=(
        "\b\nExamples:\n"
        "  publish init\n"
        "  publish plan\n"
        "  publish sandbox exec -- publish release\n"
        "  publish release\n\n"
        "Exit codes: 0 done, 1 unexpected, 2 usage or configuration, 3 credentials, 4 refused by policy, "
        "5 verification failed, 6 no answer, 7 some tag was changed and not all is done."
    ),
)
@click.option("--config", metavar="FILE", help="Read FILE instead of publish.toml or pyproject.toml.")
@click.option("-v", "--verbose", is_flag=True, help="Show each HTTP request (redacted), and tracebacks.")
@click.option("-q", "--quiet", is_flag=True, help="No progress, only results and errors.")
@click.option("--no-color", is_flag=True, help="No colours; NO_COLOR does the same.")
@click.option(
    "--version",
    allow_from_autoenv=False,
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version.",
)
@click.pass_context
def program(ctx: click.Context, *, config: str | None, verbose: bool, quiet: bool, no_color: bool) -> None:
    """Put container images into Docker Hub and other OCI registries, and keep their tags true."""
    color = not no_color and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    ctx.obj = GlobalOptions(ctx.find_object(RunContext) or RunContext(), config, verbose, quiet, color=color)


def run(arguments: Sequence[str], name: str = "publish") -> int:
    """Run the program on `arguments`; returns the exit code. name: what it was called by."""
    obey_signals()
    context = RunContext()
    if "_PUBLISH_COMPLETE" in os.environ:
        from publisher.cli.completing import register

        register()
    try:
        result: Any = program.main(args=list(arguments), prog_name=name, standalone_mode=False, obj=context)
    except click.ClickException as error:
        return _refuse_usage(error, arguments, context)
    except click.Abort:
        return _refuse(Stopped(signal.SIGINT, "stopped: the answer was no"), arguments, context)
    except BrokenPipeError as error:
        return _refuse(error, arguments, context) if context.runs_under_way else _leave_silently()
    except (Exception, Interrupted) as error:  # noqa: BLE001 - the last door: each becomes a paragraph and a code
        return _refuse(error, arguments, context)
    return result if isinstance(result, int) else 0


def _leave_silently() -> int:
    """Whoever read our output has gone, and knows it."""
    forget_stdout()
    return 1


def _refuse_usage(error: click.ClickException, arguments: Sequence[str], context: RunContext) -> int:
    """A bare group shows its help; any other slip is told as every error is, with the help to look into."""
    from publisher.model.errors import UsageError

    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return error.exit_code
    hint = f"see '{_path(error, arguments)} --help'"
    return _refuse(UsageError(error.format_message().removesuffix("."), hint=hint), arguments, context)


def _path(error: click.ClickException, arguments: Sequence[str]) -> str:
    """The command whose help to look into; click doesn't know it where an option has no value."""
    if isinstance(error, click.UsageError) and error.ctx:
        return error.ctx.command_path
    return " ".join(["publish", *(word for word in arguments if word in COMMANDS)][:2])


def _refuse(error: BaseException, arguments: Sequence[str], context: RunContext) -> int:
    from publisher.cli.rendering import render_failure, show_runs

    as_json = wants_json(arguments)
    if not context.runs_under_way:
        moves_tags = _command(arguments) in _MOVERS
        verbose = _is_verbose(arguments)
        return render_failure(error, context.redact, as_json=as_json, verbose=verbose, moves_tags=moves_tags)
    # Tags were changed: whatever came then, what is known of them is told as at every other end.
    options = GlobalOptions(context, None, verbose=_is_verbose(arguments), quiet=False, color=False)
    return show_runs(options, context.break_off(error), "json" if as_json else "text")


def _command(arguments: Sequence[str]) -> str | None:
    return next((word for word in arguments if word in COMMANDS), None)


def _is_verbose(arguments: Sequence[str]) -> bool:
    return any(word in {"-v", "--verbose"} for word in arguments) or bool(os.environ.get("PUBLISH_VERBOSE"))


def wants_json(arguments: Sequence[str]) -> bool:
    """Whether the command line or the environment asks for JSON, even where the rest of it can't be parsed."""
    for word, following in zip(arguments, [*arguments[1:], ""], strict=False):
        if word == "--format=json" or (word == "--format" and following == "json"):
            return True
    words = [word for word in arguments if not word.startswith("-")]
    index = next((index for index, word in enumerate(words) if word in COMMANDS), len(words))
    # A group's commands have variables of their own, as PUBLISH_HUB_DESCRIBE_FORMAT.
    names = ("_".join(words[index:end]).upper() for end in (index + 1, index + 2))
    return any(os.environ.get(f"PUBLISH_{command}_FORMAT") == "json" for command in names)
