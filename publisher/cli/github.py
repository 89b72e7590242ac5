"""What a step of GitHub Actions is told: outputs and a summary, and which texts its log must not show."""

from __future__ import annotations

import os
import re
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from publisher.model.digest import Digest
    from publisher.model.protocols import Progress
    from publisher.report.outputs import Document


@dataclass(slots=True)
class ReportContext:
    """What a run has seen beside its result: which version a digest is, and how long its steps took, in seconds.

    images: the names of `[images.NAME]`, by receipt.
    """

    versions: Callable[[], Mapping[Digest, str]] = field(default=dict)
    timings: Mapping[str, float] = field(default_factory=dict)
    images: Mapping[str, str] = field(default_factory=dict)

    def watch(self, progress: Progress) -> Progress:
        """`progress`, with the time kept where it will be told."""
        if not is_wanted():
            return progress
        from publisher.report.progress import Stopwatch

        watch = Stopwatch(progress)
        self.timings = watch.timings
        return watch


def is_wanted() -> bool:
    """Whether PUBLISH_REPORT=github asks for a step's outputs and summary, as the Action does."""
    return os.environ.get("PUBLISH_REPORT") == "github"


def report(document: Document, context: ReportContext | None = None) -> None:
    """Tell the step, where that is wanted."""
    if is_wanted():
        write_report(document, context)


def write_report(document: Document, context: ReportContext | None = None) -> dict[str, str]:
    """Write a step's outputs and its summary; returns the outputs that no file was named for."""
    from publisher.report.github_files import write_outputs, write_summary
    from publisher.report.outputs import outputs_of
    from publisher.report.summary import summary_of

    known_context = context or ReportContext()
    outputs = outputs_of(document, known_context.images)
    is_written = write_outputs(os.environ, outputs)
    _annotate(document)
    page = summary_of(document, known_context.versions(), known_context.timings, known_context.images)
    write_summary(os.environ, page)
    return {} if is_written else outputs


def _annotate(document: Document) -> None:
    """Show what a plan warns of and refuses beside the run; errors are told as such where they are raised."""
    from publisher.model.plan import Plan, Plans
    from publisher.model.receipt import Receipt, Receipts
    from publisher.report.outputs import plans_in, receipts_in
    from publisher.report.workflow_commands import annotation, is_in_actions

    plans: tuple[Plan | None, ...] = ()
    if isinstance(document, Plan | Plans):
        plans = plans_in(document)
    elif isinstance(document, Receipt | Receipts):
        plans = tuple(receipt.plan for receipt in receipts_in(document))
    if not is_in_actions():
        return
    for plan in filter(None, plans):
        lines = [annotation("warning", warning) for warning in plan.warnings]
        lines += [annotation("error", f"{move.reference}: {move.reason}") for move in plan.refusals]
        with suppress(OSError, ValueError):  # a stderr that nobody takes ends no run
            sys.stderr.write("".join(f"{line}\n" for line in lines))


_INPUTS: Final = {
    "image": "images", "rule": "tags", "label": "labels", "build-arg": "build-args", "platform": "platforms",
    **{name: name for name in ("only", "version", "flavor", "sign", "sbom", "via", "verify", "receipt", "config")},
    **{name: name for name in ("target", "file", "builder", "cache-from", "cache-to", "dry-run", "timeout")},
}  # fmt: skip
_RARE: Final = re.compile(r"--(force|allow-dirty|allow-early-tag)(?![\w-])")
_OPTION: Final = re.compile(rf"--({'|'.join(sorted(_INPUTS, key=len, reverse=True))})(?![\w-])[ =]?")
_LOGIN: Final = re.compile(
    r"(?:run )?'?publish login(?: (?P<host>[^\s',;]+))?'?(?:, or set PUBLISH_USERNAME and PUBLISH_PASSWORD)?"
)


def in_inputs(hint: str) -> str:
    """A hint in the words of the Action: its inputs in place of options and of a login, else the option's variable."""

    def signed_in(match: re.Match[str]) -> str:
        registry = f"registry: {match['host']}" if match["host"] else "registry"
        return f"give the step the inputs {registry}, username and password, and see whether the job has that secret"

    hint = _RARE.sub(lambda match: f"env PUBLISH_RELEASE_{match[1].upper().replace('-', '_')}: 1", hint)
    return _OPTION.sub(lambda match: f"the input {_INPUTS[match[1]]}: ", _LOGIN.sub(signed_in, hint)).replace(
        ": ;", ";"
    )


def masks() -> Callable[[str], None] | None:
    """Has the runner blank a text in its log; None outside the Action, where stderr may be anybody's file."""
    if os.environ.get("PUBLISH_MASK") != "github" or not os.environ.get("GITHUB_ACTIONS"):
        return None
    return _mask


def _mask(text: str) -> None:
    from publisher.report.workflow_commands import workflow_command

    # In one write: threads learn secrets side by side. As it is, since a mask is no text for people.
    sys.stderr.write(f"{workflow_command('add-mask', text)}\n")
    sys.stderr.flush()
