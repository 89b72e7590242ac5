"""`publish hub`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from publisher.cli.options import (
    LINES,
    Command,
    can_ask,
    confirm,
    credentials,
    formats,
    only_option,
    open_session,
    select_plan_options,
    uses_color,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from publisher.cli.context import GlobalOptions
    from publisher.model.documents import HubReport
    from publisher.workflows.jobs import Job
    from publisher.workflows.session import Session


@click.group("hub")
def command() -> None:
    r"""Look after a repository's page on Docker Hub, as [hub] in publish.toml says.

    \b
    publish hub describe --dry-run
    publish hub settings -y
    publish hub limits
    """


def _changing(command: Command) -> Command:
    """The options of what changes a page."""
    for option in reversed(
        (
            click.option(
                "--image", "images", multiple=True, type=LINES, metavar="REPO", help="REPO, not what is configured."
            ),
            only_option,
            click.option("--dry-run", is_flag=True, help="Show the difference; change nothing."),
            credentials,
            click.option("-y", "--yes", is_flag=True, help="Don't ask."),
            formats("json"),
            click.pass_obj,
        )
    ):
        command = option(command)
    return command


@command.command("describe")
@_changing
def describe(options: GlobalOptions, /, **flags: Any) -> int:
    r"""Put README and description on Docker Hub.

    The difference is shown first. Relative links are made absolute from git's remote; what is too long ends before
    a section.

    \b
    publish hub describe
    publish hub describe --image yeongyin/goalapp --dry-run
    """
    from publisher.workflows.hub import plan_description

    return _change(options, plan_description, **flags)


@command.command("settings")
@_changing
def settings(options: GlobalOptions, /, **flags: Any) -> int:
    r"""Set the rules of immutable tags, and who sees the repository.

    \b
    publish hub settings --dry-run
    publish hub settings -y
    """
    from publisher.workflows.hub import plan_settings

    if not (flags["yes"] or flags["dry_run"] or can_ask(yes=flags["yes"])):
        raise click.UsageError("this changes settings: it needs -y where there is no terminal to ask at")
    return _change(options, plan_settings, **flags)


@command.command("create")
@_changing
def create(options: GlobalOptions, /, **flags: Any) -> int:
    r"""Make the repository, as [hub] says.

    It becomes public or private; one that is there is left alone.

    \b
    publish hub create --image yeongyin/goalapp
    """
    from publisher.workflows.hub import plan_creation

    return _change(options, plan_creation, **flags)


@command.command("limits")
@credentials
@formats("json")
@click.pass_obj
def limits(options: GlobalOptions, /, username: str | None, *, password_stdin: bool, form: str) -> None:
    r"""Show how many pulls are left for you; asking costs none.

    \b
    publish hub limits
    """
    from publisher.cli.rendering import show_json, show_text
    from publisher.report.tables import quota_text
    from publisher.workflows.hub import limits as ask

    with open_session(options, username, password_stdin=password_stdin) as session:
        quota = ask(session)
    if form == "json":
        show_json(quota)
    else:
        show_text(quota_text(quota))


def _change(
    options: GlobalOptions, plan: Callable[[Session, Job], HubReport], *, images: tuple[str, ...],
    only: tuple[str, ...], username: str | None, password_stdin: bool, dry_run: bool, yes: bool, form: str,
) -> int:  # fmt: skip
    """Show each image's difference, ask on a terminal, apply it."""
    from publisher.cli.rendering import show_json, show_text
    from publisher.report.tables import report_text
    from publisher.workflows.hub import apply, merged
    from publisher.workflows.jobs import jobs

    with open_session(options, username, password_stdin=password_stdin) as session:
        reports = [
            (job, plan(session, job)) for job in jobs(session.settings, select_plan_options(images, (), (), only))
        ]
        summary = merged([report for _job, report in reports])
        for warning in summary.warnings:
            session.progress.warn(warning)
        if form == "text":
            show_text(report_text(summary, color=uses_color(options)))
        if summary.changes and not dry_run:
            confirm(
                lambda: report_text(summary, color=options.color) if form == "json" else "", "Change this?", yes=yes
            )
            summary = merged([apply(session, job, report) for job, report in reports])
    if form == "json":
        show_json(summary)
    return 0
