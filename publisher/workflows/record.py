"""The record of a run: its receipt, kept on disk from before the first tag on."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
from msgspec.structs import replace

from publisher import __version__
from publisher.model.errors import Incomplete, PublishError, Refused, Stopped
from publisher.model.manifest import Content, Manifest
from publisher.model.plan import Action, Kind
from publisher.model.receipt import Change, KeptManifest, Outcome, Receipt, ReleasedImage, State, Verification
from publisher.model.value import Value
from publisher.receipts.journal import ReceiptCopy, new_id, save
from publisher.report.failure import document, understand

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from publisher.model.attestation import Signatures
    from publisher.model.digest import Digest
    from publisher.model.plan import Move, Plan
    from publisher.model.reference import TagReference
    from publisher.receipts.journal import JournalEntry
    from publisher.workflows.session import Session


_MOST_SEARCHED: Final = 100
"""How many receipts back an earlier run is looked for."""
_STATES: Final = {Action.KEEP: State.KEPT, Action.UNCHANGED: State.UNCHANGED}


def planned_changes(plan: Plan) -> tuple[Change, ...]:
    """A plan's lines in a receipt, before anything is written."""
    return tuple(map(_planned, plan.moves))


def _planned(move: Move) -> Change:
    return Change(
        reference=move.reference,
        kind=move.kind,
        version=move.version,
        action=move.action,
        before=move.before,
        after=move.before,
        state=_STATES.get(move.action, State.NOT_DONE),
    )


def earlier_run(session: Session, plan: Plan, digest: Digest) -> Mapping[TagReference, Change]:
    """What the newest run of the same release was to write, if it did not come to its end on this machine."""
    # Only what is in place already can have been put there by an earlier run.
    if all(move.action is not Action.UNCHANGED for move in plan.moves):
        return {}
    for receipt in islice(session.journal.newest(), _MOST_SEARCHED):
        if _is_same(receipt, plan, digest):
            writes = {change.reference: change for change in receipt.moves if change.action.writes}
            return writes if receipt.outcome is Outcome.INCOMPLETE else {}
    return {}


def _is_same(receipt: Receipt, plan: Plan, digest: Digest) -> bool:
    if receipt.command != "release" or receipt.plan is None or receipt.image is None:
        return False
    return (receipt.plan.release, receipt.plan.images, receipt.image.digest) == (plan.release, plan.images, digest)


_MOST_READ: Final = 1_000
"""How many receipts back."""


class RecordedTag(NamedTuple):
    """What a receipt says that a tag holds: a digest, None where the run has deleted it."""

    digest: Digest | None
    receipt: str


def recorded_tags(session: Session) -> Mapping[TagReference, RecordedTag]:
    """The last word about each exact tag."""
    recorded: dict[TagReference, RecordedTag] = {}
    for receipt in islice(session.journal.newest(), _MOST_READ):
        if (receipt.sandbox is True) != (session.sandbox is not None):
            continue
        for change in receipt.moves:
            if change.kind is Kind.EXACT and change.state.is_known:
                recorded.setdefault(change.reference, RecordedTag(change.after, receipt.id))
    return recorded


def now() -> str:
    """RFC 3339 in UTC, whole seconds."""
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"


class Run(Value, frozen=True):
    """How a run ended: its record, and the error that it ends with, if any.

    intended: what the tags that it did not write would hold; a dry run's whole meaning.
    """

    receipt: Receipt
    error: PublishError | None = None
    intended: Mapping[TagReference, Digest | None] = msgspec.field(default_factory=dict)


class RunStart(Value, frozen=True, kw_only=True):
    """What a run has found out before its first tag. `size` is the sum of the content's blobs in bytes.

    content: None for a run that brings none of its own. config: of an image that is for one platform.
    manifests: what the receipt keeps the bytes of.
    """

    command: str
    started: str
    content: Content | None = None
    config: Digest | None = None
    platforms: tuple[str, ...] = ()
    size: int = 0
    verification: Verification | None = None
    plan: Plan | None = None
    via: str | None = None
    adopted: bool = False
    signatures: Signatures = msgspec.UNSET
    manifests: tuple[Content, ...] = ()


def _kept(content: Content) -> KeptManifest:
    return KeptManifest(digest=content.digest, media_type=content.media_type, content=content.content)


def _image(content: Content, start: RunStart) -> ReleasedImage:
    return ReleasedImage(
        digest=content.digest,
        config=start.config or (content.config.digest if isinstance(content, Manifest) else None),
        platforms=start.platforms,
        size=start.size,
    )


class RunRecord:
    """A receipt while its run goes on, with a line for each tag, in the order in which they were planned.

    file: `--receipt`. earlier: what a run of the same release was to write that did not come to its end.
    intended: as in Run.
    """

    intended: Mapping[TagReference, Digest | None] = MappingProxyType({})
    run: Run | None = None
    """How it ended, once it has."""

    def __init__(
        self,
        session: Session,
        start: RunStart,
        changes: Iterable[Change],
        file: Path | None,
        earlier: Mapping[TagReference, Change] = MappingProxyType({}),
    ) -> None:
        self._session = session
        self._file = file
        self._earlier = earlier
        self._entry: JournalEntry | None = None
        self._copy: ReceiptCopy | None = None
        self._turn = threading.Lock()
        self._noted = self._saved = 0
        self._is_lost = False
        self._lines = {change.reference: change for change in changes}
        self._waiting = {change.reference for change in self._lines.values() if change.state is State.NOT_DONE}
        self._under_way: dict[TagReference, Digest | None] = {}
        content = start.content
        self.receipt = Receipt(
            id=new_id(),
            command=start.command,
            tool=f"publish {__version__}",
            started=start.started,
            finished=None,
            outcome=Outcome.INCOMPLETE,
            error=None,
            via=start.via,
            adopted=start.adopted,
            plan=start.plan,
            image=_image(content, start) if content else None,
            verification=start.verification,
            moves=self.changes,
            manifests=tuple(map(_kept, start.manifests)) or msgspec.UNSET,
            sandbox=True if session.sandbox else msgspec.UNSET,
            signatures=start.signatures,
        )

    # Where the tags are.

    @property
    def changes(self) -> tuple[Change, ...]:
        """The lines as things stand."""
        return tuple(map(self._standing, self._lines.values()))

    def _standing(self, line: Change) -> Change:
        """A line as it is told: a tag that is being written is unknown, `after` what it is to hold."""
        if line.reference in self._under_way:
            return replace(line, after=self._under_way[line.reference], state=State.UNKNOWN)
        return self._resumed(line)

    def _resumed(self, line: Change) -> Change:
        """A tag that an earlier run of this release moved: what it held before that, so that undo goes all the way."""
        earlier = self._earlier.get(line.reference)
        if earlier is None or line.state is not State.UNCHANGED or earlier.before == line.after:
            return line
        return replace(line, action=earlier.action, before=earlier.before, state=State.DONE)

    @property
    def is_under_way(self) -> bool:
        """Whether any tag holds what was written, or may: from here on there is no way back."""
        return touched(self._lines.values())

    def line(self, reference: TagReference) -> Change:
        """A tag's line."""
        return self._lines[reference]

    def add(self, change: Change) -> None:
        """Another line, where the tag has none yet."""
        if change.reference not in self._lines:
            self._lines[change.reference] = change
            self._waiting.add(change.reference)

    def note(self, reference: TagReference, digest: Digest | None, state: State) -> None:
        """A tag is known to hold `digest`."""
        self._waiting.discard(reference)
        self._under_way.pop(reference, None)
        self._lines[reference] = replace(self._lines[reference], after=digest, state=state)
        self._noted += 1

    @contextmanager
    def writing(self, goals: Mapping[TagReference, Digest | None]) -> Iterator[None]:
        """Tags that the block writes, and what they are to hold: on disk they are unknown before the first request.

        At its end those that were not noted have not been begun.
        """
        self._under_way.update(goals)
        self._noted += 1
        try:
            self.save()
            yield
        finally:
            for reference in goals:
                self._under_way.pop(reference, None)

    def _end_waiting(self, state: State) -> None:
        """Lines that were planned and not come to: where the rest is done, another run has done them."""
        for reference in self._waiting:
            line = self._lines[reference]
            after = line.before if state is State.NOT_DONE else line.after
            self._lines[reference] = replace(line, after=after, state=state)
        self._waiting.clear()

    # On disk.

    def begin(self, entry: JournalEntry) -> None:
        """Keep the receipt in the journal, from before the first tag on, and room for it there and in `--receipt`."""
        self._entry = entry
        self.save()
        try:
            if self._file:
                self._copy = ReceiptCopy(self._file)
                self._copy.write(self.receipt, last=False)
        except PublishError as error:
            self._file = None
            self._finish(error)
            raise
        self._session.records.append(self)

    def save(self) -> None:
        """Around each tag; in turn, so that no thread writes what is older.

        What another thread has written meanwhile holds what this one has noted: a disk takes its time for each write.
        """
        noted = self._noted
        with self._turn:
            if self._noted and self._saved >= noted:
                return
            noted = self._noted
            self.receipt = replace(self.receipt, moves=self.changes)
            self._write()
            self._saved = noted

    def _write(self) -> None:
        """Before the first tag what can't be kept is an error; after it the run goes on, and tells from memory."""
        try:
            if self._entry:
                self._entry.write(self.receipt)
        except PublishError as error:
            if not self.is_under_way:
                raise
            if not self._is_lost:
                self._is_lost = True
                self._session.progress.warn(f"{error.message}: what is printed at the end tells where each tag is")

    def end(self, error: BaseException | None = None) -> Run:
        """The end of the run; `error` is what it ends with.

        Before the first tag the error is the run's own, and raised; after it the run is incomplete, or stopped by a
        signal. Without a place in the journal nothing was to be done, and the journal stays as it is.
        """
        self._end_waiting(State.KEPT if error is None else State.NOT_DONE)
        if error is None:
            return self._finish(None)
        failure = understand(error)
        if not self.is_under_way:
            self._finish(failure)
            raise error
        return self._finish(unfinished(failure, self.changes))

    def break_off(self, error: BaseException) -> Run:
        """The end of a run that changed tags, by an error that came after its work, or where nobody awaited it."""
        if self.run is None:
            return self.end(error)
        if self.run.error is not None and not isinstance(understand(error), Stopped):
            return self.run
        return self._finish(unfinished(understand(error), self.changes))

    def as_planned(self) -> Run:
        """The end of a run that had nothing to do, or was to do nothing."""
        return self._finish(None)

    def _finish(self, error: PublishError | None) -> Run:
        """The record as it stays; room for it was taken before the first tag."""
        outcome = Outcome.DONE if error is None else Outcome.INCOMPLETE if touched(self.changes) else Outcome.FAILED
        failure = None if error is None else document(error, self._session.redact)
        self.receipt = replace(self.receipt, finished=now(), outcome=outcome, error=failure, moves=self.changes)
        self.run = run = Run(self.receipt, error, self.intended)
        with self._turn:
            self._write()
        self._write_copy()
        return run

    def _write_copy(self) -> None:
        """What `--receipt` names; a run that had nothing to write takes its room here."""
        if self._file is None:
            return
        try:
            if self._copy:
                self._copy.write(self.receipt)
            else:
                save(self.receipt, self._file)
        except PublishError as error:
            if not self.is_under_way:
                raise
            self._session.progress.warn(error.message)


def touched(changes: Iterable[Change]) -> bool:
    """Whether any tag was written, or may have been."""
    return any(change.state.may_be_written for change in changes)


def unfinished(error: PublishError, changes: Iterable[Change]) -> PublishError:
    """The error of a run that stopped on its way, in words that fit where its tags are; a signal keeps its own code."""
    states = [change.state for change in changes]
    if State.DONE not in states and State.RESTORED not in states:
        what = "it is not known whether a tag was moved"
    elif {State.NOT_DONE, State.UNKNOWN} & set(states):
        what = "some tags were moved and not all"
    else:
        what = "all tags were moved, and the last look at them failed"
    again = "run the same command again: it finishes what is left"
    if isinstance(error, Stopped):
        return Stopped(error.signal, f"{error.message}, and {what}", reference=error.reference, hint=again)
    hint = "the same command would be refused too: 'publish undo' goes back" if isinstance(error, Refused) else again
    return Incomplete(f"{what}: {error.message}", reference=error.reference, hint=hint)
