"""`publish build`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from publisher.cli.options import LINES, formats, open_session, wish

if TYPE_CHECKING:
    from publisher.cli.program import Globals


@click.command("build")
@click.option("-t", "--tag", "names", multiple=True, type=LINES, metavar="NAME", help="Name it NAME (repeat).")
@click.option("--platform", metavar="P", help="Build for P, as linux/arm64, where the engine can.")
@click.option("--target", metavar="STAGE", help="Build this stage.")
@click.option("--build-arg", "args", multiple=True, type=LINES, metavar="K=V", help="An argument (repeat).")
@click.option("--pull", is_flag=True, help="Ask the registry for a newer base image.")
@click.option("--no-cache", is_flag=True, help="Make every step anew.")
@click.option("--label", "labels", multiple=True, type=LINES, metavar="K=V", help="A label (repeat).")
@click.option("--version", metavar="V", help="The version, instead of git's.")
@click.option("--only", metavar="NAME", help="Only this one of several [images.NAME].")
@formats("json")
@click.pass_obj
def command(
    given: Globals, /, names: tuple[str, ...], platform: str | None, target: str | None, args: tuple[str, ...],
    labels: tuple[str, ...], version: str | None, only: str | None, form: str, *, pull: bool, no_cache: bool,
) -> int:  # fmt: skip
    r"""Build the image that [build] describes; shows which steps came from the cache, and what could be better.

    \b
    publish build
    publish build -t goalapp:dev --build-arg BASE=node:22-alpine
    """
    from publisher.cli.rendering import show_json, show_text
    from publisher.workflows.build import BuildOptions, build_image, tell_advice
    from publisher.workflows.jobs import only_job

    pairs = [text.partition("=") for text in args]
    if bad := next((key for key, equals, _ in pairs if not equals or not key), None):
        raise click.UsageError(f"--build-arg {bad}: expected KEY=VALUE")
    options = BuildOptions(
        names=names, target=target, platform=platform, args={key: value for key, _, value in pairs}, pull=pull,
        cache=not no_cache,
    )  # fmt: skip
    wanted = wish((), (), (), labels, version, only)
    with open_session(given) as session:
        report = build_image(session, only_job(session.settings, wanted), wanted, options)
        tell_advice(session, report)
    if form == "json":
        show_json(report)
    else:
        show_text(f"{report.images[0]} {report.id}\n")
    return 0
