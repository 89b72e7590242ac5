"""Put the floating tags where the published versions say that they belong.

It stands alone as the work of one command; yank and undo share with it what stands in tagging/settle.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.workflows.tagging.settle import lock, repair, repair_record, settle, wrong_in
from publisher.workflows.tagging.survey import configured_destinations
from publisher.workflows.tagging.writer import TagWriter

if TYPE_CHECKING:
    from pathlib import Path

    from publisher.workflows.jobs import PlanOptions
    from publisher.workflows.record import Run
    from publisher.workflows.session import Session


def reconcile(session: Session, wish: PlanOptions, *, dry_run: bool = False, receipt: Path | None = None) -> Run:
    """Write what is not where it belongs, and look again until everything is."""
    destinations = configured_destinations(session, wish)
    steps = wrong_in(session, destinations)
    record = repair_record(session, "reconcile", [step.change for step in steps], receipt)
    if dry_run or not steps:
        return record.as_planned()
    with lock(session, [destination.repository for destination in destinations]) as entry:
        writer = TagWriter(session, record, entry)
        return repair(session, writer, destinations, lambda: settle(session, writer, destinations, steps))
