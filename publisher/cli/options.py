"""Options that several commands share, and the session that they make."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from publisher.cli.completing import image_names, repositories
from publisher.cli.context import GlobalOptions
from publisher.cli.process import limit_time
from publisher.cli.rehearsal import tell_sandbox
from publisher.model.fields import lines

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from publisher.model.credential import Credential
    from publisher.workflows.jobs import PlanOptions
    from publisher.workflows.record import Run
    from publisher.workflows.session import Session

Command = TypeVar("Command", bound="Callable[..., Any]")


class Lines(click.types.StringParamType):
    """A text that may be repeated; in the environment one a line."""

    name = "text"
    envvar_list_splitter = "\n"

    def split_envvar_value(self, rv: str) -> Sequence[str]:
        """Lines that are neither empty nor a comment, as in a workflow's block."""
        return lines((rv,))


LINES = Lines()


def formats(*names: str) -> Callable[[Command], Command]:
    """`--format`, text or what is named."""
    return click.option(
        "--format", "form", type=click.Choice(["text", *names]), default="text", help="How to print it."
    )


def _image(text: str) -> Callable[[Command], Command]:
    return click.option(
        "--image",
        "images",
        multiple=True,
        type=LINES,
        metavar="REPO",
        help=text,
        shell_complete=repositories,
    )


def only_option(command: Command) -> Command:
    """`--only`, as every command has it that several `[images.NAME]` concern."""
    text = "Only this of several [images.NAME] (repeat)."
    option = click.option("--only", multiple=True, type=LINES, metavar="NAME", help=text, shell_complete=image_names)
    return option(command)


def planning(command: Command) -> Command:
    """The options of `plan` and `release` that shape the plan."""
    for option in reversed(
        (
            _image("Publish to REPO (repeat)."),
            click.option("--rule", "rules", multiple=True, type=LINES, metavar="RULE", help="A tag rule (repeat)."),
            click.option("--flavor", multiple=True, type=LINES, metavar="F", help="A flavor of the rules (repeat)."),
            click.option("--label", "labels", multiple=True, type=LINES, metavar="K=V", help="A label (repeat)."),
            click.option("--version", metavar="V", help="The version, instead of git's."),
            only_option,
        )
    ):
        command = option(command)
    return command


def selection(command: Command) -> Command:
    """The options of commands that look at what is published: which repositories, and by which rules."""
    for option in reversed(
        (
            _image("Look at REPO (repeat)."),
            click.option("--rule", "rules", multiple=True, type=LINES, metavar="RULE", help="A tag rule (repeat)."),
            click.option("--flavor", multiple=True, type=LINES, metavar="F", help="A flavor of the rules (repeat)."),
            only_option,
        )
    ):
        command = option(command)
    return command


def listing(command: Command) -> Command:
    """Which of the tags that are there are shown."""
    limit = click.IntRange(min=0)
    command = click.option("--limit", type=limit, metavar="N", help="At most the newest N versions.")(command)
    return click.option("--filter", "glob", metavar="GLOB", default="*", help="Only tags like GLOB, as '1.*'.")(command)


_HOUR: Final = 3_600


def timeout_option(command: Command) -> Command:
    """`--timeout`, which the session obeys that the command opens."""
    return click.option(
        "--timeout",
        type=click.IntRange(0),
        default=_HOUR,
        metavar="SECONDS",
        expose_value=False,
        callback=_note_timeout,
        help="For all of it, after a build; 3600 by default, 0: as long as it takes.",
    )(command)


def _note_timeout(ctx: click.Context, _parameter: click.Parameter, value: int) -> None:
    if isinstance(ctx.obj, GlobalOptions):
        ctx.obj.run.timeout = value


def repairing(command: Command) -> Command:
    """The options of commands that put tags right: whether they write, and where else the receipt goes."""
    path = click.Path(path_type=Path)
    command = click.option("--receipt", type=path, metavar="FILE", help="Write the receipt to FILE too.")(command)
    return click.option("--dry-run", is_flag=True, help="Show what would be written; write nothing.")(command)


def select_plan_options(
    images: Sequence[str], rules: Sequence[str], flavor: Sequence[str], only: Sequence[str]
) -> PlanOptions:
    """The options of `selection` in one value."""
    return make_plan_options(images, rules, flavor, (), None, only)


def agree(options: GlobalOptions, dry_run: Callable[[], Run], question: str, *, yes: bool) -> None:
    """On a terminal show what would change and ask; click.Abort where the answer is no.

    dry_run: looks at the registry, which is done only where somebody can answer.
    """
    if not can_ask(yes=yes):
        return
    from publisher.report.cells import columns
    from publisher.report.tables import intended_text

    run = dry_run()
    click.echo(intended_text(run.receipt, run.intended, color=options.color, width=columns(sys.stderr)), err=True)
    if run.receipt.moves:
        click.confirm(question, abort=True, err=True)
        click.echo(err=True)


def confirm(text: Callable[[], str], question: str, *, yes: bool) -> None:
    """On a terminal show what stdout didn't, and ask; click.Abort where the answer is no."""
    if can_ask(yes=yes):
        click.echo(text(), err=True, nl=False)
        click.confirm(question, abort=True, err=True)


def can_ask(*, yes: bool) -> bool:
    """Whether there is a terminal to ask at, and somebody wants to be asked."""
    return not yes and sys.stdin.isatty() and sys.stderr.isatty()


def credentials(command: Command) -> Command:
    """`--username` and `--password-stdin`."""
    command = click.option("--password-stdin", is_flag=True, help="Read the password or token from stdin.")(command)
    return click.option("-u", "--username", metavar="USER", help="The user at the registry.")(command)


def make_plan_options(
    images: Sequence[str],
    rules: Sequence[str],
    flavor: Sequence[str],
    labels: Sequence[str],
    version: str | None,
    only: Sequence[str],
    *,
    force: bool = False,
) -> PlanOptions:
    """The options of the plan in one value; a label without `=` is a usage error."""
    from publisher.workflows.jobs import PlanOptions

    pairs = [label.partition("=") for label in labels]
    if bad := next((key for key, equals, _value in pairs if not equals or not key), None):
        raise click.UsageError(f"--label {bad}: expected KEY=VALUE")
    return PlanOptions(
        images=tuple(images),
        rules=tuple(rules),
        flavor=tuple(flavor),
        labels={key: value for key, _equals, value in pairs},
        version=version,
        only=tuple(only),
        force=force,
    )


def open_session(options: GlobalOptions, username: str | None = None, *, password_stdin: bool = False) -> Session:
    """A session as the global options want it."""
    from publisher.cli.github import masks
    from publisher.http.redaction import Redactor
    from publisher.model.environment import secrets_in
    from publisher.report.progress import Teller
    from publisher.report.workflow_commands import is_in_actions
    from publisher.workflows.session import Session

    redactor = options.run.redact = Redactor(masks())
    for secret in secrets_in(os.environ):
        redactor.learn(secret)
    teller = Teller(quiet=options.quiet, color=options.color, redact=redactor, annotates=is_in_actions())
    session = Session(
        os.environ,
        Path.cwd(),
        options.report_context.watch(teller),
        config=options.config,
        credential=_credential(username, password_stdin=password_stdin),
        trace=teller.trace if options.verbose else None,
        redactor=redactor,
    )
    options.report_context.versions = session.seen_versions
    session.records = options.run.records
    session.limit_time(options.run.timeout, limit_time)
    tell_sandbox(session.progress, session.sandbox)
    return session


def _credential(username: str | None, *, password_stdin: bool) -> Credential | None:
    if not username and not password_stdin:
        return None
    from publisher.model.credential import Credential
    from publisher.model.errors import Denied

    if not username or not password_stdin:
        raise Denied(
            "--username and --password-stdin go together",
            hint=f"pipe the token in: … | {click.get_current_context().command_path} -u USER --password-stdin",
        )
    secret = sys.stdin.read().removesuffix("\n").removesuffix("\r")
    if not secret:
        raise Denied("--password-stdin got nothing on stdin")
    return Credential(username, secret, "--password-stdin")


def uses_color(options: GlobalOptions) -> bool:
    """Whether results on stdout get colours."""
    return options.color and sys.stdout.isatty()


def key_password() -> bytes | None:
    """A key's password: COSIGN_PASSWORD, which may be empty, else asked on a terminal."""
    password = os.environ.get("COSIGN_PASSWORD")
    if password is not None:
        return password.encode("utf-8", "surrogateescape")
    if not can_ask(yes=False):
        return None
    answer: str = click.prompt("Password of the key", hide_input=True, default="", show_default=False, err=True)
    return answer.encode()
