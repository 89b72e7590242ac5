"""`publish retag`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from publisher.cli.completing import references
from publisher.cli.options import LINES, credentials, formats, open_session, timeout_option

if TYPE_CHECKING:
    from publisher.cli.context import GlobalOptions


@click.command("retag")
@click.argument("source", metavar="SRC", shell_complete=references)
@click.argument("targets", nargs=-1, required=True, metavar="DST...", shell_complete=references)
@click.option("--force", is_flag=True, help="Overwrite version tags, lower floating tags.")
@click.option("--no-clobber", is_flag=True, help="Refuse all if any DST holds other content.")
@click.option("--dry-run", is_flag=True, help="Look and decide; write nothing.")
@click.option("--platform", "platforms", multiple=True, type=LINES, metavar="OS/ARCH", help="Only this one (repeat).")
@click.option("--receipt", type=click.Path(path_type=Path), metavar="FILE", help="Write the receipt to FILE too.")
@credentials
@timeout_option
@formats("json")
@click.pass_obj
def command(
    options: GlobalOptions, /, source: str, targets: tuple[str, ...], *, force: bool, no_clobber: bool, dry_run: bool,
    platforms: tuple[str, ...], receipt: Path | None, username: str | None, password_stdin: bool, form: str,
) -> int:  # fmt: skip
    r"""Point tags at an image that is in a registry already.

    \b
    publish retag yeongyin/goalapp:1.2.0 :stable :1.2
    publish retag me/app:1.0.0 registry.example/app:1.0.0
    """
    from publisher.cli.rendering import show_runs
    from publisher.model.reference import Reference
    from publisher.workflows.retag import RetagOptions, read_targets, retag

    retag_options = RetagOptions(
        force=force, clobber=not no_clobber, dry_run=dry_run, platforms=platforms, receipt=receipt
    )
    reference = Reference.parse(source)
    destination_references = read_targets(reference, targets)
    with open_session(options, username, password_stdin=password_stdin) as session:
        run = retag(session, reference, destination_references, retag_options)
    return show_runs(options, [run], form)
