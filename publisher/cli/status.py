"""`publish status`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from publisher.cli.options import colored, credentials, formats, open_session, selected, selection

if TYPE_CHECKING:
    from publisher.cli.program import GlobalOptions


@click.command("status")
@selection
@credentials
@formats("json")
@click.pass_obj
def command(
    given: GlobalOptions, /, images: tuple[str, ...], rules: tuple[str, ...], flavor: tuple[str, ...], only: str | None,
    username: str | None, *, password_stdin: bool, form: str,
) -> int:  # fmt: skip
    r"""Show every version and floating tag, and which are not where they belong; exit 4 if some are not.

    \b
    publish status
    publish status --image yeongyin/goalapp --format json
    """
    from publisher.cli.github import report
    from publisher.cli.rendering import show_json, show_text, tell
    from publisher.model.errors import Drift
    from publisher.report.tables import drifting, status_text
    from publisher.workflows.status import ages, status

    with open_session(given, username, password_stdin=password_stdin) as session:
        found = status(session, selected(images, rules, flavor, only))
        report(found)
        if form == "json":
            show_json(found)
        else:
            show_text(status_text(found, ages(session, found), color=colored(given)))
    if not found.drifted:
        return 0
    error = Drift(
        f"{drifting(len(found.drifted))} not where {'it belongs' if len(found.drifted) == 1 else 'they belong'}",
        reference=found.drifted[0],
        hint="'publish reconcile' puts them right",
    )
    return tell(error, given.secrets.redact)
