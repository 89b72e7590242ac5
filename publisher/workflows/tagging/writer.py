"""The writer of tags: each is written, looked at again and noted in the run's record, and nothing else writes any."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from publisher.model.errors import Interrupted, PublishError, Refused, TimeUp, Unreachable, VerificationFailed
from publisher.model.plan import Action, Kind
from publisher.model.receipt import Change, State
from publisher.model.value import Value
from publisher.report.failure import understand
from publisher.threads import deferred_signals
from publisher.workflows.session import READ_DELAYS
from publisher.workflows.tagging.deletion import TagDeletion
from publisher.workflows.tagging.survey import read_tag

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Sequence

    from publisher.model.digest import Digest
    from publisher.model.manifest import Content
    from publisher.model.reference import Tag, TagReference
    from publisher.receipts.journal import JournalEntry
    from publisher.registry.repository import RemoteRepository
    from publisher.workflows.destination import Destination
    from publisher.workflows.record import Run, RunRecord
    from publisher.workflows.session import Session


LOOKS: Final = (0.0, 0.0, *READ_DELAYS)
"""Seconds before each look at the floating tags: before the first write, right after it, and then with patience."""
ROUNDS: Final = 5
"""After how many of these looks what is wrong is written."""


class Step(Value, frozen=True, kw_only=True):
    """One tag to write: it holds `before`, and is to hold `goal`, None where it is to be deleted.

    content: what is written, where it isn't in the registry under `goal` yet.
    together: tags that go with it, where the registry deletes by digest only.
    state: how the tag is noted once it is written.
    """

    destination: Destination
    tag: Tag
    kind: Kind
    version: str | None
    before: Digest | None
    goal: Digest | None
    content: Content | None = None
    together: frozenset[str] = frozenset()
    state: State = State.DONE

    @property
    def reference(self) -> TagReference:
        """The tag in full."""
        return self.destination.repository.tag(self.tag)

    @property
    def change(self) -> Change:
        """The step as a receipt's line, not done yet: `after` is what the tag is to hold."""
        return Change(
            reference=self.reference,
            kind=self.kind,
            version=self.version,
            action=Action.CREATE if self.before is None else Action.MOVE,
            before=self.before,
            after=self.goal,
            state=State.NOT_DONE,
        )

    @property
    def as_it_is(self) -> Change:
        """The same for a tag that is left alone."""
        return replace(self.change, after=self.before, state=State.KEPT)


class TagWriter:
    """Writes a run's tags. record: what is noted of them. entry: the run's place in the journal.

    replaced: what each tag that was written held before.
    """

    def __init__(self, session: Session, record: RunRecord, entry: JournalEntry) -> None:
        self._session = session
        self.record = record
        self.replaced: dict[TagReference, Digest | None] = {}
        self._overtaken: dict[TagReference, Step] = {}
        record.begin(entry)

    def write(self, steps: Sequence[Step]) -> None:
        """Write tags side by side, and read each back; raises where one can't be written."""
        for step in steps:
            self.record.add(step.change)
        self._each(self._write, steps)

    def place(self, steps: Sequence[Step]) -> None:
        """Write tags side by side whose place is looked at later."""
        self._each(self._place, steps)

    def _each(self, work: Callable[[Step], None], steps: Sequence[Step]) -> None:
        if not steps:
            return
        with self.record.writing({step.reference: step.goal for step in steps}):
            self._session.parallel(work, steps)

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

    def remove_together(self, steps: Sequence[Step]) -> list[Step]:
        """Delete all the tags of one digest; those are left, and returned, that can't go even so."""
        together = frozenset(str(step.tag) for step in steps)
        rest: list[Step] = []
        with self.record.writing({step.reference: None for step in steps}):
            for step in steps:
                try:
                    self._write(replace(step, together=together))
                except Refused:
                    self.leave(step)
                    rest.append(step)
        return rest

    def read_back(self, remote: RemoteRepository, tag: Tag, stale: Container[Digest | None]) -> Digest | None:
        """What a tag holds, looked at until that isn't one of `stale`, or the wait is over."""
        return self._session.read_until(lambda: read_tag(remote, tag), lambda digest: digest not in stale)

    def agree(self) -> None:
        """A look has found every floating tag in its place: those that other runs have written since are kept."""
        for reference, step in tuple(self._overtaken.items()):
            self.record.note(reference, read_tag(step.destination.remote, step.tag), State.KEPT)
            del self._overtaken[reference]

    def finish(self, work: Callable[[], None]) -> Run:
        """Do the work and end the record: an error before the first tag raises, a later one is told in the run.

        Whatever it is: once a tag was written even a mistake of ours is told with the tags.
        """
        try:
            work()
            self._check_overtaken()
        except Interrupted as interrupt:
            self._session.stop(interrupt)
            return self._end(interrupt)
        except Exception as error:  # noqa: BLE001 - it is raised, or told with the tags
            return self._end(error)
        except KeyboardInterrupt as interrupt:  # a program that uses the library handles its own signals
            self._end(interrupt)
            raise
        return self._end()

    def _check_overtaken(self) -> None:
        for reference in self._overtaken:
            raise _unseen(reference, self.record.line(reference).after)

    def _end(self, error: BaseException | None = None) -> Run:
        """A second signal waits for the receipt."""
        with deferred_signals():
            return self.record.end(error)

    def follow_up(self, work: Callable[[], object]) -> None:
        """What comes after the last tag: that it couldn't be done is a warning, and no failure of the run."""
        try:
            work()
        except Exception as error:  # noqa: BLE001 - the tags are where they belong, whatever this is
            self._session.progress.warn(f"every tag is done, but for what comes after: {understand(error).message}")

    # One tag.

    def _write(self, step: Step) -> None:
        with self._resolving(step):
            if step.goal is None:
                TagDeletion(self._session, step.destination, step.together).delete(step.tag)
            else:
                self._put(step, self._content(step))
                digest = self.read_back(step.destination.remote, step.tag, {step.before} - {step.goal})
                if digest != step.goal and step.kind is Kind.FLOATING:
                    return self._overtake(step, digest)
                if digest != step.goal:
                    raise _unseen(step.reference, digest)
        return self._note(step, step.goal, step.state)

    def _place(self, step: Step) -> None:
        content = self._content(step)
        with self._resolving(step):
            self._put(step, content)
        self.replaced[step.reference] = step.before
        self._note(step, step.goal, step.state)

    def _content(self, step: Step) -> Content:
        assert step.goal is not None  # noqa: S101 - what is to be deleted is not written
        return step.content or step.destination.remote.get(step.goal)

    def _put(self, step: Step, content: Content) -> None:
        step.destination.remote.put(content, step.tag)

    def _overtake(self, step: Step, digest: Digest | None) -> None:
        """Another run came after us, and it too decides by what is published: the next look tells."""
        self._note(step, digest, State.NOT_DONE)
        self._overtaken[step.reference] = step

    @contextmanager
    def _resolving(self, step: Step) -> Iterator[None]:
        """After a failed write the tag itself is asked: the error is raised unless it holds what was to be written."""
        try:
            yield
        except (PublishError, Interrupted) as error:
            try:
                digest = self._after_failure(step, error)
            except (PublishError, Interrupted):
                self._note(step, None, State.UNKNOWN)
                raise error from None
            if digest != step.goal:
                # A request that was cut at the end of the time may still be on its way.
                is_cut = isinstance(error.as_error() if isinstance(error, Interrupted) else error, TimeUp)
                self._note(step, *((None, State.UNKNOWN) if is_cut else (digest, State.NOT_DONE)))
                raise

    def _after_failure(self, step: Step, error: PublishError | Interrupted) -> Digest | None:
        """Where no answer came, the write may still be on its way to where reads come from; a refusal is one."""
        if isinstance(error, Unreachable) and step.before != step.goal:
            return self.read_back(step.destination.remote, step.tag, (step.before,))
        return read_tag(step.destination.remote, step.tag)

    def _note(self, step: Step, digest: Digest | None, state: State) -> None:
        self._overtaken.pop(step.reference, None)
        self.record.note(step.reference, digest, state)
        self.record.save()


def _unseen(reference: TagReference, digest: Digest | None) -> VerificationFailed:
    return VerificationFailed(f"{reference} holds {digest or 'nothing'} after it was written", reference=reference)


def in_order(steps: Iterable[Step], last: str) -> tuple[list[Step], list[Step]]:
    """The steps that go together, and those of `latest`, which go last."""
    every = list(steps)
    return [step for step in every if step.tag != last], [step for step in every if step.tag == last]
