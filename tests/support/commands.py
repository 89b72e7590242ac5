"""What the commands do, by simulated runs: the workflows as the command line calls them, and how they end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from publisher.model.codec import encode
from publisher.model.errors import PublishError, Stopped
from publisher.model.reference import Reference
from publisher.report.failure import document
from publisher.workflows.jobs import PlanOptions, jobs
from publisher.workflows.reconcile import reconcile
from publisher.workflows.release import ReleaseOptions, prepare, refuse, release
from publisher.workflows.retag import RetagOptions, read_targets, retag
from publisher.workflows.undo import UndoOptions, find_receipt, undo
from publisher.workflows.yank import YankOptions, yank
from tests.support.simulation import Died

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from publisher.workflows.record import Run as Told
    from publisher.workflows.session import Session
    from tests.support.simulation import Run

KILLED = -9


@dataclass(frozen=True)
class Ended:
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


def do(run: Run, work: Callable[[Session], Told]) -> Ended:
    """Carry out a command in a session of its own. What is no PublishError would be a traceback, and is raised."""
    try:
        with run.session() as session:
            told = work(session)
    except PublishError as error:
        return Ended(_code(error), _json(document(error)))
    except Died:
        return Ended(KILLED)
    return Ended(_code(told.error) if told.error else 0, _json(told.receipt))


def _json(found: object) -> dict[str, Any]:
    decoded: dict[str, Any] = msgspec.json.decode(encode(found))
    return decoded


def _code(error: PublishError) -> int:
    return error.status if isinstance(error, Stopped) else error.exit_code


def wish(*names: str, version: str | None = None, force: bool = False) -> PlanOptions:
    """The options that name repositories and a version."""
    return PlanOptions(images=names, labels={}, version=version, force=force)


def release_of(
    run: Run, source: str, version: str, *names: str, force: bool = False, options: ReleaseOptions | None = None
) -> Ended:
    """`publish release SOURCE --version VERSION --image NAME…`."""
    how = options or ReleaseOptions(verify="digest")

    def work(session: Session) -> Told:
        (job,) = jobs(session.settings, wanted := wish(*names, version=version, force=force))
        made = prepare(session, job, wanted, [source], how)
        refuse(made.plan)
        return release(session, made, how)

    return do(run, work)


def reconcile_of(run: Run, *names: str) -> Ended:
    """`publish reconcile`."""
    return do(run, lambda session: reconcile(session, wish(*names)))


def yank_of(run: Run, version: str, *names: str, options: YankOptions | None = None) -> Ended:
    """`publish yank VERSION`."""
    return do(run, lambda session: yank(session, version, wish(*names), options or YankOptions()))


def retag_of(run: Run, source: str, *tags: str) -> Ended:
    """`publish retag SRC :TAG…`."""

    def work(session: Session) -> Told:
        found = Reference.parse(source)
        return retag(session, found, read_targets(found, tags), RetagOptions(force=True))

    return do(run, work)


def undo_of(
    run: Run, names: Sequence[str] = (), receipt: str | None = None, options: UndoOptions | None = None
) -> Ended:
    """`publish undo [RECEIPT]`."""

    def work(session: Session) -> Told:
        wanted = wish(*names)
        return undo(session, find_receipt(session, receipt, wanted), wanted, options or UndoOptions())

    return do(run, work)
