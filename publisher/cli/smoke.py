"""`publish smoke`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from publisher.cli.options import colored, formats, open_session

if TYPE_CHECKING:
    from publisher.cli.program import Globals
    from publisher.engine.running import Running
    from publisher.workflows.session import Session
    from publisher.workflows.smoke import SmokeReport


@click.command("smoke")
@click.argument("image", required=False, metavar="[IMAGE]")
@click.option("--only", metavar="NAME", help="Only this one of several [images.NAME].")
@click.option("--keep", is_flag=True, help="Leave the container and its volumes for a look.")
@click.option("-i", "--interactive", is_flag=True, help="Open it on the terminal, with docker's own CLI.")
@click.option("-f", "--follow", is_flag=True, help="Show its logs as they come.")
@click.option("--print", "only_print", is_flag=True, help="Print the one `docker run` line that [smoke] means.")
@formats("json")
@click.pass_obj
def command(
    given: Globals, /, image: str | None, only: str | None, form: str, *, keep: bool, interactive: bool, follow: bool,
    only_print: bool,
) -> int:  # fmt: skip
    r"""Run IMAGE as [smoke] says, and check what it does; exit 5 if a check fails.

    Without IMAGE it is the configured source, else the first image's `latest`.

    \b
    publish smoke goalapp
    publish smoke --print
    publish smoke yeongyin/goalapp:1.2.0 --keep
    """
    from publisher.cli.rendering import show_json, show_text, tell
    from publisher.workflows.smoke import SmokeOptions, failure, running_of, smoke
    from publisher.workflows.smoke_image import at_hand, chosen

    with open_session(given) as session:
        settings, name = chosen(session, image, only)
        if only_print:
            show_text(running_of(session, settings, name).line() + "\n")
            return 0
        name = at_hand(session, name)
        if interactive:
            return _open(session, running_of(session, settings, name))
        report = smoke(session, settings, name, SmokeOptions(keep=keep, follow=follow))
        if form == "json":
            show_json(report)
        else:
            show_text(_text(given, report))
        if not report.passed:
            return tell(failure(session, report), given.secrets.redact)
    return 0


def _open(session: Session, running: Running) -> int:
    """Hand the terminal to docker's own CLI."""
    import shutil
    import subprocess

    from publisher.model.errors import EngineUnavailable

    if shutil.which("docker", path=session.environ.get("PATH")) is None:
        raise EngineUnavailable("-i needs docker's own CLI, which is not on PATH", hint="apt install docker-cli")
    return subprocess.call(running.words("-it"))  # noqa: S603 - an argument list of our own, no shell


def _text(given: Globals, report: SmokeReport) -> str:
    from publisher.report.tables import table

    rows = [("passed" if check.passed else "failed", check.name, check.detail) for check in report.checks]
    lines = table(("state", "check", "what was found"), rows, color=colored(given))
    state = "passed" if report.passed else "failed"
    lines += ["", f"{report.image}: {state} in {report.seconds:.1f} s"]
    if report.kept:
        lines += [
            f"kept as {report.kept}:",
            f"  docker logs {report.kept}",
            f"  docker exec -it {report.kept} sh",
            f"  docker start -a {report.kept}",
            f"  docker cp {report.kept}:/PATH .",
            "  publish doctor --clean takes it away",
        ]
    return "\n".join(lines) + "\n"
