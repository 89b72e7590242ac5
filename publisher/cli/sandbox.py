"""`publish sandbox`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from publisher.cli.completing import commands
from publisher.cli.options import LINES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from publisher.model.receipt import Receipt
    from publisher.sandbox.options import Options, User


class KeptRuns:
    """The receipts in a folder, for the sandbox's page."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def receipts(self) -> Iterator[Receipt]:
        """The newest first, read one by one."""
        from publisher.receipts.journal import Journal

        return Journal(self._folder).newest()

    def picture(self, receipts: Sequence[Receipt]) -> str:
        """As `history --plot` draws it."""
        from publisher.report.history_plot import history_svg

        return history_svg(receipts)


def _server_options(command: click.Command) -> click.Command:
    """Where it runs and how it behaves, the same for `serve` and `exec`."""
    command.params += [
        click.Option(["--port"], type=click.IntRange(0, 65535), default=0, help="The port; a free one by default."),
        click.Option(["--store"], type=click.Path(path_type=Path), help="Keep its content in this folder."),
        click.Option(
            ["--fault", "faults"],
            multiple=True,
            type=LINES,
            metavar="RULE",
            help="Let a request fail (repeat): 'PUT /manifests/ 3rd 503', 'GET /tags/list 429:2', "
            "'* /v2/ every slow:0.2'; reset or lost in place of a status.",
        ),
        click.Option(["--sample"], is_flag=True, help="Hold a small image to try things with, sandbox/sample."),
        click.Option(["--auth"], is_flag=True, help="Ask for a token: sandbox/sandbox, or each --user."),
        click.Option(
            ["--user", "users"],
            multiple=True,
            type=LINES,
            metavar="NAME:SECRET[:SCOPE]",
            help="Who may sign in (repeat); SCOPE is repo:admin, repo:write, repo:read or repo:public_read.",
        ),
        click.Option(["--immutable"], multiple=True, type=LINES, metavar="REGEX", help="Tags that never change."),
        click.Option(["--lag"], type=click.FloatRange(0), default=0.0, help="Seconds until a change of a tag is seen."),
        click.Option(
            ["--list-lag"], type=click.FloatRange(0), default=0.0, help="Seconds until the list of tags shows it."
        ),
        click.Option(["--collect"], type=click.FloatRange(0), help="Drop untagged manifests after so many seconds."),
        click.Option(["--pull-limit"], type=click.IntRange(0), default=0, help="Manifests to read in 6 hours."),
        click.Option(["--api-limit"], type=click.IntRange(0), default=0, help="Calls of Hub's API in a minute."),
        click.Option(["--delete-by-tag/--no-delete-by-tag"], default=True, help="Whether one tag can be deleted."),
        click.Option(["--multi-tag/--no-multi-tag"], default=True, help="Whether ?tag= writes several tags at once."),
    ]
    return command


@click.group("sandbox")
def command() -> None:
    r"""Rehearse against an embedded registry and Docker Hub on 127.0.0.1, with no account and no network.

    \b
    publish sandbox exec -- publish release oci:image --image me/app
    publish sandbox serve --port 5000 --store ./sandbox
    """


@command.command("serve")
def serve(port: int, store: Path | None, faults: tuple[str, ...], **behaviour: Any) -> None:
    r"""Run a sandbox until Ctrl-C.

    Set PUBLISH_SANDBOX to the address that it prints, or open it in a browser.

    \b
    publish sandbox serve --port 5000 --store ./sandbox
    publish sandbox serve --auth --user me:secret:repo:write
    """
    from publisher.receipts.journal import receipts_folder
    from publisher.sandbox.server import serve as run

    history = KeptRuns(receipts_folder({**os.environ, "PUBLISH_SANDBOX": "here"}))
    run(port=port, store=store, faults=faults, options=_options(**behaviour), ready=click.echo, history=history)


@command.command("exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("words", nargs=-1, required=True, metavar="-- CMD...", type=click.UNPROCESSED, shell_complete=commands)
def execute(words: tuple[str, ...], port: int, store: Path | None, faults: tuple[str, ...], **behaviour: Any) -> int:
    r"""Run CMD with everything redirected to a sandbox of its own.

    \b
    publish sandbox exec -- publish release docker-daemon:app --image me/app --version 1.0.0
    publish sandbox exec --sample -- publish release docker://sandbox/sample --image me/app --version 1.0.0
    publish sandbox exec --fault 'PUT /manifests/ 3rd 503' -- publish release --image me/app
    """
    from publisher.sandbox.server import execute as run

    options = _options(**behaviour)
    return run(words, os.environ, port=port, store=store, faults=faults, options=options, history_in=KeptRuns)


def _options(users: tuple[str, ...], **switches: Any) -> Options:
    from publisher.sandbox.options import Options

    if users:
        switches["users"] = dict(map(_user, users))
    return Options(**switches)


def _user(text: str) -> tuple[str, User]:
    """Read NAME:SECRET[:SCOPE]; what the scope allows holds for the registry and for Docker Hub's API."""
    from publisher.sandbox.options import RIGHTS, User

    name, _, rest = text.partition(":")
    scope = next((right for right in RIGHTS if rest.endswith(f":{right}")), "")
    secret = rest.removesuffix(f":{scope}") if scope else rest
    if not name or not secret:
        raise click.UsageError(
            f"--user {name or text}: expected NAME:SECRET or NAME:SECRET:SCOPE, as in me:x:repo:write"
        )
    scope = scope or "repo:admin"
    return name, User(secret, (RIGHTS[scope],), scope, is_organization=secret.startswith("dckr_oat_"))


_server_options(serve)
_server_options(execute)
