"""`publish undo`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from msgspec.structs import replace

from publisher.cli.completing import receipt_ids
from publisher.cli.options import agree, credentials, formats, open_session, selected, selection

if TYPE_CHECKING:
    from publisher.cli.program import GlobalOptions


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
@formats("json")
@click.pass_obj
def command(
    given: GlobalOptions, /, receipt: str | None, images: tuple[str, ...],
    rules: tuple[str, ...], flavor: tuple[str, ...], only: str | None, username: str | None, *, force: bool,
    dry_run: bool, file: Path | None, password_stdin: bool, yes: bool, form: str,
) -> int:  # fmt: skip
    r"""Go back to before a release: RECEIPT is an id or a file; by default the last one that changed a tag.

    \b
    publish undo
    publish undo receipt.json --dry-run
    """
    from publisher.cli.rendering import show_runs
    from publisher.workflows.undo import UndoOptions, find_receipt, undo

    wanted = selected(images, rules, flavor, only)
    with open_session(given, username, password_stdin=password_stdin) as session:
        meant = find_receipt(session, receipt, wanted)
        session.progress.step(f"undo     {meant.id}, a {meant.command} of {meant.started}")
        options = UndoOptions(force=force, dry_run=dry_run, receipt=file)
        if not dry_run:
            look = replace(options, dry_run=True, receipt=None)
            agree(given, lambda: undo(session, meant, wanted, look), "Go back?", yes=yes)
        run = undo(session, meant, wanted, options)
    return show_runs(given, [run], form)
