"""What a command gets of the whole command line: the options before it, and what is known of the run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from publisher.cli.github import ReportContext
from publisher.model.errors import Stopped

if TYPE_CHECKING:
    from collections.abc import Callable

    from publisher.model.protocols import TagRun
    from publisher.workflows.record import Run


@dataclass(slots=True)
class RunContext:
    """What the program knows of its run when that ends, in whatever way; a session, once there is one, fills it.

    redact: takes secrets out of what is told. records: of runs that have come to their tags. timeout: `--timeout`.
    """

    redact: Callable[[str], str] = str
    records: list[TagRun] = field(default_factory=list)
    timeout: int = 0

    @property
    def runs_under_way(self) -> bool:
        """Whether any tag was written, or may have been."""
        return any(record.is_under_way for record in self.records)

    def break_off(self, error: BaseException) -> list[Run]:
        """How the runs ended that `error` breaks off, which came where no run awaited it: it is the last one's."""
        from publisher.workflows.record import RunRecord

        # An image that was kept from its tags, beside others that came to theirs, has ended already.
        records = [each for each in self.records if isinstance(each, RunRecord) and (each.is_under_way or each.run)]
        runs = [record.run or record.end(error) for record in records]
        # Of images side by side each that was broken off says so itself, and one that was done stays so.
        if len(runs) > 1 and any(isinstance(run.error, Stopped) for run in runs):
            return runs
        return [*runs[:-1], records[-1].break_off(error)]


@dataclass(frozen=True, slots=True)
class GlobalOptions:
    """The options before the command."""

    run: RunContext

    config: str | None
    verbose: bool
    quiet: bool
    color: bool
    report_context: ReportContext = field(default_factory=ReportContext)
