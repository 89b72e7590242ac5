"""`publish yank`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from msgspec.structs import replace

from publisher.cli.completing import versions
from publisher.cli.options import (
    agree,
    can_ask,
    credentials,
    formats,
    open_session,
    repairing,
    select_plan_options,
    selection,
    timeout_option,
)

if TYPE_CHECKING:
    from pathlib import Path

    from publisher.cli.context import GlobalOptions


@click.command("yank")
@click.argument("version", shell_complete=versions)
@selection
@click.option("--undo", is_flag=True, help="Let the version count again.")
@click.option("--delete", is_flag=True, help="Delete its tags too, as far as single tags can be deleted.")
@repairing
@credentials
@click.option("-y", "--yes", is_flag=True, help="Don't ask; --delete needs it where there is no terminal.")
@timeout_option
@formats("json")
@click.pass_obj
def command(
    options: GlobalOptions, /, version: str, images: tuple[str, ...], rules: tuple[str, ...], flavor: tuple[str, ...],
    only: tuple[str, ...], username: str | None, *, undo: bool, delete: bool, dry_run: bool, receipt: Path | None,
    password_stdin: bool, yes: bool, form: str,
) -> int:  # fmt: skip
    r"""Let the floating tags fall back as if VERSION were not there.

    A marker in the registry (the tag yanked-VERSION) keeps it so through later releases.

    \b
    publish yank 1.2.3
    publish yank 1.2.3 --undo
    """
    from publisher.cli.rendering import show_runs
    from publisher.workflows.yank import YankOptions, yank

    if undo and delete:
        raise click.UsageError("--undo and --delete exclude each other")
    if delete and not (yes or dry_run or can_ask(yes=yes)):
        raise click.UsageError("--delete needs -y where there is no terminal to ask at")
    plan_options = select_plan_options(images, rules, flavor, only)
    with open_session(options, username, password_stdin=password_stdin) as session:
        yank_options = YankOptions(undo=undo, delete=delete, dry_run=dry_run, receipt=receipt)
        if not dry_run:
            dry_options = replace(yank_options, dry_run=True, receipt=None)
            agree(options, lambda: yank(session, version, plan_options, dry_options), "Do this?", yes=yes)
        run = yank(session, version, plan_options, yank_options)
    return show_runs(options, [run], form)
