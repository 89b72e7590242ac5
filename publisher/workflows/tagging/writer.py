"""Tags that are written one after another, each read back, with the receipt kept up to date."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from publisher.model.errors import Interrupted, PublishError, Refused, Unreachable, VerificationFailed
from publisher.model.plan import Action, Kind
from publisher.model.receipt import Change, State
from publisher.model.reference import Reference, Tag
from publisher.model.value import Value
from publisher.workflows.record import Run, RunRecord, incomplete, touched
from publisher.workflows.session import READ_DELAYS
from publisher.workflows.tagging.deletion import TagDeletion
from publisher.workflows.tagging.local_copies import warn_of_stale_copies

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Sequence

    from publisher.model.digest import Digest
    from publisher.model.manifest import Content
    from publisher.model.reference import Reference
    from publisher.receipts.journal import JournalEntry
    from publisher.workflows.session import Session


LOOKS: Final = (0.0, 0.0, *READ_DELAYS)
"""Seconds before each look at the floating tags: before the first write, right after it, then after growing pauses."""
ROUNDS: Final = 5
"""After how many of these looks what is wrong is written."""


def read_back(session: Session, reference: Reference, stale: Container[Digest | None]) -> Digest | None:
    """What the tag holds, looked at until that isn't one of `stale`, or the wait is over."""

    def read() -> Digest | None:
        descriptor = session.remote(reference.repository).head(reference.tag or Tag("latest"))
        return descriptor.digest if descriptor else None

    return session.read_until(read, lambda digest: digest not in stale)


class Doubt(NamedTuple):
    """A tag that was to hold `wanted`, None where it was to go, and held `before`."""

    reference: Reference
    wanted: Digest | None
    before: Digest | None


def settle_doubt(
    session: Session,
    doubt: Doubt,
    error: PublishError | Interrupted,
    note: Callable[[Digest | None, State], None],
) -> None:
    """Ask the tag itself, and raise `error` unless it holds what was wanted.

    note: takes what the tag holds and how that stands, before `error` is raised.
    """
    try:
        held = _held(session, doubt, error)
    except (PublishError, Interrupted):
        note(None, State.UNKNOWN)
        raise error from None
    if held != doubt.wanted:
        note(held, State.NOT_DONE)
        raise error


def _held(session: Session, doubt: Doubt, error: PublishError | Interrupted) -> Digest | None:
    """Where no answer came, the write may still be on its way to where reads come from; a refusal is one."""
    if isinstance(error, Unreachable) and doubt.before != doubt.wanted:
        return read_back(session, doubt.reference, (doubt.before,))
    found = session.remote(doubt.reference.repository).head(doubt.reference.tag or Tag("latest"))
    return found.digest if found else None


class Step(Value, frozen=True, kw_only=True):
    """One tag to write: it holds `before`, and is to hold `wanted`, None where it is to be deleted.

    content: what is written, where it isn't in the registry under `wanted` yet.
    """

    reference: Reference
    kind: Kind
    version: str | None
    before: Digest | None
    wanted: Digest | None
    content: Content | None = None
    state: State = State.DONE

    @property
    def left(self) -> Change:
        """The same for a tag that is left as it is."""
        return msgspec.structs.replace(self.change, after=str(self.before) if self.before else None, state=State.KEPT)

    @property
    def change(self) -> Change:
        """The step as a receipt's line, not done yet: `after` is what the tag is to hold."""
        return Change(
            reference=str(self.reference),
            kind=self.kind,
            version=self.version,
            action=Action.CREATE if self.before is None else Action.MOVE,
            before=str(self.before) if self.before else None,
            after=str(self.wanted) if self.wanted else None,
            state=State.NOT_DONE,
        )


class Ledger:
    """What a run has written so far. record: its receipt. entry: its place in the journal."""

    def __init__(self, session: Session, record: RunRecord, entry: JournalEntry) -> None:
        self._session = session
        self._record = record
        self._entry = entry
        self._changes: dict[str, Change] = {change.reference: change for change in record.receipt.moves}
        self._waiting = {change.reference for change in record.receipt.moves if change.state is State.NOT_DONE}
        self._overtaken: dict[Reference, Digest | None] = {}
        record.save(entry, lambda: self.changes)

    @property
    def changes(self) -> tuple[Change, ...]:
        """All lines, in the order in which they were planned."""
        return tuple(self._changes.values())

    def write(self, steps: Sequence[Step]) -> None:
        """Write tags side by side; raises where one can't be written."""
        for step in steps:
            if str(step.reference) not in self._changes:
                self._changes[str(step.reference)] = step.change
                self._waiting.add(str(step.reference))
        self._session.parallel(self._write, steps)

    def leave(self, step: Step) -> None:
        """Note a tag that is left as it is."""
        self._note(step, step.before, State.KEPT)

    def remove(self, step: Step) -> Refused | None:
        """Delete a tag; one that can't be deleted alone is left, and the reason is returned."""
        try:
            self.write([step])
        except Refused as refusal:
            self.leave(step)
            return refusal
        return None

    def _write(self, step: Step) -> None:
        try:
            if not self._do(step):
                return
        except (PublishError, Interrupted) as error:
            doubt = Doubt(step.reference, step.wanted, step.before)
            settle_doubt(self._session, doubt, error, partial(self._note, step))
        self._note(step, step.wanted, step.state)

    def _do(self, step: Step) -> bool:
        """Write or delete; whether the tag is as it was wanted after that."""
        remote, tag = self._session.remote(step.reference.repository), _tag(step.reference)
        if step.wanted is None:
            TagDeletion(self._session, step.reference.repository).delete(tag)
            return True
        content = step.content or remote.get(step.wanted)
        remote.put(content, tag)
        held = read_back(self._session, step.reference, {step.before} - {step.wanted})
        if held == step.wanted:
            return True
        if step.kind is not Kind.FLOATING:
            raise _unseen(step.reference, held)
        # Another run came after us, and it too decides by what is published: the next look tells.
        self._note(step, held, State.NOT_DONE)
        self._overtaken[step.reference] = held
        return False

    def agree(self) -> None:
        """A look has found every floating tag in its place: those that other runs have written since are kept."""
        for reference in tuple(self._overtaken):
            found = self._session.remote(reference.repository).head(_tag(reference))
            change, after = self._changes[str(reference)], str(found.digest) if found else None
            self._changes[str(reference)] = msgspec.structs.replace(change, after=after, state=State.KEPT)
            del self._overtaken[reference]

    def _note(self, step: Step, digest: Digest | None, state: State) -> None:
        known = self._changes.get(str(step.reference), step.change)
        after = str(digest) if digest else None
        self._waiting.discard(str(step.reference))
        self._overtaken.pop(step.reference, None)
        self._changes[str(step.reference)] = msgspec.structs.replace(known, after=after, state=state)
        self._record.save(self._entry, lambda: self.changes)

    def finish(self, work: Callable[[], None]) -> Run:
        """Do the work and end the receipt: an error before the first tag raises, a later one is told in the run."""
        try:
            work()
            if self._overtaken:
                raise _unseen(*next(iter(self._overtaken.items())))
        except (PublishError, Interrupted) as error:
            return self._stopped(error)
        self._end_waiting(State.KEPT)
        run = self._record.finish(self._entry, self.changes)
        warn_of_stale_copies(self._session, run.receipt)
        return run

    def _end_waiting(self, state: State) -> None:
        """Lines that were planned and not come to: where the rest is done, another run has done them."""
        for reference in self._waiting:
            change = self._changes[reference]
            after = change.before if state is State.NOT_DONE else change.after
            self._changes[reference] = msgspec.structs.replace(change, after=after, state=state)
        self._waiting.clear()

    def _stopped(self, error: PublishError | Interrupted) -> Run:
        self._end_waiting(State.NOT_DONE)
        if isinstance(error, Interrupted):
            self._record.finish(self._entry, self.changes, error.as_error())
            raise error
        if not touched(self.changes):
            self._record.finish(self._entry, self.changes, error)
            raise error
        return self._record.finish(self._entry, self.changes, incomplete(error, self.changes))


def _unseen(reference: Reference, held: Digest | None) -> VerificationFailed:
    return VerificationFailed(f"{reference} holds {held or 'nothing'} after it was written", reference=reference)


def in_order(steps: Iterable[Step], last: str) -> tuple[list[Step], list[Step]]:
    """The steps that go together, and those of `latest`, which go last."""
    found = list(steps)
    return [one for one in found if one.reference.tag != last], [one for one in found if one.reference.tag == last]


def _tag(reference: Reference) -> Tag:
    return reference.tag or Tag("latest")
