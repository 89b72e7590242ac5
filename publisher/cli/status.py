"""`publish status`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from publisher.cli.options import (
    credentials,
    formats,
    listing,
    open_session,
    select_plan_options,
    selection,
    uses_color,
)

if TYPE_CHECKING:
    from publisher.cli.context import GlobalOptions


@click.command("status")
@selection
@listing
@click.option("--all", "everything", is_flag=True, help="Every version, not only the newest 50.")
@credentials
@formats("json")
@click.pass_obj
def command(
    options: GlobalOptions, /, images: tuple[str, ...], rules: tuple[str, ...], flavor: tuple[str, ...],
    only: tuple[str, ...], limit: int | None, glob: str, username: str | None, *, everything: bool,
    password_stdin: bool, form: str,
) -> int:  # fmt: skip
    r"""Show the newest versions and each floating tag, and which are not where they belong; exit 4 if some are not.

    \b
    publish status
    publish status --all --filter '1.*'
    publish status --image yeongyin/goalapp --format json
    """
    from publisher.cli.github import report
    from publisher.cli.rendering import show_error, show_json, show_text
    from publisher.model.errors import Drift
    from publisher.planning.lines import VersionChoice
    from publisher.report.tag_tables import drift_text, status_text
    from publisher.workflows.status import NEWEST, ages, status

    if everything and limit is not None:
        raise click.UsageError("--all and --limit exclude each other")
    choice = VersionChoice(None if everything else NEWEST.newest if limit is None else limit, glob)
    with open_session(options, username, password_stdin=password_stdin) as session:
        plan_options = select_plan_options(images, rules, flavor, only)
        document = status(session, plan_options, choice)
        report(document)
        if form == "json":
            show_json(document)
        else:
            show_text(status_text(document, ages(session, document), color=uses_color(options), glob=glob))
    if not document.drifted:
        return 0
    count = len(document.drifted)
    error = Drift(
        f"{drift_text(count)} not where {'it belongs' if count == 1 else 'they belong'}",
        reference=document.drifted[0],
        hint=f"'publish reconcile{plan_options.selection}' puts them right",
    )
    return show_error(error, options.run.redact)
