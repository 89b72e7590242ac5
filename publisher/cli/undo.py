"""`publish undo`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from msgspec.structs import replace

from publisher.cli.completing import receipt_ids
from publisher.cli.options import (
    agree,
    credentials,
    formats,
    open_session,
    select_plan_options,
    selection,
    timeout_option,
)

if TYPE_CHECKING:
    from publisher.cli.context import GlobalOptions


@click.command("undo")
@click.argument("receipt", required=False, metavar="[RECEIPT]", shell_complete=receipt_ids)
@selection
@click.option("--force", is_flag=True, help="Also take back tags that were moved since.")
@click.option("--dry-run", is_flag=True, help="Show what would be written; write nothing.")
@click.option(
    "--receipt", "file", type=click.Path(path_type=Path), metavar="FILE", help="Write the receipt to FILE too."
)
@credentials
@click.option("-y", "--yes", is_flag=True, help="Don't ask.")
@timeout_option
@formats("json")
@click.pass_obj
def command(
    options: GlobalOptions, /, receipt: str | None, images: tuple[str, ...],
    rules: tuple[str, ...], flavor: tuple[str, ...], only: tuple[str, ...], username: str | None, *, force: bool,
    dry_run: bool, file: Path | None, password_stdin: bool, yes: bool, form: str,
) -> int:  # fmt: skip
    r"""Go back to before a release: RECEIPT is an id or a file; by default the last one that changed a tag.

    \b
    publish undo
    publish undo receipt.json --dry-run
    """
    from publisher.cli.rendering import show_runs
    from publisher.workflows.undo import UndoOptions, find_receipt, undo

    plan_options = select_plan_options(images, rules, flavor, only)
    with open_session(options, username, password_stdin=password_stdin) as session:
        target = find_receipt(session, receipt, plan_options)
        session.progress.step(f"undo     {target.id}, a {target.command} of {target.started}")
        undo_options = UndoOptions(force=force, dry_run=dry_run, receipt=file)
        if not dry_run:
            dry_options = replace(undo_options, dry_run=True, receipt=None)
            agree(options, lambda: undo(session, target, plan_options, dry_options), "Go back?", yes=yes)
        run = undo(session, target, plan_options, undo_options)
    return show_runs(options, [run], form)
