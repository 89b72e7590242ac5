"""`publish status`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from publisher.cli.options import credentials, formats, open_session, select_plan_options, selection, uses_color

if TYPE_CHECKING:
    from publisher.cli.context import GlobalOptions


@click.command("status")
@selection
@credentials
@formats("json")
@click.pass_obj
def command(
    options: GlobalOptions, /, images: tuple[str, ...], rules: tuple[str, ...], flavor: tuple[str, ...],
    only: str | None, username: str | None, *, password_stdin: bool, form: str,
) -> int:  # fmt: skip
    r"""Show every version and floating tag, and which are not where they belong; exit 4 if some are not.

    \b
    publish status
    publish status --image yeongyin/goalapp --format json
    """
    from publisher.cli.github import report
    from publisher.cli.rendering import show_error, show_json, show_text
    from publisher.model.errors import Drift
    from publisher.report.tables import drifting, status_text
    from publisher.workflows.status import ages, status

    with open_session(options, username, password_stdin=password_stdin) as session:
        document = status(session, select_plan_options(images, rules, flavor, only))
        report(document)
        if form == "json":
            show_json(document)
        else:
            show_text(status_text(document, ages(session, document), color=uses_color(options)))
    if not document.drifted:
        return 0
    error = Drift(
        f"{drifting(len(document.drifted))} not where {'it belongs' if len(document.drifted) == 1 else 'they belong'}",
        reference=document.drifted[0],
        hint="'publish reconcile' puts them right",
    )
    return show_error(error, options.run.redact)
