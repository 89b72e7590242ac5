"""How results and errors leave the program."""

from __future__ import annotations

import sys
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click
import msgspec

from publisher.cli.reporting import is_wanted, report
from publisher.model.errors import PublishError, Stopped
from publisher.report.failure import document, paragraph, understand
from publisher.report.progress import safe_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from publisher.cli.program import Globals
    from publisher.workflows.record import Run


def show_json(found: Any) -> None:
    """One document on stdout, and nothing else."""
    click.echo(msgspec.json.encode(found))


def show_runs(given: Globals, runs: Sequence[Run], form: str) -> int:
    """Show the receipts of runs, and tell of what went wrong in them; returns the exit code."""
    from publisher.model.receipt import Receipts
    from publisher.report.tables import receipt_text

    receipts = tuple(run.receipt for run in runs)
    document = receipts[0] if len(receipts) == 1 else Receipts(receipts=receipts)
    report(document, given.aside)
    if form == "json":
        show_json(document)
    else:
        for receipt in receipts:
            show_text(receipt_text(receipt, color=given.color and sys.stdout.isatty()))
    return max((tell(run.error, given.secrets.redact) for run in runs if run.error), default=0)


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
    if is_wanted():
        with suppress(PublishError):  # the file of the step's outputs may be what went wrong
            report(document(known, redact))
    if as_json:
        show_json(document(known, redact))
    return code
