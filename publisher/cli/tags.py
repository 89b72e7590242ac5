"""`publish tags`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from publisher.cli.completing import repositories, tags
from publisher.cli.options import can_ask, colored, confirm, credentials, formats, open_session

if TYPE_CHECKING:
    from publisher.cli.program import GlobalOptions
    from publisher.model.documents import Pruning
    from publisher.model.reference import Repository
    from publisher.workflows.session import Session


@click.command("tags")
@click.argument("repository", metavar="REPO", shell_complete=repositories)
@click.argument("named", nargs=-1, metavar="[TAG]...", shell_complete=tags)
@click.option("--prune", is_flag=True, help="Show which tags [retention] keeps and which go; -y deletes those.")
@click.option("--delete", is_flag=True, help="Delete each TAG, and no other with it.")
@credentials
@click.option("-y", "--yes", is_flag=True, help="Do it: --prune is a dry run otherwise, and --delete asks.")
@formats("json")
@click.pass_obj
def command(
    given: GlobalOptions, /, repository: str, named: tuple[str, ...], username: str | None,
    *, prune: bool, delete: bool, password_stdin: bool, yes: bool, form: str,
) -> int:  # fmt: skip
    r"""List a repository's tags with digest, size, platforms and last push.

    \b
    publish tags yeongyin/goalapp
    publish tags yeongyin/goalapp --prune
    publish tags yeongyin/goalapp --delete nightly-2024 pr-17 -y
    """
    from publisher.model.reference import Repository
    from publisher.workflows.tags import plan_deletion, plan_prune

    _check(named, prune=prune, delete=delete, yes=yes)
    place = Repository.parse(repository)
    with open_session(given, username, password_stdin=password_stdin) as session:
        if not prune and not delete:
            return _show_list(given, session, place, form)
        plan = plan_prune(session, place) if prune else plan_deletion(session, place, named)
        if prune and not yes:
            return _show(given, plan, form)
        return _carry_out(given, session, place, plan, form, yes=yes)


def _check(named: tuple[str, ...], *, prune: bool, delete: bool, yes: bool) -> None:
    if prune and delete:
        raise click.UsageError("--prune and --delete exclude each other")
    if delete and not named:
        raise click.UsageError("--delete needs the tags: publish tags REPO --delete TAG...")
    if named and not delete:
        raise click.UsageError(f"'{named[0]}' is left over: tags are named with --delete only")
    if delete and not (yes or can_ask(yes=yes)):
        raise click.UsageError("--delete needs -y where there is no terminal to ask at")


def _show_list(given: GlobalOptions, session: Session, place: Repository, form: str) -> int:
    from publisher.cli.rendering import show_json, show_text
    from publisher.report.tables import tags_text
    from publisher.workflows.tags import list_tags

    found = list_tags(session, place)
    if form == "json":
        show_json(found)
    else:
        show_text(tags_text(found, color=colored(given)))
    return 0


def _show(given: GlobalOptions, plan: Pruning, form: str) -> int:
    from publisher.cli.rendering import show_json, show_text
    from publisher.report.tables import pruning_text

    if form == "json":
        show_json(plan)
    else:
        show_text(pruning_text(plan, color=colored(given)))
    return 0


def _carry_out(
    given: GlobalOptions, session: Session, place: Repository, plan: Pruning, form: str, *, yes: bool
) -> int:
    from publisher.cli.rendering import tell
    from publisher.model.errors import Incomplete
    from publisher.report.tables import pruning_text
    from publisher.workflows.tags import carry_out

    confirm(lambda: pruning_text(plan, color=given.color), "Delete these?", yes=yes)
    done, error = carry_out(session, place, plan)
    _show(given, done, form)
    failed = [one for one in done.gone if one.state == "failed"]
    if not failed:
        return 0
    if error is None or len(failed) < len(done.gone):
        hint = "the table says why; run it again for what is left"
        error = Incomplete(f"{len(failed)} of {len(done.gone)} tags are still there", reference=str(place), hint=hint)
    return tell(error, given.secrets.redact)
