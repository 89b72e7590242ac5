"""`publish build`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from publisher.cli.github import is_wanted
from publisher.cli.options import LINES, formats, make_plan_options, open_session, planning

if TYPE_CHECKING:
    from publisher.cli.context import GlobalOptions
    from publisher.workflows.build import BuildReport


@click.command("build")
@click.argument("context", required=False, metavar="[CONTEXT]", type=click.Path(path_type=Path))
@click.option("-f", "--file", type=click.Path(path_type=Path), metavar="FILE", help="The Dockerfile.")
@click.option("-t", "--tag", "names", multiple=True, type=LINES, metavar="NAME", help="Name it NAME (repeat).")
@click.option("--platform", metavar="P", help="Build for P, as linux/arm64, where the engine can.")
@click.option("--target", metavar="STAGE", help="Build this stage.")
@click.option("--build-arg", "args", multiple=True, type=LINES, metavar="K=V", help="An argument (repeat).")
@click.option("--pull", is_flag=True, help="Ask the registry for a newer base image.")
@click.option("--no-cache", is_flag=True, help="Make every step anew.")
@planning
@formats("json")
@click.pass_obj
def command(
    options: GlobalOptions, /, context: Path | None, file: Path | None, names: tuple[str, ...], platform: str | None,
    target: str | None, args: tuple[str, ...], form: str, *, pull: bool, no_cache: bool, **flags: Any,
) -> int:  # fmt: skip
    r"""Build the image that [build] describes; shows which steps came from the cache, and what could be better.

    CONTEXT and --file stand in for [build] context and dockerfile.

    \b
    publish build
    publish build -t goalapp:dev --build-arg BASE=node:22-alpine
    publish build ./web --file web.Dockerfile --image me/web
    """
    from publisher.cli.rendering import show_json, show_text
    from publisher.model.settings import BuildSettings
    from publisher.workflows.build import BuildOptions, build_image, tell_advice
    from publisher.workflows.jobs import only_job

    pairs = [text.partition("=") for text in args]
    if bad := next((key for key, equals, _ in pairs if not equals or not key), None):
        raise click.UsageError(f"--build-arg {bad}: expected KEY=VALUE")
    build_options = BuildOptions(
        names=names, target=target, platform=platform, args={key: value for key, _, value in pairs}, pull=pull,
        cache=not no_cache,
    )  # fmt: skip
    plan_options = make_plan_options(**flags)
    with open_session(options) as session:
        job = only_job(session.settings, plan_options)
        build_settings = job.settings.build or session.settings.build or BuildSettings()
        job = job.built_from(build_settings, context and Path.cwd() / context, file and Path.cwd() / file)
        report = build_image(session, job, plan_options, build_options)
        tell_advice(session, report)
    if form == "json":
        show_json(report)
    else:
        show_text(f"{report.images[0]} {report.id}\n")
    _report(report)
    return 0


def _report(report: BuildReport) -> None:
    """Show it on a step's page; its outputs are those of what is done with the image."""
    if not is_wanted():
        return
    from publisher.report.github_files import write_summary
    from publisher.report.summary import build_summary

    cached = sum(step.cached for step in report.steps)
    advice = (f"{f'line {entry.line}: ' if entry.line else ''}{entry.message}" for entry in report.advice)
    notes = filter(None, (report.miss, *advice))
    page = build_summary(report.images[0], seconds=report.seconds, steps=len(report.steps), cached=cached, notes=notes)
    write_summary(os.environ, page)
