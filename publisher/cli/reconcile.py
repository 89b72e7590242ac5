"""`publish reconcile`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from publisher.cli.options import (
    agree,
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


@click.command("reconcile")
@selection
@repairing
@credentials
@click.option("-y", "--yes", is_flag=True, help="Don't ask.")
@timeout_option
@formats("json")
@click.pass_obj
def command(
    options: GlobalOptions, /, images: tuple[str, ...], rules: tuple[str, ...], flavor: tuple[str, ...],
    only: tuple[str, ...], username: str | None, *, dry_run: bool, receipt: Path | None, password_stdin: bool,
    yes: bool, form: str,
) -> int:  # fmt: skip
    r"""Put the floating tags where `publish status` says that they belong.

    \b
    publish reconcile --dry-run
    publish reconcile --image yeongyin/goalapp -y
    """
    from publisher.cli.rendering import show_runs
    from publisher.workflows.reconcile import reconcile

    plan_options = select_plan_options(images, rules, flavor, only)
    with open_session(options, username, password_stdin=password_stdin) as session:
        if not dry_run:
            agree(options, lambda: reconcile(session, plan_options, dry_run=True), "Write these?", yes=yes)
        run = reconcile(session, plan_options, dry_run=dry_run, receipt=receipt)
    return show_runs(options, [run], form)
