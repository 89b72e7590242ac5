"""`publish verify`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from publisher.cli.completing import references as known_references
from publisher.cli.completing import sources as known_sources
from publisher.cli.options import LINES, credentials, formats, open_session, timeout_option, uses_color

if TYPE_CHECKING:
    from collections.abc import Sequence

    from publisher.cli.context import GlobalOptions
    from publisher.model.documents import Verdict


@click.command("verify")
@click.argument("references", nargs=-1, required=True, metavar="REF...", shell_complete=known_references)
@click.option("--verify", "level", type=click.Choice(["digest", "pull", "deep"]), default="digest", help="How much.")
@click.option("--all", "everything", is_flag=True, help="Every tag of each REPO.")
@click.option("--source", metavar="SOURCE", help="Is it this image?", shell_complete=known_sources)
@click.option("--local", is_flag=True, help="Is the engine's copy under this tag stale?")
@click.option("--signed-by", "signers", multiple=True, type=LINES, metavar="WHO", help="Who must have signed (repeat).")
@click.option(
    "--attested", multiple=True, type=click.Choice(["sbom", "provenance"]), help="What must be attested (repeat)."
)
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="DIR", help="Write the statements there.")
@credentials
@timeout_option
@formats("json")
@click.pass_obj
def command(
    options: GlobalOptions, /, references: tuple[str, ...], *, level: str, everything: bool, source: str | None,
    local: bool, signers: tuple[str, ...], attested: tuple[str, ...], output: Path | None, username: str | None,
    password_stdin: bool, form: str,
) -> int:  # fmt: skip
    r"""Check that references hold what they should.

    \b
    publish verify yeongyin/goalapp:1.2.0 yeongyin/goalapp:latest
    publish verify yeongyin/goalapp --all
    publish verify --local yeongyin/goalapp:latest
    publish verify yeongyin/goalapp:1.2.0 --signed-by github.com/yeongyin/goalapp
    publish verify yeongyin/goalapp:1.2.0 --signed-by cosign.pub --attested sbom -o statements
    """
    from publisher.cli.github import report
    from publisher.cli.options import key_password
    from publisher.cli.rendering import show_json, show_text
    from publisher.model.documents import Verdicts
    from publisher.model.reference import Reference
    from publisher.report.tables import all_equal, verdicts_text
    from publisher.workflows.signatures import signature_demand
    from publisher.workflows.verify import Expectation, every_tag, verify_references

    targets = [Reference.parse(text) for text in references]
    if everything and (bad := next((target for target in targets if target.tag or target.digest), None)):
        raise click.UsageError(f"--all means every tag: name the repository alone, {bad.repository.familiar}")
    with open_session(options, username, password_stdin=password_stdin) as session:
        session.aim([reference.repository for reference in targets])
        if everything:
            targets = every_tag(session, targets)
        demand = signature_demand(session, signers, attested, output, key_password)
        results = verify_references(session, targets, Expectation(level, source, local, signed=demand))
    report(Verdicts(results=results))
    if form == "json":
        show_json(Verdicts(results=results))
    else:
        show_text(verdicts_text(results, color=uses_color(options)))
    return 0 if all_equal(results) else _code(results)


def _code(results: Sequence[Verdict]) -> int:
    """What is different, or missing, is worse than what nobody could tell."""
    from publisher.model.documents import VerdictState

    states = {result.state for result in results}
    return 6 if not states & {VerdictState.DIFFERENT, VerdictState.MISSING} else 5
