"""`publish plan`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from publisher.cli.completing import sources as known_sources
from publisher.cli.options import formats, make_plan_options, open_session, planning

if TYPE_CHECKING:
    from publisher.cli.context import GlobalOptions
    from publisher.model.plan import Plan, Plans


@click.command("plan")
@click.argument("sources", nargs=-1, metavar="[SOURCE]...", shell_complete=known_sources)
@planning
@click.option("--offline", is_flag=True, help="Ask no registry.")
@click.option("-o", "--output", "file", metavar="FILE", type=click.Path(path_type=Path), help="Save the plan as JSON.")
@formats("json", "github")
@click.pass_obj
def command(
    options: GlobalOptions, /, sources: tuple[str, ...], *, offline: bool, file: Path | None, form: str, **flags: Any
) -> int:
    r"""Show what a release would do, tag by tag, and why.

    \b
    publish plan --image yeongyin/goalapp
    publish plan docker-daemon:goalapp --version 1.2.0 --format json
    publish plan --format github --rule type=semver,pattern={{version}}
    """
    from publisher.model.plan import Plans
    from publisher.workflows.jobs import released_jobs
    from publisher.workflows.plan import plan_images

    with open_session(options) as session:
        plan_options = make_plan_options(**flags)
        images = released_jobs(session, plan_options, nameless=True)
        plans = plan_images(session, images, plan_options, sources, offline=offline)
    document: Plan | Plans = plans[""] if "" in plans else Plans(plans=plans)
    _show(options, document, plans, file, form)
    bad = any(plan.refusals or not (plan.moves or plan.tags or (offline and form == "json")) for plan in plans.values())
    return 4 if bad else 0


def _show(options: GlobalOptions, document: Plan | Plans, plans: dict[str, Plan], file: Path | None, form: str) -> None:

    from publisher.cli.github import write_report
    from publisher.cli.rendering import show_json, show_plans, show_text, write_file
    from publisher.model.codec import encode_readable

    if file:
        write_file(file, encode_readable(document))
    if form == "json":
        return show_json(document)
    if form == "github" and (unwritten := write_report(document, options.report_context)):
        # Outside GitHub Actions: what would be written.
        from publisher.report.github_files import encode_outputs

        return show_text(encode_outputs(unwritten))
    show_plans(options, list(plans.values()))
    return None
