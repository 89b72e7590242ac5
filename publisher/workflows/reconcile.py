"""Put the floating tags where the published versions say that they belong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.model.digest import Digest
from publisher.model.errors import Unreachable
from publisher.model.plan import Kind
from publisher.model.receipt import State
from publisher.workflows.record import Begun, Run, RunRecord, now
from publisher.workflows.status import places, survey_repository
from publisher.workflows.tagging.writer import LOOKS, ROUNDS, Ledger, Step, in_order

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence
    from pathlib import Path

    from publisher.model.receipt import Change
    from publisher.model.reference import Reference, Repository
    from publisher.receipts.journal import JournalEntry
    from publisher.workflows.jobs import PlanOptions
    from publisher.workflows.session import Session
    from publisher.workflows.status import RepositoryRules, SurveyedRepository


def drift(found: SurveyedRepository) -> list[Step]:
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


def wrong_in(
    session: Session, where: Iterable[RepositoryRules], only: Container[Reference] | None = None
) -> list[Step]:
    """The same for several repositories, as they stand now; `only`: of these tags."""
    found = (step for place in where for step in drift(survey_repository(session, place)))
    return [step for step in found if only is None or step.reference in only]


def reconcile(session: Session, wish: PlanOptions, *, dry_run: bool = False, receipt: Path | None = None) -> Run:
    """Write what is not where it belongs, and look again until everything is."""
    where = places(session, wish)
    steps = wrong_in(session, where)
    record = repair_record(session, "reconcile", [step.change for step in steps], receipt)
    if dry_run or not steps:
        return record.finish(None, record.receipt.moves)
    with lock(session, [place.repository for place in where]) as entry:
        ledger = Ledger(session, record, entry)
        return ledger.finish(lambda: settle(session, ledger, where, steps))


def lock(session: Session, repositories: Iterable[Repository]) -> JournalEntry:
    """The place in the journal of a run that moves floating tags: one at a time for the same repositories."""
    return session.journal.open(["floating", *sorted(map(str, repositories))])


def repair_record(session: Session, command: str, changes: Iterable[Change], receipt: Path | None) -> RunRecord:
    """The receipt of a run that brings no content of its own, from what each tag is to hold."""
    planned = tuple(changes)
    record = RunRecord(session, Begun(command=command, started=now()), planned, receipt)
    waiting = (change for change in planned if change.state is State.NOT_DONE)
    record.intended = {one.reference: Digest.parse(one.after) if one.after else None for one in waiting}
    return record


def settle(
    session: Session,
    ledger: Ledger,
    where: Sequence[RepositoryRules],
    wrong: Sequence[Step],
    only: Container[Reference] | None = None,
) -> None:
    """Write what is wrong, `latest` last, and look again, at most five times; `only`: at these tags.

    Raises Unreachable where the registry never shows what it took.
    """
    for number, seconds in enumerate(LOOKS[1:], 1):
        if not wrong:
            return ledger.agree()
        if number <= ROUNDS:
            _write(ledger, where, wrong)
        if seconds:
            session.pause(seconds)
        wrong = wrong_in(session, where, only)
    if not wrong:
        return ledger.agree()
    raise Unreachable("the registry does not show the tags that it took", reference=wrong[0].reference)


def _write(ledger: Ledger, where: Sequence[RepositoryRules], wrong: Sequence[Step]) -> None:
    for place in where:
        own = [step for step in wrong if step.reference.repository == place.repository]
        for part in in_order(own, place.ruleset.flavor.latest_name):
            ledger.write(part)
