"""What a step of GitHub Actions is told: outputs and a summary, and which texts its log must not show."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from publisher.model.digest import Digest
    from publisher.model.protocols import Progress
    from publisher.report.outputs import Document


@dataclass(slots=True)
class ReportContext:
    """What a run has seen beside its result: which version a digest is, and how long its steps took, in seconds."""

    versions: Callable[[], Mapping[Digest, str]] = field(default=dict)
    timings: Mapping[str, float] = field(default_factory=dict)

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

    outputs = outputs_of(document)
    is_written = write_outputs(os.environ, outputs)
    known_context = context or ReportContext()
    write_summary(os.environ, summary_of(document, known_context.versions(), known_context.timings))
    return {} if is_written else outputs


def masks() -> Callable[[str], None] | None:
    """Has the runner blank a text in its log; None outside the Action, where stderr may be anybody's file."""
    if os.environ.get("PUBLISH_MASK") != "github" or not os.environ.get("GITHUB_ACTIONS"):
        return None
    return _mask


def _mask(text: str) -> None:
    data = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    # In one write: threads learn secrets side by side.
    sys.stderr.write(f"::add-mask::{data}\n")
    sys.stderr.flush()
