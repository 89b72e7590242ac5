"""How results and errors leave the program."""

from __future__ import annotations

import errno
import sys
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from publisher.cli.github import in_inputs, is_wanted, report
from publisher.model.codec import encode
from publisher.model.errors import PublishError, Stopped, UsageError
from publisher.model.printable import printable_json
from publisher.report.cells import wrap_message
from publisher.report.failure import document, paragraph, understand
from publisher.report.progress import safe_lines
from publisher.report.workflow_commands import annotation, is_in_actions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from publisher.cli.context import GlobalOptions
    from publisher.workflows.record import Run


def show_json(document: Any) -> None:
    """One document on stdout, and nothing else."""
    click.echo(printable_json(encode(document).decode()))


def show_runs(options: GlobalOptions, runs: Sequence[Run], form: str) -> int:
    """Show the receipts of runs, and tell of what went wrong in them; returns the exit code."""
    from publisher.model.receipt import Receipts
    from publisher.report.tables import intended_text, receipt_text

    receipts = tuple(run.receipt for run in runs)
    document = receipts[0] if len(receipts) == 1 else Receipts(receipts=receipts)
    report(document, options.report_context)
    if form == "json":
        show_json(document)
    else:
        color = options.color and sys.stdout.isatty()
        if sys.stdout.isatty() and not options.quiet and any(receipt.command == "release" for receipt in receipts):
            click.echo(err=True)  # apart from the steps above it
        for run in runs:
            is_dry = run.intended and not any(change.state.may_be_written for change in run.receipt.moves)
            if is_dry and run.error is None:
                show_text(intended_text(run.receipt, run.intended, color=color))
            else:
                show_text(receipt_text(run.receipt, color=color))
    return max((show_error(run.error, options.secrets.redact) for run in runs if run.error), default=0)


def write_file(file: Path, content: str) -> None:
    """Write what an option names a file for; raises UsageError where that can't be."""
    try:
        file.write_text(content, encoding="utf-8")
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise
        raise UsageError(f"{file} can't be written: {error.strerror}", reference=file) from error


def show_text(text: str) -> None:
    """A result for people."""
    click.echo(safe_lines(text), nl=False)


def show_error(error: PublishError, redact: Callable[[str], str]) -> int:
    """Tell of an error on stderr, secrets taken out by `redact`; returns its exit code."""
    _speak_of_inputs(error)
    text = paragraph(error, redact)
    if is_in_actions():
        click.echo(annotation("error", text, error.place), err=True)
    else:
        click.echo("\n".join(wrap_message(f"publish: {safe_lines(text)}", sys.stderr, "  ")), err=True)
    return error.status if isinstance(error, Stopped) else error.exit_code


def _speak_of_inputs(error: PublishError) -> None:
    if is_in_actions() and error.hint:
        error.hint = in_inputs(error.hint)


def render_failure(error: BaseException, redact: Callable[[str], str], *, as_json: bool, verbose: bool) -> int:
    """As `show_error`, for any error; the traceback is for `--verbose` only."""
    failure = understand(error)
    if verbose:
        click.echo(safe_lines(redact("".join(traceback.format_exception(error)))), err=True, nl=False)
    code = show_error(failure, redact)
    if is_wanted():
        with suppress(PublishError):  # the file of the step's outputs may be what went wrong
            report(document(failure, redact))
    if as_json:
        show_json(document(failure, redact))
    return code
