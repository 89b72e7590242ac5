"""`publish init`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from publisher.cli.options import LINES, can_ask, formats

if TYPE_CHECKING:
    from publisher.cli.context import GlobalOptions
    from publisher.workflows.init import NewFiles, ProjectSurvey


@click.command("init")
@click.option("--image", "images", multiple=True, type=LINES, metavar="REPO", help="Publish to REPO (repeat).")
@click.option("--github", is_flag=True, help="Write a workflow for GitHub Actions too.")
@click.option("--gitlab", is_flag=True, help="Write a pipeline for GitLab CI too.")
@click.option("--force", is_flag=True, help="Overwrite what is there.")
@click.option("--dry-run", is_flag=True, help="Print the files, write nothing.")
@formats("json")
@click.pass_obj
def command(
    _options: GlobalOptions, /, images: tuple[str, ...], form: str, *, github: bool, gitlab: bool, force: bool,
    dry_run: bool,
) -> int:  # fmt: skip
    r"""Write publish.toml from what is here: git's remote, the Dockerfile, the project's metadata.

    \b
    publish init
    publish init --image yeongyin/goalapp --github
    publish init --gitlab --dry-run
    """
    from publisher.cli.rendering import show_json
    from publisher.workflows.init import InitOptions, NewFiles, new_files, survey, write_new_files

    here = survey(Path.cwd())
    names = images or _ask(here, yes=dry_run)
    files = new_files(here, InitOptions(images=names, github=github, gitlab=gitlab))
    if not dry_run:
        write_new_files(Path.cwd(), files, force=force)
    document = NewFiles(files=files, written=not dry_run)
    if form == "json":
        show_json(document)
    else:
        _show(document)
    return 0


def _ask(here: ProjectSurvey, *, yes: bool) -> tuple[str, ...]:
    """On a terminal, what the image is called; Enter takes what git suggests."""
    from publisher.workflows.init import suggested_image

    if not can_ask(yes=yes):
        return ()
    question = "Image to publish (USER/NAME, or HOST/NAME)"
    return (click.prompt(question, default=suggested_image(here) or None, err=True),)


def _show(document: NewFiles) -> None:
    from publisher.cli.rendering import show_text
    from publisher.workflows.ci_files import is_complete

    for file in document.files:
        show_text(f"wrote {file.path}\n" if document.written else f"# {file.path}\n{file.content}\n")
        if not is_complete(file.content):
            click.echo(f"put into {file.path} what stands there as OWNER and zeros: where publish comes from", err=True)
    if document.written:
        click.echo(
            "next: publish sandbox exec -- publish release --version 1.0.0 (a rehearsal; nothing leaves this machine)",
            err=True,
        )
