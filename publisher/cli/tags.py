"""`publish tags`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from publisher.cli.completing import repositories, tags
from publisher.cli.options import can_ask, confirm, credentials, formats, listing, open_session, uses_color

if TYPE_CHECKING:
    from publisher.cli.context import GlobalOptions
    from publisher.model.documents import Pruning
    from publisher.model.reference import Repository
    from publisher.planning.lines import VersionChoice
    from publisher.workflows.session import Session


@click.command("tags")
@click.argument("repository", metavar="REPO", shell_complete=repositories)
@click.argument("names", nargs=-1, metavar="[TAG]...", shell_complete=tags)
@click.option("--prune", is_flag=True, help="Show which tags [retention] keeps and which go; -y deletes those.")
@click.option("--delete", is_flag=True, help="Delete each TAG, and no other with it.")
@listing
@credentials
@click.option("-y", "--yes", is_flag=True, help="Do it: --prune is a dry run otherwise, and --delete asks.")
@formats("json")
@click.pass_obj
def command(
    options: GlobalOptions, /, repository: str, names: tuple[str, ...], limit: int | None, glob: str,
    username: str | None, *, prune: bool, delete: bool, password_stdin: bool, yes: bool, form: str,
) -> int:  # fmt: skip
    r"""List a repository's tags with digest, size, platforms and last push, the newest version first.

    \b
    publish tags yeongyin/goalapp
    publish tags yeongyin/goalapp --filter '1.*' --limit 10
    publish tags yeongyin/goalapp --prune
    publish tags yeongyin/goalapp --delete nightly-2024 pr-17 -y
    """
    from publisher.model.reference import Repository
    from publisher.planning.lines import VersionChoice
    from publisher.workflows.tags import plan_deletion, plan_prune

    choice = VersionChoice(limit, glob)
    _check(names, choice, prune=prune, delete=delete, yes=yes)
    target = Repository.parse(repository)
    with open_session(options, username, password_stdin=password_stdin) as session:
        if not prune and not delete:
            return _show_list(options, session, target, choice, form)
        plan = plan_prune(session, target) if prune else plan_deletion(session, target, names)
        if prune and not yes:
            return _show(options, plan, form)
        return _carry_out(options, session, target, plan, form, yes=yes)


def _check(names: tuple[str, ...], choice: VersionChoice, *, prune: bool, delete: bool, yes: bool) -> None:
    if (prune or delete) and (choice.newest is not None or choice.glob != "*"):
        raise click.UsageError("--limit and --filter choose what is listed, not what is deleted")
    if prune and delete:
        raise click.UsageError("--prune and --delete exclude each other")
    if delete and not names:
        raise click.UsageError("--delete needs the tags: publish tags REPO --delete TAG...")
    if names and not delete:
        raise click.UsageError(f"'{names[0]}' is left over: tags are named with --delete only")
    if delete and not (yes or can_ask(yes=yes)):
        raise click.UsageError("--delete needs -y where there is no terminal to ask at")


def _show_list(
    options: GlobalOptions, session: Session, repository: Repository, choice: VersionChoice, form: str
) -> int:
    from publisher.cli.rendering import show_json, show_text
    from publisher.report.tag_tables import tags_text
    from publisher.workflows.tags import list_tags

    tags = list_tags(session, repository, choice)
    if form == "json":
        show_json(tags)
    else:
        show_text(tags_text(tags, color=uses_color(options)))
    return 0


def _show(options: GlobalOptions, plan: Pruning, form: str) -> int:
    from publisher.cli.rendering import show_json, show_text
    from publisher.report.tag_tables import pruning_text

    if form == "json":
        show_json(plan)
    else:
        show_text(pruning_text(plan, color=uses_color(options)))
    return 0


def _carry_out(
    options: GlobalOptions, session: Session, repository: Repository, plan: Pruning, form: str, *, yes: bool
) -> int:
    from publisher.cli.rendering import show_error
    from publisher.model.errors import Incomplete
    from publisher.report.tag_tables import pruning_text
    from publisher.workflows.tags import carry_out

    confirm(lambda: pruning_text(plan, color=options.color), "Delete these?", yes=yes)
    result, error = carry_out(session, repository, plan)
    _show(options, result, form)
    failures = [tag for tag in result.gone if tag.state == "failed"]
    if not failures:
        return 0
    if error is None or len(failures) < len(result.gone):
        hint = "the table says why; run it again for what is left"
        error = Incomplete(
            f"{len(failures)} of {len(result.gone)} tags are still there", reference=str(repository), hint=hint
        )
    return show_error(error, options.run.redact)
