"""`publish plan`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from publisher.cli.options import colored, formats, open_session, planning, wish

if TYPE_CHECKING:
    from publisher.cli.program import GlobalOptions
    from publisher.model.plan import Plan, Plans


@click.command("plan")
@click.argument("sources", nargs=-1, metavar="[SOURCE]...")
@planning
@click.option("--offline", is_flag=True, help="Ask no registry.")
@click.option("-o", "--output", "file", metavar="FILE", type=click.Path(path_type=Path), help="Save the plan as JSON.")
@formats("json", "github")
@click.pass_obj
def command(
    given: GlobalOptions, /, sources: tuple[str, ...], *, offline: bool, file: Path | None, form: str, **asked: Any
) -> int:
    r"""Show what a release would do, tag by tag, and why.

    \b
    publish plan --image yeongyin/goalapp
    publish plan docker-daemon:goalapp --version 1.2.0 --format json
    publish plan --format github --rule type=semver,pattern={{version}}
    """
    from publisher.model.plan import Plans
    from publisher.workflows.jobs import jobs
    from publisher.workflows.plan import planned

    with open_session(given) as session:
        wanted = wish(**asked)
        made = {
            job.name or "": planned(session, job, wanted, sources, offline=offline)
            for job in jobs(session.settings, wanted, nameless=True)
        }
    document: Plan | Plans = made[""] if "" in made else Plans(plans=made)
    _show(given, document, made, file, form)
    bad = any(plan.refusals or not (plan.moves or plan.tags or (offline and form == "json")) for plan in made.values())
    return 4 if bad else 0


def _show(given: GlobalOptions, document: Plan | Plans, made: dict[str, Plan], file: Path | None, form: str) -> None:
    from publisher.cli.github import write_report
    from publisher.cli.rendering import show_json, show_text, write_file
    from publisher.model.codec import encode_readable
    from publisher.report.tables import plan_text

    if file:
        write_file(file, encode_readable(document))
    if form == "json":
        return show_json(document)
    if form == "github" and (unwritten := write_report(document, given.aside)):
        # Outside GitHub Actions: what would be written.
        from publisher.report.github_files import encode_outputs

        return show_text(encode_outputs(unwritten))
    for plan in made.values():
        show_text(plan_text(plan, color=colored(given)))
    return None
