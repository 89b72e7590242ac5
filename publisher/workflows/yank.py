"""Take a version back: a marker in the registry says so, and the floating tags fall back as if it were not there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.model.errors import Refused, UsageError
from publisher.model.plan import Kind
from publisher.model.value import Value
from publisher.planning.lines import Published, survey
from publisher.planning.rules import MARKER
from publisher.planning.version import ANY_SCHEME, parse_version
from publisher.workflows.reconcile import drift, lock, repair_record, settle, wrong_in
from publisher.workflows.status import SurveyedRepository, places, survey_repository
from publisher.workflows.tagging.markers import lift
from publisher.workflows.tagging.writer import Ledger, Step

if TYPE_CHECKING:
    from pathlib import Path

    from publisher.planning.lines import PublishedVersion
    from publisher.workflows.jobs import PlanOptions
    from publisher.workflows.record import Run
    from publisher.workflows.session import Session


class YankOptions(Value, frozen=True, kw_only=True):
    """undo: let the version count again. delete: also delete its tags, as far as single tags can be deleted."""

    undo: bool = False
    delete: bool = False
    dry_run: bool = False
    receipt: Path | None = None


def yank(session: Session, text: str, wish: PlanOptions, options: YankOptions) -> Run:
    """Mark a version in every repository that has published it; the floating tags follow.

    Raises UsageError for what is no version, Refused where no repository has published it.
    """
    found = [survey_repository(session, place) for place in places(session, wish)]
    having = [(one, held) for one in found if (held := _published(one, text))]
    if not having:
        where = ", ".join(one.place.written for one in found)
        raise Refused(f"{text} is not published in {where}", hint="'publish status' lists what is")
    markers = [step for one, held in having if (step := _marker(one, held, options))]
    after = [step for one, held in having for step in drift(_supposed(one, held, yanked=not options.undo))]
    gone = [step for one, held in having for step in _deletions(one, held)] if options.delete else []
    changes = [step.change for step in (*markers, *after, *gone)]
    record = repair_record(session, "yank", changes, options.receipt)
    if options.dry_run or not record.receipt.moves:
        return record.finish(None, record.receipt.moves)
    where_to = [one.place for one, _ in having]
    with lock(session, [place.repository for place in where_to]) as entry:
        ledger = Ledger(session, record, entry)

        def work() -> None:
            for step in markers:
                if options.undo:
                    lift(session, ledger, step)
                else:
                    ledger.write([step])
            settle(session, ledger, where_to, wrong_in(session, where_to))
            for step in gone:
                if refusal := ledger.remove(step):
                    session.progress.warn(f"{step.reference} stays: {refusal.message}")

        return ledger.finish(work)


def _published(found: SurveyedRepository, text: str) -> PublishedVersion | None:
    version = parse_version(text, (*found.place.ruleset.schemes, *ANY_SCHEME))
    named = next((one for one in found.survey.versions if text in {str(one.version), *one.tags}), None)
    if version is None and named is None:
        raise UsageError(f"'{text}' is not a version", hint="name one that 'publish status' lists, as in 1.2.3")
    return named or next((one for one in found.survey.versions if one.version == version), None)


def _marker(found: SurveyedRepository, held: PublishedVersion, options: YankOptions) -> Step | None:
    """The write of the marker that is needed, if any."""
    if held.yanked is not options.undo:
        return None
    marker = next((tag for tag in held.tags if MARKER + tag in found.state.tags), held.tags[0])
    reference = found.place.repository.tag(MARKER + marker)
    before = found.state.held.get(str(reference.tag))
    wanted = None if options.undo else held.digest
    return Step(reference=reference, kind=Kind.REF, version=str(held.version), before=before, wanted=wanted)


def _supposed(found: SurveyedRepository, held: PublishedVersion, *, yanked: bool) -> SurveyedRepository:
    """The repository as it will be once the marker is there, or gone."""
    markers = {MARKER + tag for tag in held.tags}
    kept = {tag: digest for tag, digest in found.state.held.items() if tag not in markers}
    if yanked and held.digest:
        kept[MARKER + held.tags[0]] = held.digest
    tags = (found.state.tags - markers) | {tag for tag in markers if tag in kept}
    state = Published(tags, kept, found.state.stated)
    return SurveyedRepository(found.place, state, survey(found.place.ruleset, state))


def _deletions(found: SurveyedRepository, held: PublishedVersion) -> list[Step]:
    """The version's own tags, and the floating ones that no other version takes over; the marker stays."""
    orphans = [line for line in _supposed(found, held, yanked=True).survey.lines if line.version is None]
    tags = [(line.tag, Kind.FLOATING) for line in orphans if line.digest == held.digest]
    tags += [(tag, Kind.EXACT) for tag in held.tags]
    return [
        Step(
            reference=found.place.repository.tag(tag),
            kind=kind,
            version=str(held.version),
            before=found.state.held.get(tag),
            wanted=None,
        )
        for tag, kind in tags
    ]
