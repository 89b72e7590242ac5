"""`publish verify`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from publisher.cli.completing import references as known_references
from publisher.cli.options import credentials, formats, open_session, uses_color

if TYPE_CHECKING:
    from publisher.cli.context import GlobalOptions


@click.command("verify")
@click.argument("references", nargs=-1, required=True, metavar="REF...", shell_complete=known_references)
@click.option("--verify", "level", type=click.Choice(["digest", "pull", "deep"]), default="digest", help="How much.")
@click.option("--source", metavar="SOURCE", help="Is it this image?")
@click.option("--local", is_flag=True, help="Is the engine's copy under this tag stale?")
@credentials
@formats("json")
@click.pass_obj
def command(
    options: GlobalOptions, /, references: tuple[str, ...], *, level: str, source: str | None, local: bool,
    username: str | None, password_stdin: bool, form: str,
) -> int:  # fmt: skip
    r"""Check that references hold what they should.

    \b
    publish verify yeongyin/goalapp:1.2.0 yeongyin/goalapp:latest
    publish verify --local yeongyin/goalapp:latest
    """
    from publisher.cli.github import report
    from publisher.cli.rendering import show_json, show_text
    from publisher.model.documents import Verdicts
    from publisher.model.reference import Reference
    from publisher.report.tables import all_equal, verdicts_text
    from publisher.workflows.verify import Expectation, verify_references

    targets = [Reference.parse(text) for text in references]
    with open_session(options, username, password_stdin=password_stdin) as session:
        session.aim([reference.repository for reference in targets])
        results = verify_references(session, targets, Expectation(level, source, local))
    report(Verdicts(results=results))
    if form == "json":
        show_json(Verdicts(results=results))
    else:
        show_text(verdicts_text(results, color=uses_color(options)))
    return 0 if all_equal(results) else 5
