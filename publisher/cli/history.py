"""`publish history`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from publisher.cli.completing import receipt_ids, repositories
from publisher.cli.options import formats, open_session, uses_color

if TYPE_CHECKING:
    from collections.abc import Sequence

    from publisher.cli.context import GlobalOptions
    from publisher.model.receipt import Receipt
    from publisher.model.reference import Repository


@click.command("history")
@click.argument("receipt", required=False, metavar="[RECEIPT]", shell_complete=receipt_ids)
@click.option("--image", metavar="REPO", help="Only runs that wrote to REPO.", shell_complete=repositories)
@click.option("--limit", type=click.IntRange(min=0), metavar="N", help="At most the newest N.")
@click.option(
    "--plot", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    help="Draw which version each floating tag pointed to, over time, as SVG.",
)  # fmt: skip
@formats("json")
@click.pass_obj
def command(
    options: GlobalOptions, /, receipt: str | None, image: str | None, limit: int | None, *, plot: Path | None,
    form: str,
) -> int:  # fmt: skip
    r"""Show the receipts that are kept on this machine, newest first; or one of them whole, by its id or as a file.

    \b
    publish history
    publish history 20261124T001352
    publish history --image yeongyin/goalapp --limit 5
    publish history --plot tags.svg
    publish undo 20261124T001352
    """
    from publisher.cli.rendering import show_json, show_text
    from publisher.model.receipt import Receipts
    from publisher.model.reference import Repository
    from publisher.report.tables import history_text
    from publisher.workflows.undo import warn_of_future

    if receipt and (image or limit is not None or plot):
        raise click.UsageError("RECEIPT shows one run: --image, --limit and --plot are for several")
    with open_session(options) as session:
        if receipt:
            return _show_whole(options, session.journal.find(receipt), form)
        receipts, torn = session.journal.list()
        if image:
            repository = Repository.parse(image)
            receipts = tuple(run for run in receipts if _is_of(run, repository))
        receipts = receipts[:limit]
        for path in torn:
            session.progress.warn(f"{path} is not a whole receipt; it is left alone")
        warn_of_future(session, receipts)
        if plot:
            _draw(receipts, plot)
            session.progress.step(f"drew     {plot}")
    if form == "json":
        show_json(Receipts(receipts=receipts))
    elif receipts:
        show_text(history_text(receipts, color=uses_color(options)))
    else:
        show_text("no receipts yet: a release leaves one\n")
    return 0


def _is_of(receipt: Receipt, repository: Repository) -> bool:
    return any(change.reference.repository == repository for change in receipt.moves)


def _show_whole(options: GlobalOptions, receipt: Receipt, form: str) -> int:
    from publisher.cli.rendering import show_json, show_text
    from publisher.report.tables import whole_receipt_text

    if form == "json":
        show_json(receipt)
    else:
        show_text(whole_receipt_text(receipt, color=uses_color(options)))
    return 0


def _draw(receipts: Sequence[Receipt], file: Path) -> None:
    """Write the picture."""
    from publisher.cli.rendering import write_file
    from publisher.model.errors import UsageError
    from publisher.report.history_plot import history_svg

    picture = history_svg(receipts)
    if not picture:
        raise UsageError("no receipt on this machine tells of a tag that was written", hint="a release leaves one")
    write_file(file, picture)
