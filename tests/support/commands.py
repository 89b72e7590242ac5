"""What the commands do, by simulated runs: the workflows as the command line calls them, and how they end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from publisher.model.codec import encode
from publisher.model.errors import PublishError
from publisher.model.reference import Reference
from publisher.report.failure import document
from publisher.workflows.jobs import PlanOptions, jobs
from publisher.workflows.reconcile import reconcile
from publisher.workflows.release import ReleaseOptions, prepare, refuse, release
from publisher.workflows.retag import RetagOptions, read_targets, retag
from publisher.workflows.undo import UndoOptions, find_receipt, undo
from publisher.workflows.yank import YankOptions, yank
from tests.support.simulation import RunKilled

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from publisher.workflows.record import Run as WorkflowRun
    from publisher.workflows.session import Session
    from tests.support.simulation import SimulatedRun

KILLED = -9


@dataclass(frozen=True)
class CommandResult:
    """How a run ended: its exit code, and the one JSON document that it prints."""

    code: int
    document: dict[str, Any] = field(default_factory=dict)

    @property
    def states(self) -> dict[str, str]:
        """The tags of its receipt, by reference without Docker Hub's name, and how each ended."""
        return {_short(move["reference"]): move["state"] for move in self.document.get("moves", ())}

    @property
    def after(self) -> dict[str, str | None]:
        """What the receipt says that each tag holds."""
        return {_short(move["reference"]): move["after"] for move in self.document.get("moves", ())}


def _short(reference: str) -> str:
    return reference.removeprefix("docker.io/")


def run_command(run: SimulatedRun, work: Callable[[Session], WorkflowRun]) -> CommandResult:
    """Carry out a command in a session of its own. What is no PublishError would be a traceback, and is raised."""
    try:
        with run.session() as session:
            outcome = work(session)
    except PublishError as error:
        return CommandResult(_code(error), _json(document(error)))
    except RunKilled:
        return CommandResult(KILLED)
    return CommandResult(_code(outcome.error) if outcome.error else 0, _json(outcome.receipt))


def _json(value: object) -> dict[str, Any]:
    decoded: dict[str, Any] = msgspec.json.decode(encode(value))
    return decoded


def _code(error: PublishError) -> int:
    assert "unexpected: " not in error.message, error
    return error.exit_code


def make_plan_options(*names: str, version: str | None = None, force: bool = False) -> PlanOptions:
    """The options that name repositories and a version."""
    return PlanOptions(images=names, labels={}, version=version, force=force)


def release_of(
    run: SimulatedRun,
    source: str,
    version: str,
    *names: str,
    force: bool = False,
    options: ReleaseOptions | None = None,
) -> CommandResult:
    """`publish release SOURCE --version VERSION --image NAME…`."""
    how = options or ReleaseOptions(verify="digest")

    def work(session: Session) -> WorkflowRun:
        (job,) = jobs(session.settings, selection := make_plan_options(*names, version=version, force=force))
        draft = prepare(session, job, selection, [source], how)
        refuse(draft.plan)
        return release(session, draft, how)

    return run_command(run, work)


def reconcile_of(run: SimulatedRun, *names: str) -> CommandResult:
    """`publish reconcile`."""
    return run_command(run, lambda session: reconcile(session, make_plan_options(*names)))


def yank_of(run: SimulatedRun, version: str, *names: str, options: YankOptions | None = None) -> CommandResult:
    """`publish yank VERSION`."""
    return run_command(run, lambda session: yank(session, version, make_plan_options(*names), options or YankOptions()))


def retag_of(run: SimulatedRun, source: str, *tags: str) -> CommandResult:
    """`publish retag SRC :TAG…`."""

    def work(session: Session) -> WorkflowRun:
        reference = Reference.parse(source)
        return retag(session, reference, read_targets(reference, tags), RetagOptions(force=True))

    return run_command(run, work)


def undo_of(
    run: SimulatedRun, names: Sequence[str] = (), receipt: str | None = None, options: UndoOptions | None = None
) -> CommandResult:
    """`publish undo [RECEIPT]`."""

    def work(session: Session) -> WorkflowRun:
        selection = make_plan_options(*names)
        return undo(session, find_receipt(session, receipt, selection), selection, options or UndoOptions())

    return run_command(run, work)
