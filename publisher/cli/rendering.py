"""How results and errors leave the program."""

from __future__ import annotations

import sys
import traceback
from typing import Any

import click
import msgspec

from publisher.model.errors import Interrupted
from publisher.report.failure import document, paragraph, understand
from publisher.report.progress import safe_lines


def show_json(found: Any) -> None:
    """One document on stdout, and nothing else."""
    click.echo(msgspec.json.encode(found))


def show_text(text: str) -> None:
    """A result for people."""
    click.echo(safe_lines(text), nl=False)


def render_failure(error: BaseException, *, as_json: bool, verbose: bool) -> int:
    """Tell of an error and return its exit code; the traceback is for `--verbose` only."""
    known = understand(error)
    if verbose:
        traceback.print_exception(error, file=sys.stderr)
    click.echo(f"publish: {safe_lines(paragraph(known))}", err=True)
    if as_json:
        show_json(document(known))
    return known.status if isinstance(known, Interrupted) else known.exit_code
