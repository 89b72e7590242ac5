"""`publish logout`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from publisher.cli.completing import registries
from publisher.cli.options import formats, open_session

if TYPE_CHECKING:
    from publisher.cli.context import GlobalOptions


@click.command("logout")
@click.argument("registry", required=False, default="docker.io", metavar="[REGISTRY]", shell_complete=registries)
@click.option("--docker", is_flag=True, help="Take out docker's own entry, and its use of ours, too.")
@formats("json")
@click.pass_obj
def command(options: GlobalOptions, /, registry: str, form: str, *, docker: bool) -> int:
    r"""Forget what login stored for REGISTRY (Docker Hub if none is named), and name what is left.

    The token itself lives on at the registry until it is deleted there.

    \b
    publish logout
    publish logout ghcr.io --docker
    """
    from publisher.cli.rendering import show_json, show_text
    from publisher.model.reference import DOCKER_HUB
    from publisher.workflows.login import LoginTarget, logout

    target = LoginTarget.parse(registry)
    with open_session(options) as session:
        result = logout(session, target, docker=docker)
    if form == "json":
        show_json(result)
        return 0
    show_text(f"{target}: {'forgotten' if result.forgotten else 'there was no login'}\n")
    for sentence in result.left:
        click.echo(sentence, err=True)
    if result.forgotten:
        where = (
            "https://app.docker.com/settings/personal-access-tokens"
            if target.registry == DOCKER_HUB
            else "the registry"
        )
        click.echo(f"the token itself is still valid; delete it at {where}", err=True)
    return 0
