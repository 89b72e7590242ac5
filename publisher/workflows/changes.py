"""A release's plan as the lines of its receipt, with what an earlier run of the same release has done already."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

from publisher.model.plan import Action
from publisher.model.receipt import Change, Outcome, State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from publisher.model.digest import Digest
    from publisher.model.plan import Move, Plan
    from publisher.model.receipt import Receipt
    from publisher.workflows.promote import Progress
    from publisher.workflows.session import Session

_LOOKED_AT: Final = 100
"""How many receipts back an earlier run is looked for."""
_STATES: Final = {Action.KEEP: State.KEPT, Action.UNCHANGED: State.UNCHANGED}


class Changes:
    """The lines of one release's receipt."""

    def __init__(self, session: Session, plan: Plan, digest: Digest) -> None:
        self._plan = plan
        # Only what is in place already can have been put there by an earlier run.
        resumes = any(move.action is Action.UNCHANGED for move in plan.moves)
        self._earlier = _earlier(session, plan, str(digest)) if resumes else {}

    def at(self, progress: Progress | None) -> tuple[Change, ...]:
        """As things stand."""
        return tuple(self._line(move, progress) for move in self._plan.moves)

    def _line(self, move: Move, progress: Progress | None) -> Change:
        state = progress.states.get(move.reference) if progress else None
        after = progress.after.get(move.reference) if progress else None
        line = Change(
            reference=move.reference,
            kind=move.kind,
            version=move.version,
            action=move.action,
            before=move.before,
            after=str(after) if after else (None if progress else move.before),
            state=state or _STATES.get(move.action, State.NOT_DONE),
        )
        return self._resumed(line)

    def _resumed(self, line: Change) -> Change:
        """A tag that an earlier run of this release moved: what it held before that, so that undo goes all the way."""
        earlier = self._earlier.get(line.reference)
        if earlier is None or line.state is not State.UNCHANGED or earlier.before == line.after:
            return line
        return Change(
            reference=line.reference,
            kind=line.kind,
            version=line.version,
            action=earlier.action,
            before=earlier.before,
            after=line.after,
            state=State.DONE,
        )


def _earlier(session: Session, plan: Plan, digest: str) -> Mapping[str, Change]:
    """What the newest run of the same release was to write, if it did not come to its end on this machine."""
    for receipt in islice(session.journal.newest(), _LOOKED_AT):
        if _is_same(receipt, plan, digest):
            writes = {change.reference: change for change in receipt.moves if change.action.writes}
            return writes if receipt.outcome is Outcome.INCOMPLETE else {}
    return {}


def _is_same(receipt: Receipt, plan: Plan, digest: str) -> bool:
    if receipt.command != "release" or receipt.plan is None or receipt.image is None:
        return False
    return (receipt.plan.release, receipt.plan.images, receipt.image.digest) == (plan.release, plan.images, digest)
