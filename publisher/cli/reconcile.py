"""`publish reconcile`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from publisher.cli.options import agree, credentials, formats, open_session, selected, selection

if TYPE_CHECKING:
    from publisher.cli.program import GlobalOptions


@click.command("reconcile")
@selection
@click.option("--dry-run", is_flag=True, help="Show what would be written; write nothing.")
@click.option("--receipt", type=click.Path(path_type=Path), metavar="FILE", help="Write the receipt to FILE too.")
@credentials
@click.option("-y", "--yes", is_flag=True, help="Don't ask.")
@formats("json")
@click.pass_obj
def command(
    given: GlobalOptions, /, images: tuple[str, ...], rules: tuple[str, ...], flavor: tuple[str, ...], only: str | None,
    username: str | None, *, dry_run: bool, receipt: Path | None, password_stdin: bool, yes: bool, form: str,
) -> int:  # fmt: skip
    r"""Put the floating tags where `publish status` says that they belong.

    \b
    publish reconcile --dry-run
    publish reconcile --image yeongyin/goalapp -y
    """
    from publisher.cli.rendering import show_runs
    from publisher.workflows.reconcile import reconcile

    wanted = selected(images, rules, flavor, only)
    with open_session(given, username, password_stdin=password_stdin) as session:
        if not dry_run:
            agree(given, lambda: reconcile(session, wanted, dry_run=True), "Write these?", yes=yes)
        run = reconcile(session, wanted, dry_run=dry_run, receipt=receipt)
    return show_runs(given, [run], form)
