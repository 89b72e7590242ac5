"""`publish sandbox`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from publisher.cli.options import LINES


def _placed(command: click.Command) -> click.Command:
    for option in (
        click.Option(["--port"], type=click.IntRange(0, 65535), default=0, help="The port; a free one by default."),
        click.Option(["--store"], type=click.Path(path_type=Path), help="Keep its content in this folder."),
        click.Option(
            ["--fault", "faults"], multiple=True, type=LINES, metavar="RULE", help="As 'PUT /manifests/ 3rd 503'."
        ),
    ):
        command.params.append(option)
    return command


@click.group("sandbox")
def command() -> None:
    """Rehearse against an embedded registry on 127.0.0.1, with no account and no network."""


@command.command("serve")
def serve(port: int, store: Path | None, faults: tuple[str, ...]) -> None:
    """Run a sandbox until Ctrl-C; set PUBLISH_SANDBOX to the address that it prints."""
    from publisher.sandbox.server import serve as run

    run(port=port, store=store, faults=faults, ready=click.echo)


@command.command("exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("words", nargs=-1, required=True, metavar="-- CMD...", type=click.UNPROCESSED)
def execute(words: tuple[str, ...], port: int, store: Path | None, faults: tuple[str, ...]) -> int:
    r"""Run CMD with everything redirected to a sandbox of its own.

    \b
    publish sandbox exec -- publish release docker-daemon:app --image me/app --version 1.0.0
    """
    from publisher.sandbox.server import execute as run

    return run(words, os.environ, port=port, store=store, faults=faults)


_placed(serve)
_placed(execute)
