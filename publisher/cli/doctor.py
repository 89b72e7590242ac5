"""`publish doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from publisher.cli.options import formats, open_session, uses_color

if TYPE_CHECKING:
    from publisher.cli.context import GlobalOptions


@click.command("doctor")
@click.option("--clean", is_flag=True, help="Take away the containers, volumes and networks that runs of ours left.")
@formats("json")
@click.pass_obj
def command(options: GlobalOptions, /, *, clean: bool, form: str) -> int:
    r"""Check git, engine, configuration and rights, and say what to do.

    \b
    publish doctor
    publish doctor --clean
    """
    from publisher.cli.rendering import show_json, show_text
    from publisher.report.tables import table
    from publisher.workflows.doctor import clean as take_away
    from publisher.workflows.doctor import examine

    with open_session(options) as session:
        if clean:
            for kind, names in take_away(session).items():
                for name in names:
                    session.progress.step(f"removed  {kind.removesuffix('s')} {name}")
        checkup = examine(session)
    if form == "json":
        show_json(checkup)
    else:
        rows = [
            (check.health, check.name, "; ".join(filter(None, (check.detail, check.advice))))
            for check in checkup.checks
        ]
        show_text("\n".join(table(("health", "check", "what was found"), rows, color=uses_color(options))) + "\n")
    return checkup.exit_code
