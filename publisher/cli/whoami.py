"""`publish whoami`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from publisher.cli.completing import registries
from publisher.cli.options import formats, open_session

if TYPE_CHECKING:
    from publisher.cli.context import GlobalOptions


@click.command("whoami")
@click.argument("registry", required=False, default="docker.io", metavar="[REGISTRY]", shell_complete=registries)
@formats("json")
@click.pass_obj
def command(options: GlobalOptions, /, registry: str, form: str) -> int:
    r"""Show who you are at REGISTRY (Docker Hub if none is named), where the credential is from, and of what kind.

    \b
    publish whoami
    publish whoami ghcr.io --format json
    """
    from publisher.cli.login import account_line
    from publisher.cli.rendering import show_json, show_text
    from publisher.workflows.login import LoginTarget, whoami

    with open_session(options) as session:
        account = whoami(session, LoginTarget.parse(registry))
    if form == "json":
        show_json(account)
    else:
        show_text(f"{account_line(account)}, from {account.source}\n")
    return 0
