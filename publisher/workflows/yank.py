"""Take a version back: a marker in the registry says so, and the floating tags fall back as if it were not there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.model.errors import Refused, UsageError
from publisher.model.plan import Kind
from publisher.model.reference import Tag
from publisher.model.value import Value
from publisher.planning.lines import Published, survey
from publisher.planning.rules import MARKER
from publisher.planning.version import ANY_SCHEME, parse_version
from publisher.workflows.tagging.markers import lift
from publisher.workflows.tagging.settle import drift, lock, repair, repair_record, settle, wrong_in
from publisher.workflows.tagging.survey import SurveyedRepository, configured_destinations, survey_repository
from publisher.workflows.tagging.writer import Step, TagWriter

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from publisher.model.digest import Digest
    from publisher.planning.lines import PublishedVersion
    from publisher.workflows.destination import Destination
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
    parts = _find(session, text, configured_destinations(session, wish))
    markers = [step for part in parts if (step := part.marker(options))]
    _refuse_vain_undo(text, parts, options)
    after = [step for part in parts for step in drift(part.supposed(yanked=not options.undo))]
    deletions = [step for part in parts for step in part.deletions()] if options.delete else []
    changes = [step.change for step in (*markers, *after, *deletions)]
    record = repair_record(session, "yank", changes, options.receipt)
    if options.dry_run or not changes:
        return record.as_planned()
    if not (options.undo or options.delete):
        _warn_of_orphans(session, text, wish, parts)
    destinations = [part.surveyed.destination for part in parts]
    with lock(session, [destination.repository for destination in destinations]) as entry:
        writer = TagWriter(session, record, entry)

        def work() -> None:
            for step in markers:
                if options.undo:
                    lift(writer, step)
                else:
                    writer.write([step])
            settle(session, writer, destinations, wrong_in(session, destinations))
            for step in deletions:
                if refusal := writer.remove(step):
                    session.progress.warn(f"{step.reference} stays: {refusal.message}")

        return repair(session, writer, destinations, work)


def _warn_of_orphans(session: Session, text: str, wish: PlanOptions, parts: Iterable[_RepositoryVersion]) -> None:
    """Tell which floating tags go on to lead to what was yanked, since there is nothing to fall back to."""
    for part in parts:
        if tags := ", ".join(part.orphans):
            session.progress.warn(
                f"{tags} of {part.surveyed.destination.repository.familiar} can fall back to no other version and "
                f"will still hold {text}; 'publish yank {text} --delete{wish.selection}' deletes what can be deleted"
            )


def _find(session: Session, text: str, destinations: Iterable[Destination]) -> list[_RepositoryVersion]:
    """The version in every repository that has published it."""
    surveyed = [survey_repository(session, destination) for destination in destinations]
    parts = [_RepositoryVersion(each, version) for each in surveyed if (version := _published(each, text))]
    if not parts:
        where = ", ".join(each.destination.repository.familiar for each in surveyed)
        raise Refused(f"{text} is not published in {where}", hint="'publish status' lists what is")
    return parts


def _refuse_vain_undo(text: str, parts: Iterable[_RepositoryVersion], options: YankOptions) -> None:
    """An --undo of what is not yanked is refused, unless floating tags wait for a run that was stopped."""
    if options.undo and not any(part.version.yanked or drift(part.surveyed) for part in parts):
        where = ", ".join(part.surveyed.destination.repository.familiar for part in parts)
        raise Refused(
            f"{text} is not yanked in {where}, and every floating tag is where it belongs",
            hint="'publish status' shows which versions are yanked",
        )


def _published(surveyed: SurveyedRepository, text: str) -> PublishedVersion | None:
    versions = surveyed.survey.versions
    version = parse_version(text, (*surveyed.destination.ruleset.schemes, *ANY_SCHEME))
    named = next((published for published in versions if text in {str(published.version), *published.tags}), None)
    if version is None and named is None:
        raise UsageError(f"'{text}' is not a version", hint="name one that 'publish status' lists, as in 1.2.3")
    return named or next((published for published in versions if published.version == version), None)


class _RepositoryVersion(Value, frozen=True):
    """What is to be done in one repository, which has published the version."""

    surveyed: SurveyedRepository
    version: PublishedVersion

    def marker(self, options: YankOptions) -> Step | None:
        """The write of the marker that is needed, if any."""
        if self.version.yanked is not options.undo:
            return None
        tags = self.version.tags
        exact = next((tag for tag in tags if MARKER + tag in self.surveyed.state.tags), tags[0])
        return self._step(Tag.parse(MARKER + exact), Kind.REF, None if options.undo else self.version.digest)

    def supposed(self, *, yanked: bool) -> SurveyedRepository:
        """The repository as it will be once the marker is there, or gone."""
        destination, state = self.surveyed.destination, self.surveyed.state
        markers = {MARKER + tag for tag in self.version.tags}
        kept = {tag: digest for tag, digest in state.held.items() if tag not in markers}
        if yanked and self.version.digest:
            kept[MARKER + self.version.tags[0]] = self.version.digest
        tags = (state.tags - markers) | {tag for tag in markers if tag in kept}
        supposed = Published(tags, kept, state.stated)
        return SurveyedRepository(destination, supposed, survey(destination.ruleset, supposed))

    @property
    def orphans(self) -> list[str]:
        """The floating tags that hold the version, and have no other to fall back to."""
        lines = self.supposed(yanked=True).survey.lines
        return [line.tag for line in lines if line.version is None and line.digest == self.version.digest]

    def deletions(self) -> list[Step]:
        """The version's own tags, and the floating ones that no other version takes over; the marker stays."""
        tags = [(tag, Kind.FLOATING) for tag in self.orphans]
        tags += [(tag, Kind.EXACT) for tag in self.version.tags]
        return [self._step(Tag(tag), kind, None) for tag, kind in tags]

    def _step(self, tag: Tag, kind: Kind, goal: Digest | None) -> Step:
        return Step(
            destination=self.surveyed.destination,
            tag=tag,
            kind=kind,
            version=str(self.version.version),
            before=self.surveyed.state.held.get(tag),
            goal=goal,
        )
