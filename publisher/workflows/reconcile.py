"""Put the floating tags where the published versions say that they belong."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from publisher.model.errors import Unreachable
from publisher.model.plan import Kind
from publisher.workflows.clock import now
from publisher.workflows.ledger import Ledger, Step, in_order
from publisher.workflows.record import Begun, Record, Run
from publisher.workflows.status import look, places

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from publisher.model.reference import Repository
    from publisher.receipts.journal import Entry
    from publisher.workflows.jobs import Wish
    from publisher.workflows.session import Session
    from publisher.workflows.status import Looked, Place

_ROUNDS = 5
_LAG = 0.2
"""Seconds before a look that may have been too early is done again, times the round."""


def drift(found: Looked) -> list[Step]:
    """The writes that make every floating tag of a repository true."""
    return [
        Step(
            reference=found.place.repository.tag(line.tag),
            kind=Kind.FLOATING,
            version=str(line.version),
            before=line.digest,
            wanted=line.desired,
        )
        for line in found.survey.drifted
        if line.desired
    ]


def reconcile(session: Session, wish: Wish, *, dry_run: bool = False, receipt: Path | None = None) -> Run:
    """Write what is not where it belongs, and look again until everything is."""
    where = places(session, wish)
    steps = [step for place in where for step in drift(look(session, place))]
    record = repair_record(session, "reconcile", steps, receipt)
    if dry_run or not steps:
        return record.finish(None, record.receipt.moves)
    with lock(session, [place.repository for place in where]) as entry:
        ledger = Ledger(session, record, entry)
        return ledger.finish(lambda: settle(ledger, where, lambda place: drift(look(session, place)), steps))


def lock(session: Session, repositories: Iterable[Repository]) -> Entry:
    """The place in the journal of a run that moves floating tags: one at a time for the same repositories."""
    return session.journal.open(["floating", *sorted(map(str, repositories))])


def repair_record(session: Session, command: str, steps: Sequence[Step], receipt: Path | None) -> Record:
    """The receipt of a run that brings no content of its own."""
    record = Record(session, Begun(command=command, started=now()), [step.change for step in steps], receipt)
    record.intended = {str(step.reference): step.wanted for step in steps}
    return record


def settle(
    ledger: Ledger,
    where: Sequence[Place],
    decide: Callable[[Place], list[Step]],
    first: Sequence[Step] | None = None,
) -> None:
    """Write what `decide` finds wrong, `latest` last, and look again, at most five times.

    Raises Unreachable where the registry never shows what it took.
    """
    wrong = list(first) if first is not None else [step for place in where for step in decide(place)]
    for number in range(1, _ROUNDS + 1):
        for place in where:
            own = [step for step in wrong if step.reference.repository == place.repository]
            for part in in_order(own, place.ruleset.flavor.latest_name):
                ledger.write(part)
        wrong = [step for place in where for step in decide(place)]
        if not wrong:
            return
        time.sleep(_LAG * number)
    raise Unreachable("the registry does not show the tags that it took", reference=wrong[0].reference)
