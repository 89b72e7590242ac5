"""Go back to before a run: by its receipt, leaving alone what others have moved since."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from publisher.model.digest import Digest
from publisher.model.errors import PublishError, Refused, UsageError
from publisher.model.manifest import parse_manifest
from publisher.model.plan import Kind
from publisher.model.receipt import Outcome, State
from publisher.model.value import Value
from publisher.planning.lines import desired, eligible, published_versions
from publisher.planning.tag_reader import tag_reader
from publisher.receipts.journal import is_from_future, is_id
from publisher.workflows.content.receipt_artifact import filed_receipt
from publisher.workflows.tagging.markers import lift, marking
from publisher.workflows.tagging.settle import lock, repair, repair_record, settle, wrong_in
from publisher.workflows.tagging.survey import destination_of, read_tag, survey_repository
from publisher.workflows.tagging.writer import Step, TagWriter, in_order

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from publisher.model.manifest import Content
    from publisher.model.receipt import Change, Receipt
    from publisher.model.reference import Tag
    from publisher.planning.lines import Published
    from publisher.workflows.destination import Destination
    from publisher.workflows.jobs import PlanOptions
    from publisher.workflows.record import Run
    from publisher.workflows.session import Session
    from publisher.workflows.tagging.survey import SurveyedRepository


class UndoOptions(Value, frozen=True, kw_only=True):
    """force: go back even where a tag was moved since."""

    force: bool = False
    dry_run: bool = False
    receipt: Path | None = None


def find_receipt(session: Session, text: str | None, wish: PlanOptions) -> Receipt:
    """The receipt that is meant: an id, a file, or the last one that changed a tag, here or in the registry.

    Raises UsageError where there is none.
    """
    if text:
        return session.journal.find(text)
    receipts, torn = session.journal.list()
    for path in torn:
        session.progress.warn(f"{path} is not a receipt; it is left alone")
    warn_of_future(session, receipts)
    for receipt in receipts:
        if receipt.command != "undo" and receipt.outcome is not Outcome.UNDONE and _written(receipt):
            return _behind_none(session, receipt, torn)
    named = wish.images or session.settings.images
    if named and (filed := filed_receipt(session, wish)):
        return _behind_none(session, filed, torn)
    raise UsageError(
        "no receipt on this machine changed a tag", hint="name a receipt's file: publish undo receipt.json"
    )


def warn_of_future(session: Session, receipts: Iterable[Receipt]) -> None:
    """Tell of receipts that a wrong clock has stamped."""
    for receipt in filter(is_from_future, receipts):
        session.progress.warn(
            f"the receipt {receipt.id} is of a time that is still to come ({receipt.started}): a clock was wrong; "
            "the order in which receipts were written counts"
        )


def _behind_none(session: Session, receipt: Receipt, torn: Iterable[Path]) -> Receipt:
    """A receipt that is meant only because a later one can't be read is not the last one."""
    later = [path for path in torn if is_id(path.stem) and session.journal.is_later(path.stem, receipt.id)]
    if later:
        raise UsageError(
            f"{later[0]} is torn, so that it is not known what the last run has changed",
            hint=f"to go back from the run before it: publish undo {receipt.id}",
        )
    return receipt


def _written(receipt: Receipt) -> tuple[Change, ...]:
    """The lines of tags that the run has written, or may have: a killed one may have done more than it noted."""
    killed = receipt.finished is None

    def may_be(change: Change) -> bool:
        return change.state.may_be_written or (killed and change.action.writes and change.state is State.NOT_DONE)

    return tuple(filter(may_be, receipt.moves))


def undo(session: Session, receipt: Receipt, wish: PlanOptions, options: UndoOptions) -> Run:
    """Go back to before `receipt`; raises Refused where there is nothing to go back from."""
    if (receipt.sandbox is True) != (session.sandbox is not None):
        raise Refused("the receipt is of a rehearsal, and this is not one" if receipt.sandbox is True else
                      "the receipt is not of a rehearsal, and this is one")  # fmt: skip
    repositories = dict.fromkeys(change.reference.repository for change in _written(receipt))
    session.aim(repositories)
    destinations = [destination_of(session, repository, wish) for repository in repositories]
    parts = [_part(session, destination, receipt, options) for destination in destinations]
    steps = [step for part in parts for step in part.steps]
    left = [step for part in parts for step in part.left]
    changes = [*(step.change for step in steps), *(step.as_it_is for step in left)]
    record = repair_record(session, "undo", changes, options.receipt)
    for step in left:
        session.progress.warn(f"{step.reference} was moved since, and is left alone; --force moves it too")
    if options.dry_run:
        return record.as_planned()
    with lock(session, repositories) as entry:
        is_here = (session.journal.folder / f"{receipt.id}.json").is_file()
        undone = replace(receipt, outcome=Outcome.UNDONE)
        if not changes:
            if is_here:
                entry.write(undone)
            return record.as_planned()
        writer = TagWriter(session, record, entry)
        run = _go_back(session, receipt, writer, parts)
        if run.error is None and is_here:
            writer.follow_up(lambda: entry.write(undone))
        return run


def _go_back(session: Session, receipt: Receipt, writer: TagWriter, parts: list[_RepositoryUndo]) -> Run:
    def work() -> None:
        _carry_out(session, writer, parts)
        # Another run may have come between; what was put back by the versions is held against them once more.
        destinations = [part.destination for part in parts] if _computes(receipt) else []
        left = {step.reference for part in parts for step in part.left}
        own = {change.reference for change in receipt.moves} - left
        settle(session, writer, destinations, wrong_in(session, destinations, own), own)

    return repair(session, writer, [part.destination for part in parts], work)


def _carry_out(session: Session, writer: TagWriter, parts: list[_RepositoryUndo]) -> None:
    """Exact tags get their bytes back, then the floating ones follow, and only then goes what was created."""
    for part in parts:
        written = [step for step in part.steps if step.goal is not None]
        writer.write([step for step in written if step.kind is not Kind.FLOATING])
        floating = [step for step in written if step.kind is Kind.FLOATING]
        for together in in_order(floating, part.destination.ruleset.flavor.latest_name):
            writer.write(together)
        for step in sorted(part.steps, key=lambda step: step.kind is Kind.EXACT):
            if step.goal is None and step not in part.together:
                _take_away(session, writer, step)
        for step in writer.remove_together(part.together) if part.together else ():
            _take_away(session, writer, step)


def _take_away(session: Session, writer: TagWriter, step: Step) -> None:
    """Delete what the run created; an exact tag that can't be deleted alone is yanked, another stays."""
    if tag_reader(step.destination.ruleset).is_marker(step.tag):
        lift(writer, step)
        return
    refusal = writer.remove(step)
    if refusal and step.kind is Kind.EXACT and step.before is not None:
        writer.write([marking(step.destination, step.tag, step.version, step.before)])
        session.progress.warn(f"{step.reference} stays, and its version is yanked: {refusal.message}")
    elif refusal:
        session.progress.warn(f"{step.reference} stays: {refusal.message}")


# What goes back where.


class _RepositoryUndo(Value, frozen=True):
    """What an undo does in one repository. left: tags that others have moved since.

    together: those of the steps that take away what the run itself has sent: the tags of that digest may go at once.
    """

    destination: Destination
    steps: tuple[Step, ...]
    left: tuple[Step, ...]
    together: tuple[Step, ...] = ()


class _Standing(StrEnum):
    """How a tag stands that a run was to write."""

    BACK = "it holds what it is to go back to"
    OURS = "it holds what the run wrote"
    UNTOUCHED = "the run did not come to write it"
    MOVED = "others have moved it since"


def _part(session: Session, destination: Destination, receipt: Receipt, options: UndoOptions) -> _RepositoryUndo:
    """Decide, by what the repository holds now."""
    every = [change for change in receipt.moves if change.reference.repository == destination.repository]
    own = [change for change in _written(receipt) if change in every]
    reversal = _Reversal.of(survey_repository(session, destination), receipt, own)
    steps: list[Step] = []
    left: list[Step] = []
    for change in own:
        step = reversal.step(change)
        match reversal.standing(change, step):
            case _Standing.OURS:
                steps.append(step)
            case _Standing.MOVED:
                (steps if options.force else left).append(step)
            case _Standing.BACK | _Standing.UNTOUCHED:
                pass
    steps += filter(None, (reversal.following(change) for change in every if change not in own))
    return _RepositoryUndo(destination, tuple(steps), tuple(left), _together(receipt, steps))


def _together(receipt: Receipt, steps: Iterable[Step]) -> tuple[Step, ...]:
    """The tags of the manifest that the run sent, and whose bytes its receipt keeps; exact ones go last."""
    image = receipt.image.digest if receipt.image and receipt.image.digest in _manifests(receipt) else None
    removals = [step for step in steps if step.goal is None and step.before is not None and step.before == image]
    return tuple(sorted(removals, key=lambda step: step.kind is Kind.EXACT))


def _manifests(receipt: Receipt) -> dict[Digest, Content]:
    """The manifests that a receipt keeps; one whose bytes are not those of its digest counts for nothing."""
    manifests = () if isinstance(receipt.manifests, msgspec.UnsetType) else receipt.manifests
    parsed = (
        parse_manifest(each.content, each.media_type) for each in manifests if Digest.of(each.content) == each.digest
    )
    return {content.digest: content for content in parsed}


def _computes(receipt: Receipt) -> bool:
    """Whether the floating tags go where the versions say, rather than to what they held."""
    return receipt.command == "release"


class _Reversal(Value, frozen=True):
    """Where the tags of one repository go back to. image: what the run released.

    kept: the manifests that the receipt keeps.
    goals: where floating tags belong once the run is taken back; none where they go to what they held.
    """

    destination: Destination
    state: Published
    goals: Mapping[str, Digest | None]
    image: Digest | None
    kept: Mapping[Digest, Content]

    @classmethod
    def of(cls, surveyed: SurveyedRepository, receipt: Receipt, changes: Sequence[Change]) -> _Reversal:
        goals = _belongings(surveyed, changes) if _computes(receipt) else {}
        image = receipt.image.digest if receipt.image else None
        return cls(surveyed.destination, surveyed.state, goals, image, _manifests(receipt))

    def step(self, change: Change) -> Step:
        """The write that takes one line back."""
        goal = self.goals.get(change.reference.tag) if change.kind is Kind.FLOATING else None
        goal = goal or change.before
        return Step(
            destination=self.destination,
            tag=change.reference.tag,
            kind=change.kind,
            version=change.version,
            before=self._held(change.reference.tag),
            goal=goal,
            content=self.kept.get(goal) if goal else None,
            state=State.RESTORED,
        )

    def standing(self, change: Change, step: Step) -> _Standing:
        """How the tag stands; of a write whose end is unknown, what it would have written counts as written."""
        # A killed run's journal says what a tag was to hold that it was writing.
        is_known = change.state not in {State.UNKNOWN, State.NOT_DONE} or (
            change.state is State.UNKNOWN and change.after is not None
        )
        written = change.after if is_known or self.image is None else self.image
        if step.before == step.goal:
            return _Standing.BACK
        if step.before == written:
            return _Standing.OURS
        return _Standing.UNTOUCHED if change.state is State.NOT_DONE else _Standing.MOVED

    def following(self, change: Change) -> Step | None:
        """The write that takes back a floating tag which came to this version later, as by a yank of a higher one."""
        if self.image is None or change.kind is not Kind.FLOATING or not self.goals.get(change.reference.tag):
            return None
        step = self.step(change)
        return step if step.before == self.image != step.goal else None

    def _held(self, tag: Tag) -> Digest | None:
        """What a tag holds; None where it isn't there or can't be read."""
        if tag in self.state.held:
            return self.state.held[tag]
        try:
            return read_tag(self.destination.remote, tag)
        except PublishError:
            return None


def _belongings(surveyed: SurveyedRepository, changes: Sequence[Change]) -> dict[str, Digest | None]:
    """What each floating tag held, or would have, without the versions that the run created or overwrote."""
    ruleset = surveyed.destination.ruleset
    published = published_versions(ruleset, surveyed.state)
    exact = [change for change in changes if change.kind is Kind.EXACT]
    created = {change.version for change in exact if change.before is None}
    earlier = {change.version: change.before for change in exact}
    owners = desired(ruleset, {version for version in eligible(published) if str(version) not in created})
    return {tag: earlier.get(str(version)) or published[version].digest for tag, version in owners.items()}
