"""`publish history`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from publisher.cli.options import colored, formats, open_session

if TYPE_CHECKING:
    from publisher.cli.program import Globals


@click.command("history")
@formats("json")
@click.pass_obj
def command(given: Globals, /, *, form: str) -> int:
    r"""Show the receipts that are kept on this machine, newest first.

    \b
    publish history
    publish undo 20261124T001352
    """
    from publisher.cli.rendering import show_json, show_text
    from publisher.model.receipt import Receipts
    from publisher.report.tables import history_text

    with open_session(given) as session:
        receipts, torn = session.journal.list()
        for path in torn:
            session.progress.warn(f"{path} is not a whole receipt; it is left alone")
    if form == "json":
        show_json(Receipts(receipts=receipts))
    elif receipts:
        show_text(history_text(receipts, color=colored(given)))
    else:
        show_text("no receipts yet: a release leaves one\n")
    return 0
