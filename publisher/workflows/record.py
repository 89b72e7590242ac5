"""The record of a run: its receipt, kept on disk from before the first tag on."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from itertools import islice
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from publisher import __version__
from publisher.model.errors import Incomplete, PublishError, Refused
from publisher.model.manifest import Content, Manifest
from publisher.model.plan import Action, Kind
from publisher.model.receipt import Change, Outcome, Receipt, ReleasedImage, State, Verification
from publisher.model.value import Value
from publisher.receipts.journal import new_id, save
from publisher.report.failure import document

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from publisher.model.attestation import Signatures
    from publisher.model.digest import Digest
    from publisher.model.plan import Move, Plan
    from publisher.receipts.journal import JournalEntry
    from publisher.workflows.session import Session
    from publisher.workflows.tagging.promotion import Progress


_LOOKED_AT: Final = 100
"""How many receipts back an earlier run is looked for."""
_STATES: Final = {Action.KEEP: State.KEPT, Action.UNCHANGED: State.UNCHANGED}


class Changes:
    """The lines of one release's receipt."""

    def __init__(self, session: Session, plan: Plan, digest: Digest) -> None:
        self._plan = plan
        # Only what is in place already can have been put there by an earlier run.
        resumes = any(move.action is Action.UNCHANGED for move in plan.moves)
        self._earlier = _earlier(session, plan, str(digest)) if resumes else {}

    def at(self, progress: Progress | None) -> tuple[Change, ...]:
        """As things stand."""
        return tuple(self._line(move, progress) for move in self._plan.moves)

    def _line(self, move: Move, progress: Progress | None) -> Change:
        state = progress.states.get(move.reference) if progress else None
        after = progress.after.get(move.reference) if progress else None
        line = Change(
            reference=move.reference,
            kind=move.kind,
            version=move.version,
            action=move.action,
            before=move.before,
            after=str(after) if after else (None if progress else move.before),
            state=state or _STATES.get(move.action, State.NOT_DONE),
        )
        return self._resumed(line)

    def _resumed(self, line: Change) -> Change:
        """A tag that an earlier run of this release moved: what it held before that, so that undo goes all the way."""
        earlier = self._earlier.get(line.reference)
        if earlier is None or line.state is not State.UNCHANGED or earlier.before == line.after:
            return line
        return Change(
            reference=line.reference,
            kind=line.kind,
            version=line.version,
            action=earlier.action,
            before=earlier.before,
            after=line.after,
            state=State.DONE,
        )


def _earlier(session: Session, plan: Plan, digest: str) -> Mapping[str, Change]:
    """What the newest run of the same release was to write, if it did not come to its end on this machine."""
    for receipt in islice(session.journal.newest(), _LOOKED_AT):
        if _is_same(receipt, plan, digest):
            writes = {change.reference: change for change in receipt.moves if change.action.writes}
            return writes if receipt.outcome is Outcome.INCOMPLETE else {}
    return {}


def _is_same(receipt: Receipt, plan: Plan, digest: str) -> bool:
    if receipt.command != "release" or receipt.plan is None or receipt.image is None:
        return False
    return (receipt.plan.release, receipt.plan.images, receipt.image.digest) == (plan.release, plan.images, digest)


_RECEIPTS_READ: Final = 1_000
"""How many receipts back."""
_KNOWN: Final = frozenset({State.DONE, State.UNCHANGED, State.RESTORED})


class Recorded(NamedTuple):
    """What a receipt says that a tag holds: a digest, None where the run has deleted it."""

    digest: str | None
    receipt: str


def recorded_tags(session: Session) -> Mapping[str, Recorded]:
    """The last word about each exact tag, by its reference."""
    found: dict[str, Recorded] = {}
    for receipt in islice(session.journal.newest(), _RECEIPTS_READ):
        if (receipt.sandbox is True) != (session.sandbox is not None):
            continue
        for change in receipt.moves:
            if change.kind is Kind.EXACT and change.state in _KNOWN:
                found.setdefault(change.reference, Recorded(change.after, receipt.id))
    return found


def now() -> str:
    """RFC 3339 in UTC, whole seconds."""
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"


class Run(Value, frozen=True):
    """How a run ended: its record, and the error that it ends with, if any.

    intended: what the tags that it did not write would hold, by reference; a dry run's whole meaning.
    """

    receipt: Receipt
    error: PublishError | None = None
    intended: Mapping[str, Digest | None] = msgspec.field(default_factory=dict)


class Begun(Value, frozen=True, kw_only=True):
    """What a run has found out before its first tag. `size` is the sum of the content's blobs in bytes.

    content: None for a run that brings none of its own.
    """

    command: str
    started: str
    content: Content | None = None
    platforms: tuple[str, ...] = ()
    size: int = 0
    verification: Verification | None = None
    plan: Plan | None = None
    via: str | None = None
    adopted: bool = False
    signatures: Signatures = msgspec.UNSET


def _image(content: Content, begun: Begun) -> ReleasedImage:
    return ReleasedImage(
        digest=str(content.digest),
        config=str(content.config.digest) if isinstance(content, Manifest) else None,
        platforms=begun.platforms,
        size=begun.size,
    )


class RunRecord:
    """A receipt while its run goes on. entry: its place in the journal. file: `--receipt`. intended: as in Run."""

    intended: Mapping[str, Digest | None] = MappingProxyType({})

    def __init__(self, session: Session, begun: Begun, changes: Iterable[Change], file: Path | None) -> None:
        self._file = file
        self._turn = threading.Lock()
        self._redact = session.redact
        content = begun.content
        self.receipt = Receipt(
            id=new_id(),
            command=begun.command,
            tool=f"publish {__version__}",
            started=begun.started,
            finished=None,
            outcome=Outcome.INCOMPLETE,
            error=None,
            via=begun.via,
            adopted=begun.adopted,
            plan=begun.plan,
            image=_image(content, begun) if content else None,
            verification=begun.verification,
            moves=tuple(changes),
            sandbox=True if session.sandbox else msgspec.UNSET,
            signatures=begun.signatures,
        )

    def save(self, entry: JournalEntry, changes: Callable[[], Iterable[Change]]) -> None:
        """Before the first tag, and after each; `changes` is asked in turn, so that no thread writes what is older."""
        with self._turn:
            self.receipt = msgspec.structs.replace(self.receipt, moves=tuple(changes()))
            entry.write(self.receipt)

    def finish(self, entry: JournalEntry | None, changes: Iterable[Change], error: PublishError | None = None) -> Run:
        """The end; `error` is what it ends with. Without an entry nothing was to be done, and the journal stays."""
        moves = tuple(changes)
        outcome = Outcome.DONE if error is None else Outcome.INCOMPLETE if touched(moves) else Outcome.FAILED
        told = None if error is None else document(error, self._redact)
        self.receipt = msgspec.structs.replace(self.receipt, finished=now(), outcome=outcome, error=told, moves=moves)
        if entry:
            entry.write(self.receipt)
        if self._file:
            save(self.receipt, self._file)
        return Run(self.receipt, error, self.intended)


def touched(changes: Iterable[Change]) -> bool:
    """Whether any tag was written, or may have been."""
    return any(change.state.may_be_written for change in changes)


def incomplete(error: PublishError, changes: Iterable[Change]) -> Incomplete:
    """The error of a run that stopped on its way, in words that fit where its tags are."""
    states = [change.state for change in changes]
    if State.DONE not in states:
        what = "it is not known whether a tag was moved"
    elif {State.NOT_DONE, State.UNKNOWN} & set(states):
        what = "some tags were moved and not all"
    else:
        what = "all tags were moved, and the last look at them failed"
    again = "run the same command again: it finishes what is left"
    hint = "the same command would be refused too: 'publish undo' goes back" if isinstance(error, Refused) else again
    return Incomplete(f"{what}: {error.message}", reference=error.reference, hint=hint)
