"""`publish whoami`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from publisher.cli.completing import registries
from publisher.cli.options import formats, open_session

if TYPE_CHECKING:
    from publisher.cli.program import GlobalOptions


@click.command("whoami")
@click.argument("registry", required=False, default="docker.io", metavar="[REGISTRY]", shell_complete=registries)
@formats("json")
@click.pass_obj
def command(given: GlobalOptions, /, registry: str, form: str) -> int:
    r"""Show who you are at REGISTRY (Docker Hub if none is named), where the credential is from, and of what kind.

    \b
    publish whoami
    publish whoami ghcr.io --format json
    """
    from publisher.cli.login import told
    from publisher.cli.rendering import show_json, show_text
    from publisher.workflows.login import LoginTarget, whoami

    with open_session(given) as session:
        found = whoami(session, LoginTarget.parse(registry))
    if form == "json":
        show_json(found)
    else:
        show_text(f"{told(found)}, from {found.source}\n")
    return 0
