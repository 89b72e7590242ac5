"""Put the floating tags of repositories where their published versions say that they belong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.model.errors import Unreachable
from publisher.model.plan import Kind
from publisher.model.receipt import State
from publisher.model.reference import Tag
from publisher.workflows.record import RunRecord, RunStart, now
from publisher.workflows.tagging.local_copies import warn_of_stale_copies
from publisher.workflows.tagging.survey import NO_VERSION, survey_repository
from publisher.workflows.tagging.writer import LOOKS, ROUNDS, Step, in_order

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Sequence
    from pathlib import Path

    from publisher.model.receipt import Change
    from publisher.model.reference import Reference, Repository
    from publisher.receipts.journal import JournalEntry
    from publisher.workflows.destination import Destination
    from publisher.workflows.record import Run
    from publisher.workflows.session import Session
    from publisher.workflows.tagging.survey import SurveyedRepository
    from publisher.workflows.tagging.writer import TagWriter


def drift(surveyed: SurveyedRepository) -> list[Step]:
    """The writes that make every floating tag of a repository true."""
    return [
        Step(
            destination=surveyed.destination,
            tag=Tag(line.tag),
            kind=Kind.FLOATING,
            version=str(line.version),
            before=line.digest,
            goal=line.desired,
        )
        for line in surveyed.survey.drifted
        if line.desired
    ]


def wrong_in(
    session: Session, destinations: Iterable[Destination], only: Container[Reference] | None = None
) -> list[Step]:
    """The same for several repositories, as they stand now; `only`: of these tags."""
    steps = (
        step for destination in destinations for step in drift(survey_repository(session, destination, NO_VERSION))
    )
    return [step for step in steps if only is None or step.reference in only]


def lock(session: Session, repositories: Iterable[Repository]) -> JournalEntry:
    """The place in the journal of a run that moves floating tags: one at a time for the same repositories."""
    return session.journal.open(["floating", *sorted(map(str, repositories))])


def repair_record(session: Session, command: str, changes: Iterable[Change], receipt: Path | None) -> RunRecord:
    """The receipt of a run that brings no content of its own, from what each tag is to hold."""
    planned = tuple(changes)
    record = RunRecord(session, RunStart(command=command, started=now()), planned, receipt)
    record.intended = {change.reference: change.after for change in planned if change.state is State.NOT_DONE}
    return record


def repair(session: Session, writer: TagWriter, destinations: Iterable[Destination], work: Callable[[], None]) -> Run:
    """Do the work of such a run to its end."""
    run = writer.finish(work)
    if run.error is None:
        writer.follow_up(lambda: warn_of_stale_copies(session, run.receipt, destinations))
    return run


def settle(
    session: Session,
    writer: TagWriter,
    destinations: Sequence[Destination],
    wrong: Sequence[Step],
    only: Container[Reference] | None = None,
) -> None:
    """Write what is wrong, `latest` last, and look again, at most five times; `only`: at these tags.

    Raises Unreachable where the registry never shows what it took.
    """
    for number, seconds in enumerate(LOOKS[1:], 1):
        if not wrong:
            return writer.agree()
        if number <= ROUNDS:
            _write(writer, destinations, wrong)
        if seconds:
            session.pause(seconds)
        wrong = wrong_in(session, destinations, only)
    if not wrong:
        return writer.agree()
    raise Unreachable("the registry does not show the tags that it took", reference=wrong[0].reference)


def _write(writer: TagWriter, destinations: Sequence[Destination], wrong: Sequence[Step]) -> None:
    for destination in destinations:
        own = [step for step in wrong if step.destination is destination]
        for together in in_order(own, destination.ruleset.flavor.latest_name):
            writer.write(together)
