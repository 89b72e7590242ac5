"""What a command gets of the whole command line: the options before it, and what takes secrets out of messages."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from publisher.cli.github import ReportContext

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(slots=True)
class Secrets:
    """Takes secrets out of what is told of a run; a session, which learns them, puts its redactor here."""

    redact: Callable[[str], str] = str


@dataclass(frozen=True, slots=True)
class GlobalOptions:
    """The options before the command."""

    secrets: Secrets

    config: str | None
    verbose: bool
    quiet: bool
    color: bool
    report_context: ReportContext = field(default_factory=ReportContext)
