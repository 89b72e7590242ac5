"""`publish smoke`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from publisher.cli.completing import local_images
from publisher.cli.options import formats, only_option, open_session, uses_color

if TYPE_CHECKING:
    from collections.abc import Callable

    from publisher.cli.context import GlobalOptions
    from publisher.workflows.session import Session
    from publisher.workflows.smoke.run import SmokeReport


@click.command("smoke")
@click.argument("image", required=False, metavar="[IMAGE]", shell_complete=local_images)
@only_option
@click.option("--keep", is_flag=True, help="Leave the container and its volumes for a look.")
@click.option("-i", "--interactive", is_flag=True, help="Open it on the terminal, with docker's own CLI.")
@click.option("-f", "--follow", is_flag=True, help="Show its logs as they come.")
@click.option("--print", "only_print", is_flag=True, help="Print the one `docker run` line that [smoke] means.")
@formats("json")
@click.pass_obj
def command(
    options: GlobalOptions, /, image: str | None, only: tuple[str, ...], form: str, *, keep: bool, interactive: bool,
    follow: bool, only_print: bool,
) -> int:  # fmt: skip
    r"""Run IMAGE as [smoke] says, and check what it does; exit 5 if a check fails.

    Without IMAGE it is the configured source, else the first image's `latest`.

    \b
    publish smoke goalapp
    publish smoke --print
    publish smoke yeongyin/goalapp:1.2.0 --keep
    """
    from publisher.cli.rendering import show_error, show_json, show_text
    from publisher.workflows.smoke.image import at_hand, image_to_run
    from publisher.workflows.smoke.run import SmokeOptions, failure, open_terminal, running_of, smoke

    with open_session(options) as session:
        target = image_to_run(session, image, only)
        if only_print:
            show_text(running_of(session, target.settings, target.name).line() + "\n")
            return 0
        with at_hand(session, target) as name:
            if interactive:
                return open_terminal(session, target.settings, name, _terminal(session))
            report = smoke(session, target.settings, name, SmokeOptions(keep=keep, follow=follow))
        if form == "json":
            show_json(report)
        else:
            show_text(_text(options, report))
        if not report.passed:
            return show_error(failure(session, report), options.run.redact)
    return 0


def _terminal(session: Session) -> Callable[[list[str]], int]:
    """Hands the terminal to docker's own CLI."""
    import subprocess

    from publisher.model.environment import clean_environment, find_program
    from publisher.model.errors import EngineUnavailable

    program = find_program("docker", session.environ)
    if program is None:
        raise EngineUnavailable("-i needs docker's own CLI, which is not on PATH", hint="apt install docker-cli")
    environ = clean_environment(session.environ)
    return lambda words: subprocess.call(words, executable=program, env=environ)  # noqa: S603 - an argument list of our own, no shell


def _text(options: GlobalOptions, report: SmokeReport) -> str:
    from publisher.report.tables import table

    rows = [("passed" if check.passed else "failed", check.name, check.detail) for check in report.checks]
    lines = table(("state", "check", "what was found"), rows, color=uses_color(options))
    state = "passed" if report.passed else "failed"
    suffix = "" if report.exit_code is None else f", exit code {report.exit_code}"
    suffix += ", out of memory" if report.oom else ""
    lines += ["", f"{report.image}: {state} in {report.seconds:.1f} s{suffix}"]
    if report.kept:
        lines += ["", *_container_commands(report.kept, runs=report.exit_code is None)]
    return "\n".join(lines) + "\n"


def _container_commands(container: str, *, runs: bool) -> list[str]:
    """What to do with a container that was kept."""
    words = {
        f"docker logs {container}": "what it printed",
        f"docker start -a {container}": "start it again",
        f"docker attach {container}": "join it while it runs; Ctrl-C ends it",
        f"docker exec -it {container} sh": "a shell inside while it runs",
        f"docker cp {container}:/PATH .": "copy a file out; the other way round copies one in",
        "publish doctor --clean": "take it away",
    }
    widest = max(map(len, words))
    lines = [f"  {command.ljust(widest)}  {does}" for command, does in words.items()]
    return [f"kept as {container}, which {'runs' if runs else 'has ended'}:", *lines]
