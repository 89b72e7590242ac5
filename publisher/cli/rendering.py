"""How results and errors leave the program."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Any

import click
import msgspec

from publisher.model.errors import PublishError, Stopped
from publisher.report.failure import document, paragraph, understand
from publisher.report.progress import safe_lines

if TYPE_CHECKING:
    from collections.abc import Callable


def show_json(found: Any) -> None:
    """One document on stdout, and nothing else."""
    click.echo(msgspec.json.encode(found))


def show_text(text: str) -> None:
    """A result for people."""
    click.echo(safe_lines(text), nl=False)


def tell(error: PublishError, redact: Callable[[str], str]) -> int:
    """Tell of an error on stderr, secrets taken out by `redact`; returns its exit code."""
    click.echo(f"publish: {safe_lines(paragraph(error, redact))}", err=True)
    return error.status if isinstance(error, Stopped) else error.exit_code


def render_failure(error: BaseException, redact: Callable[[str], str], *, as_json: bool, verbose: bool) -> int:
    """As `tell`, for any error; the traceback is for `--verbose` only."""
    known = understand(error)
    if verbose:
        click.echo(safe_lines(redact("".join(traceback.format_exception(error)))), err=True, nl=False)
    code = tell(known, redact)
    if as_json:
        show_json(document(known, redact))
    return code
