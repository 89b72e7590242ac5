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


_BUILD_FLAGS = (
    "names", "platforms", "target", "secrets", "ssh", "cache_from", "cache_to", "provenance", "sbom", "builder", "pull",
)  # fmt: skip


@click.command("build")
@click.argument("context", required=False, metavar="[CONTEXT]", type=click.Path(path_type=Path))
@click.option("-f", "--file", type=click.Path(path_type=Path), metavar="FILE", help="The Dockerfile.")
@click.option("-t", "--tag", "names", multiple=True, type=LINES, metavar="NAME", help="Name it NAME (repeat).")
@click.option("--platform", "platforms", multiple=True, type=LINES, metavar="P", help="Build for P (repeat or commas).")
@click.option("--target", metavar="STAGE", help="Build this stage.")
@click.option("--build-arg", "args", multiple=True, type=LINES, metavar="K=V", help="An argument (repeat).")
@click.option("--secret", "secrets", multiple=True, type=LINES, metavar="S", help="As id=npm,env=NPM_TOKEN (repeat).")
@click.option("--ssh", multiple=True, type=LINES, metavar="ID", help="An SSH agent or key, as default (repeat).")
@click.option("--cache-from", multiple=True, type=LINES, metavar="C", help="Read a cache, as type=registry,ref=NAME.")
@click.option("--cache-to", multiple=True, type=LINES, metavar="C", help="Write a cache, as type=local,dest=FOLDER.")
@click.option("--provenance", metavar="P", help="true, false or mode=max: how the image was made, within it.")
@click.option("--sbom", metavar="S", help="true or false: what is in the image, within it.")
@click.option("--builder", metavar="NAME", help="One that 'docker buildx ls' shows.")
@click.option("--pull", is_flag=True, help="Ask the registry for a newer base image.")
@click.option("--no-cache", is_flag=True, help="Make every step anew.")
@click.option("-o", "--output", metavar="DEST", help="oci:DIR or oci-archive:FILE, instead of the engine.")
@planning
@formats("json")
@click.pass_obj
def command(
    options: GlobalOptions, /, context: Path | None, file: Path | None, args: tuple[str, ...], output: str | None,
    form: str, *, no_cache: bool, **flags: Any,
) -> int:  # fmt: skip
    r"""Build the image that [build] describes; shows which steps came from the cache, and what could be better.

    CONTEXT and --file stand in for [build] context and dockerfile. BuildKit builds, by docker's buildx plugin; where
    there is none the engine's own builder does what it can.

    \b
    publish build
    publish build -t goalapp:dev --build-arg BASE=node:22-alpine
    publish build --platform linux/amd64,linux/arm64 -o oci:image
    """
    from publisher.cli.rendering import show_json, show_text
    from publisher.model.settings import BuildSettings
    from publisher.workflows.build import build_image
    from publisher.workflows.build_request import BuildOptions, read_output
    from publisher.workflows.jobs import only_job

    build_flags = {name: flags.pop(name) for name in _BUILD_FLAGS}
    build_options = BuildOptions(
        args=_arguments(args), cache=not no_cache, output=read_output(output, Path.cwd()), **build_flags
    )
    plan_options = make_plan_options(**flags)
    with open_session(options) as session:
        job = only_job(session.settings, plan_options)
        build_settings = job.settings.build or session.settings.build or BuildSettings()
        job = job.built_from(build_settings, context and Path.cwd() / context, file and Path.cwd() / file)
        report = build_image(session, job, plan_options, build_options)
    if form == "json":
        show_json(report)
    else:
        show_text(f"{report.images[0]} {report.id}\n")
    _report(report)
    return 0


def _arguments(texts: tuple[str, ...]) -> dict[str, str]:
    """KEY=VALUE; KEY alone is the variable of that name, and nothing where there is none."""
    from publisher.model.build_values import is_own

    pairs = [
        (key, value if equals else os.environ.get(key)) for key, equals, value in (t.partition("=") for t in texts)
    ]
    if any(not key or ("=" not in text and is_own(key)) for text, (key, _) in zip(texts, pairs, strict=True)):
        raise click.UsageError("--build-arg: expected KEY=VALUE, or a KEY that is no credential")
    return {key: value for key, value in pairs if value is not None}


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
