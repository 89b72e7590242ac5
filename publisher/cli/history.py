"""`publish history`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from publisher.cli.options import formats, open_session, uses_color

if TYPE_CHECKING:
    from collections.abc import Sequence

    from publisher.cli.context import GlobalOptions
    from publisher.model.receipt import Receipt


@click.command("history")
@click.option(
    "--plot", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    help="Draw which version each floating tag pointed to, over time, as SVG.",
)  # fmt: skip
@formats("json")
@click.pass_obj
def command(options: GlobalOptions, /, *, plot: Path | None, form: str) -> int:
    r"""Show the receipts that are kept on this machine, newest first.

    \b
    publish history
    publish history --plot tags.svg
    publish undo 20261124T001352
    """
    from publisher.cli.rendering import show_json, show_text
    from publisher.model.receipt import Receipts
    from publisher.report.tables import history_text
    from publisher.workflows.undo import warn_of_future

    with open_session(options) as session:
        receipts, torn = session.journal.list()
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


def _draw(receipts: Sequence[Receipt], file: Path) -> None:
    """Write the picture."""
    from publisher.cli.rendering import write_file
    from publisher.model.errors import UsageError
    from publisher.report.history_plot import history_svg

    picture = history_svg(receipts)
    if not picture:
        raise UsageError("no receipt on this machine tells of a tag that was written", hint="a release leaves one")
    write_file(file, picture)
