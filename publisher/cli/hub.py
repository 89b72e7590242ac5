"""`publish hub`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from publisher.cli.options import LINES, colored, credentials, formats, open_session, selected

if TYPE_CHECKING:
    from collections.abc import Callable

    from publisher.cli.program import Globals
    from publisher.model.hub import HubReport
    from publisher.workflows.jobs import Job
    from publisher.workflows.session import Session


@click.group("hub")
def command() -> None:
    """Look after a repository's page on Docker Hub, as [hub] in publish.toml says."""


def _about(command: click.Command) -> click.Command:
    """The options of what changes something."""
    command.params += [
        click.Option(
            ["--image", "images"], multiple=True, type=LINES, metavar="REPO", help="REPO, not what is configured."
        ),
        click.Option(["--only"], metavar="NAME", help="Only this one of several [images.NAME]."),
        click.Option(["--dry-run"], is_flag=True, help="Show the difference; change nothing."),
        click.Option(["-y", "--yes"], is_flag=True, help="Don't ask."),
    ]
    return command


@_about
@command.command("describe")
@credentials
@formats("json")
@click.pass_obj
def describe(
    given: Globals, /, images: tuple[str, ...], only: str | None, username: str | None,
    *, password_stdin: bool, dry_run: bool, yes: bool, form: str,
) -> int:  # fmt: skip
    r"""Show the README and the short description on Docker Hub.

    Relative links are made absolute from git's remote; what is too long ends before a section.

    \b
    publish hub describe
    publish hub describe --image yeongyin/goalapp --dry-run
    """
    from publisher.workflows.hub import plan_description

    with open_session(given, username, password_stdin=password_stdin) as session:
        return _run(given, session, (images, only), plan_description, form, dry_run=dry_run, yes=yes)


@_about
@command.command("settings")
@credentials
@formats("json")
@click.pass_obj
def settings(
    given: Globals, /, images: tuple[str, ...], only: str | None, username: str | None,
    *, password_stdin: bool, dry_run: bool, yes: bool, form: str,
) -> int:  # fmt: skip
    r"""Set the rules of immutable tags, and who sees the repository.

    \b
    publish hub settings --dry-run
    publish hub settings -y
    """
    from publisher.workflows.hub import plan_settings

    if not (yes or dry_run or sys.stdin.isatty()):
        raise click.UsageError("this changes settings: it needs -y where there is no terminal to ask at")
    with open_session(given, username, password_stdin=password_stdin) as session:
        return _run(given, session, (images, only), plan_settings, form, dry_run=dry_run, yes=yes)


@_about
@command.command("create")
@credentials
@formats("json")
@click.pass_obj
def create(
    given: Globals, /, images: tuple[str, ...], only: str | None, username: str | None,
    *, password_stdin: bool, dry_run: bool, yes: bool, form: str,
) -> int:  # fmt: skip
    r"""Make the repository, public or private as [hub] says; one that is there is left alone.

    \b
    publish hub create --image yeongyin/goalapp
    """
    from publisher.workflows.hub import plan_creation

    with open_session(given, username, password_stdin=password_stdin) as session:
        return _run(given, session, (images, only), plan_creation, form, dry_run=dry_run, yes=yes)


@command.command("limits")
@credentials
@formats("json")
@click.pass_obj
def limits(given: Globals, /, username: str | None, *, password_stdin: bool, form: str) -> None:
    r"""Show how many pulls Docker Hub has left for you; asking costs none.

    \b
    publish hub limits
    """
    from publisher.cli.rendering import show_json, show_text
    from publisher.model.reference import DOCKER_HUB, Repository
    from publisher.report.hub import quota_text
    from publisher.workflows.hub import limits as ask

    with open_session(given, username, password_stdin=password_stdin) as session:
        session.aim([Repository(DOCKER_HUB, "library/any")])
        found = ask(session)
    if form == "json":
        show_json(found)
    else:
        show_text(quota_text(found))


def _run(
    given: Globals,
    session: Session,
    wanted: tuple[tuple[str, ...], str | None],
    plan: Callable[[Session, Job], HubReport],
    form: str,
    *,
    dry_run: bool,
    yes: bool,
) -> int:
    """Show each image's difference, ask on a terminal, apply it."""
    from publisher.cli.rendering import show_json, show_text
    from publisher.report.hub import report_text
    from publisher.workflows.hub import apply, merged
    from publisher.workflows.jobs import jobs

    images, only = wanted
    found = [(job, plan(session, job)) for job in jobs(session.settings, selected(images, (), (), only))]
    shown = merged([report for _job, report in found])
    for warning in shown.warnings:
        session.progress.warn(warning)
    if form == "text":
        show_text(report_text(shown, color=colored(given)))
    if shown.changes and not dry_run:
        if not yes and sys.stdin.isatty() and sys.stderr.isatty():
            click.confirm("Change this on Docker Hub?", abort=True, err=True)
        shown = merged([apply(session, job, report) for job, report in found])
    if form == "json":
        show_json(shown)
    return 0
