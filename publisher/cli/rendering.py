"""How results and errors leave the program."""

from __future__ import annotations

import sys
import traceback
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import click
from msgspec.structs import replace

from publisher.cli.github import in_inputs, is_wanted, report
from publisher.cli.process import ending, forget_stdout
from publisher.cli.rehearsal import is_rehearsal, name_dead_sandbox
from publisher.model.codec import encode
from publisher.model.errors import NO_ROOM, PublishError, UsageError
from publisher.model.printable import printable_json
from publisher.model.value import Document
from publisher.report.cells import wrap_message
from publisher.report.failure import document, paragraph, understand, with_tags_unmoved
from publisher.report.progress import safe_lines
from publisher.report.workflow_commands import annotation, is_in_actions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from publisher.cli.context import GlobalOptions
    from publisher.model.plan import Plan
    from publisher.workflows.record import Run


def show_json(document: Any) -> None:
    """One document on stdout, and nothing else; in a sandbox it says so."""
    if is_rehearsal() and isinstance(document, Document):
        document = replace(document, sandbox=True)
    _print(printable_json(encode(document).decode()) + "\n")


def _print(text: str) -> None:
    """Write to stdout; raises BrokenPipeError where its reader has gone, PublishError where it can't be written."""
    try:
        click.echo(text, nl=False)
    except OSError as error:
        forget_stdout()
        if isinstance(error, BrokenPipeError):
            raise  # whoever read our output has gone, and knows it
        hint = "see where the shell sends it"
        raise PublishError(f"stdout can't be written: {error.strerror}", hint=hint) from error


def show_runs(options: GlobalOptions, runs: Sequence[Run], form: str) -> int:
    """Show the receipts of runs, and tell of what went wrong in them; returns the exit code.

    This is the one end of every run that changes tags. Where it can't be told on stdout, stderr gets it.
    """
    from publisher.model.receipt import Receipts

    receipts = tuple(run.receipt for run in runs)
    document = receipts[0] if len(receipts) == 1 else Receipts(receipts=receipts)
    with ending():
        with _told_at_least(runs):
            report(document, options.report_context)
        with _told_at_least(runs):
            if form == "json":
                show_json(document)
            else:
                _show_tables(options, runs)
        return max((show_error(run.error, options.run.redact) for run in runs if run.error), default=0)


def _show_tables(options: GlobalOptions, runs: Sequence[Run]) -> None:
    from publisher.report.tables import intended_text, receipt_text

    color = options.color and sys.stdout.isatty()
    if sys.stdout.isatty() and not options.quiet and any(run.receipt.command == "release" for run in runs):
        click.echo(err=True)  # apart from the steps above it
    if len(runs) > 1:
        from publisher.report.images_table import receipts_text

        return show_text(receipts_text([run.receipt for run in runs], color=color))
    for run in runs:
        is_dry = run.intended and not _is_written(run)
        if is_dry and run.error is None:
            show_text(intended_text(run.receipt, run.intended, color=color))
        else:
            show_text(receipt_text(run.receipt, color=color))
    return None


@contextmanager
def _told_at_least(runs: Sequence[Run]) -> Iterator[None]:
    """What fails on our own side takes nothing from what was done: it is a warning, with the tables on stderr.

    Where no tag was written, nor another error is to be told, it is the error.
    """
    from publisher.report.tables import receipt_text

    try:
        yield
    except (OSError, PublishError) as error:
        if not any(_is_written(run) or run.error for run in runs):
            raise
        text = "".join(receipt_text(run.receipt, color=False) for run in runs)
        failure = PublishError("stdout has no reader any more") if isinstance(error, BrokenPipeError) else error
        _print_error(f"{safe_lines(text)}publish: warning: {paragraph(understand(failure))}")


def _is_written(run: Run) -> bool:
    return any(change.state.may_be_written for change in run.receipt.moves)


def _print_error(text: str) -> None:
    """Write to stderr, as far as anybody takes it."""
    with suppress(OSError):
        click.echo(text, err=True)


def write_file(file: Path, content: str) -> None:
    """Write what an option names a file for; raises UsageError where that can't be."""
    try:
        file.write_text(content, encoding="utf-8")
    except OSError as error:
        if error.errno in NO_ROOM:
            raise
        raise UsageError(f"{file} can't be written: {error.strerror}", reference=file) from error


def show_text(text: str) -> None:
    """A result for people."""
    _print(safe_lines(text))


def show_plans(options: GlobalOptions, plans: Sequence[Plan]) -> None:
    """Plans as the result, for people: a table each, with an empty line between them."""
    from publisher.report.tables import plan_text

    color = options.color and sys.stdout.isatty()
    show_text("\n".join(plan_text(plan, color=color) for plan in plans))


def show_error(error: PublishError, redact: Callable[[str], str]) -> int:
    """Tell of an error on stderr, secrets taken out by `redact`; returns its exit code."""
    _speak_of_inputs(error)
    text = paragraph(error, redact)
    if is_in_actions():
        _print_error(annotation("error", text, error.place))
    else:
        _print_error("\n".join(wrap_message(f"publish: {safe_lines(text)}", sys.stderr, "  ")))
    return error.exit_code


def _speak_of_inputs(error: PublishError) -> None:
    if is_in_actions() and error.hint:
        error.hint = in_inputs(error.hint)


def render_failure(
    error: BaseException, redact: Callable[[str], str], *, as_json: bool, verbose: bool, moves_tags: bool = False
) -> int:
    """As `show_error`, for any error; the traceback is for `--verbose` only.

    moves_tags: of a command that moves tags, and has moved none.
    """
    failure = name_dead_sandbox(understand(error))
    failure = with_tags_unmoved(failure) if moves_tags else failure
    if verbose:
        _print_error(safe_lines(redact("".join(traceback.format_exception(error)))).rstrip())
    code = show_error(failure, redact)
    if is_wanted():
        with suppress(PublishError):  # the file of the step's outputs may be what went wrong
            report(document(failure, redact))
    if as_json:
        with suppress(OSError, PublishError):  # stdout may be what went wrong
            show_json(document(failure, redact))
    return code
