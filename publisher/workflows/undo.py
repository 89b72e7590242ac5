"""Go back to before a run: by its receipt, leaving alone what others have moved since."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from publisher.model.digest import Digest
from publisher.model.errors import PublishError, Refused, UsageError
from publisher.model.plan import Kind
from publisher.model.receipt import Outcome, State
from publisher.model.reference import Reference, Tag
from publisher.model.value import Value
from publisher.planning.lines import desired, eligible, published_versions
from publisher.planning.tag_reader import tag_reader
from publisher.receipts.journal import is_id
from publisher.workflows.content.receipt_artifact import filed_receipt
from publisher.workflows.reconcile import lock, repair_record, settle, wrong_in
from publisher.workflows.status import RepositoryRules, place_of, survey_repository
from publisher.workflows.tagging.markers import lift, marking
from publisher.workflows.tagging.writer import Ledger, Step, in_order

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from publisher.model.receipt import Change, Receipt
    from publisher.planning.lines import Published
    from publisher.receipts.journal import JournalEntry
    from publisher.workflows.jobs import PlanOptions
    from publisher.workflows.record import Run, RunRecord
    from publisher.workflows.session import Session


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
    for receipt in receipts:
        if receipt.command != "undo" and receipt.outcome is not Outcome.UNDONE and _written(receipt):
            return _behind_none(receipt, torn)
    named = wish.images or session.settings.images
    if named and (filed := filed_receipt(session, wish)):
        return _behind_none(filed, torn)
    raise UsageError(
        "no receipt on this machine changed a tag", hint="name a receipt's file: publish undo receipt.json"
    )


def _behind_none(receipt: Receipt, torn: Iterable[Path]) -> Receipt:
    """A receipt that is meant only because a later one can't be read is not the last one."""
    later = [path for path in torn if is_id(path.stem) and path.stem > receipt.id]
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
    changes = _written(receipt)
    repositories = dict.fromkeys(Reference.parse(change.reference).repository for change in changes)
    session.aim(repositories)
    parts = [_Part.of(session, place_of(session, one, wish), receipt, changes, options) for one in repositories]
    steps = [step for part in parts for step in part.steps]
    left = [step for part in parts for step in part.left]
    changes_now = [*(step.change for step in steps), *(step.left for step in left)]
    record = repair_record(session, "undo", changes_now, options.receipt)
    for step in left:
        session.progress.warn(f"{step.reference} was moved since, and is left alone; --force moves it too")
    if options.dry_run:
        return record.finish(None, record.receipt.moves)
    with lock(session, repositories) as entry:
        run = _go_back(session, receipt, record, entry, parts) if steps or left else record.finish(None, ())
        if run.error is None and (session.journal.folder / f"{receipt.id}.json").is_file():
            entry.write(msgspec.structs.replace(receipt, outcome=Outcome.UNDONE))
        return run


def _go_back(session: Session, receipt: Receipt, record: RunRecord, entry: JournalEntry, parts: list[_Part]) -> Run:
    ledger = Ledger(session, record, entry)

    def work() -> None:
        _carry_out(session, ledger, parts)
        # Another run may have come between; what was put back by the versions is held against them once more.
        where = [part.place for part in parts if part.computes]
        left = {step.reference for part in parts for step in part.left}
        own = {Reference.parse(change.reference) for change in receipt.moves} - left
        settle(session, ledger, where, wrong_in(session, where, own), own)

    return ledger.finish(work)


def _carry_out(session: Session, ledger: Ledger, parts: list[_Part]) -> None:
    """Exact tags get their bytes back, then the floating ones follow, and only then goes what was created."""
    for part in parts:
        ledger.write([step for step in part.steps if step.kind is not Kind.FLOATING and step.wanted is not None])
        for together in in_order(part.floating, part.place.ruleset.flavor.latest_name):
            ledger.write([step for step in together if step.wanted is not None])
        for step in sorted(part.steps, key=lambda step: step.kind is Kind.EXACT):
            if step.wanted is None:
                _take_away(session, ledger, part.place, step)


def _take_away(session: Session, ledger: Ledger, place: RepositoryRules, step: Step) -> None:
    """Delete what the run created; an exact tag that can't be deleted alone is yanked, another stays."""
    if tag_reader(place.ruleset).is_marker(str(step.reference.tag)):
        lift(session, ledger, step)
        return
    refusal = ledger.remove(step)
    if refusal and step.kind is Kind.EXACT and step.before is not None:
        tag = str(step.reference.tag)
        ledger.write([marking(session, step.reference.repository, tag, step.version, step.before)])
        session.progress.warn(f"{step.reference} stays, and its version is yanked: {refusal.message}")
    elif refusal:
        session.progress.warn(f"{step.reference} stays: {refusal.message}")


class _Part(Value, frozen=True):
    """What an undo does in one repository. left: tags that others have moved since.

    computes: whether the floating tags go where the versions say, rather than to what they held.
    """

    place: RepositoryRules
    steps: tuple[Step, ...]
    left: tuple[Step, ...]
    computes: bool

    @property
    def floating(self) -> tuple[Step, ...]:
        return tuple(step for step in self.steps if step.kind is Kind.FLOATING)

    @classmethod
    def of(
        cls,
        session: Session,
        place: RepositoryRules,
        receipt: Receipt,
        changes: tuple[Change, ...],
        options: UndoOptions,
    ) -> _Part:
        """Decide, by what the repository holds now."""
        own = _in(place, changes)
        state = survey_repository(session, place).state
        back = _Back(session, place, state, own, receipt)
        steps: list[Step] = []
        left: list[Step] = []
        for change in own:
            step = back.step(change)
            if step.before == step.wanted:
                continue
            mine = back.is_mine(change, step.before)
            if mine or change.state is not State.NOT_DONE:
                (steps if mine or options.force else left).append(step)
        steps += filter(None, (back.followed(change) for change in _in(place, receipt.moves) if change not in own))
        return cls(place, tuple(steps), tuple(left), back.computes)


def _in(place: RepositoryRules, changes: Iterable[Change]) -> list[Change]:
    return [change for change in changes if Reference.parse(change.reference).repository == place.repository]


def _is_new(change: Change) -> bool:
    return change.kind is Kind.EXACT and change.before is None


class _Back:
    """Where the tags of one repository go back to."""

    def __init__(
        self, session: Session, place: RepositoryRules, state: Published, changes: Sequence[Change], receipt: Receipt
    ) -> None:
        self._remote = session.remote(place.repository)
        self._state = state
        self._image = receipt.image.digest if receipt.image else None
        published = published_versions(place.ruleset, state)
        gone = {change.version for change in changes if _is_new(change)}
        kept = {one for one in eligible(published) if str(one) not in gone}
        exact = {change.version: change.before for change in changes if change.kind is Kind.EXACT}
        self._belongs = {
            tag: Digest.parse(earlier) if (earlier := exact.get(str(owner))) else published[owner].digest
            for tag, owner in desired(place.ruleset, kept).items()
        }
        self.computes = receipt.command == "release"

    def step(self, change: Change) -> Step:
        """The write that takes one line back."""
        reference = Reference.parse(change.reference)
        before = Digest.parse(change.before) if change.before else None
        wanted = self._belongs.get(str(reference.tag)) if self.computes and change.kind is Kind.FLOATING else None
        return Step(
            reference=reference,
            kind=change.kind,
            version=change.version,
            before=self._held(reference),
            wanted=wanted or before,
            state=State.RESTORED,
        )

    def followed(self, change: Change) -> Step | None:
        """The write that takes back a floating tag which came to this version later, as by a yank of a higher one."""
        if not self.computes or change.kind is not Kind.FLOATING or self._image is None:
            return None
        step = self.step(change)
        belongs = self._belongs.get(str(step.reference.tag))
        return step if str(step.before) == self._image and belongs not in {None, step.before} else None

    def _held(self, reference: Reference) -> Digest | None:
        if str(reference.tag) in self._state.held:
            return self._state.held[str(reference.tag)]
        try:
            found = self._remote.head(reference.tag or Tag("latest"))
        except PublishError:
            return None
        return found.digest if found else None

    def is_mine(self, change: Change, held: Digest | None) -> bool:
        """Whether the tag still holds what the run wrote; of a write whose end is unknown, what it would have."""
        is_known = change.state not in {State.UNKNOWN, State.NOT_DONE}
        wrote = change.after if is_known or self._image is None else self._image
        return (str(held) if held else None) == wrote
