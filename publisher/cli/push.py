"""`publish push`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from publisher.cli.completing import sources as known_sources
from publisher.cli.options import LINES, credentials, formats, only_option, open_session, timeout_option

if TYPE_CHECKING:
    from publisher.cli.context import GlobalOptions


@click.command("push")
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...", shell_complete=known_sources)
@click.option("--image", "images", multiple=True, type=LINES, metavar="REPO", help="Push to REPO (repeat).")
@only_option
@click.option("--tag", metavar="T", help="Point T at it, where untagged manifests are collected.")
@click.option("--digest-file", type=click.Path(path_type=Path), metavar="FILE", help="Write the digest to FILE.")
@click.option("--via", type=click.Choice(["auto", "direct", "engine"]), default="auto", help="Who sends the layers.")
@credentials
@timeout_option
@formats("json")
@click.pass_obj
def command(
    options: GlobalOptions, /, sources: tuple[str, ...], *, images: tuple[str, ...], only: tuple[str, ...],
    tag: str | None, digest_file: Path | None, via: str, username: str | None, password_stdin: bool, form: str,
) -> int:  # fmt: skip
    r"""Send content by digest; no tag moves.

    Each machine of a build fleet pushes its platform; then one `publish release docker://REPO@DIGEST...` puts
    them together and moves the tags.

    \b
    publish push docker-daemon:goalapp --image yeongyin/goalapp --digest-file digest.txt
    publish push oci-archive:goalapp-arm64.tar --image yeongyin/goalapp
    """
    from publisher.cli.rendering import show_json, show_text, write_file
    from publisher.workflows.jobs import PlanOptions
    from publisher.workflows.push import push_parts

    with open_session(options, username, password_stdin=password_stdin) as session:
        part = push_parts(session, PlanOptions(images=images, labels={}, only=only), sources, via=via, tag=tag)
    if digest_file:
        write_file(digest_file, f"{part.digest}\n")
    if form == "json":
        show_json(part)
    else:
        show_text(f"{part.digest}\n")
        click.echo(f"next: publish release docker://{part.images[0]}@{part.digest}", err=True)
    return 0
