"""Move tags to content that is proven: exact tags first, then floating ones, `latest` last; then settle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from publisher.archives.source import Transport
from publisher.model.errors import ExactTagTaken, Incomplete, PublishError, Unreachable
from publisher.model.plan import Action, Kind
from publisher.model.receipt import State
from publisher.planning.decisions import assess
from publisher.planning.plan import ReleasedContent
from publisher.workflows.record import RunRecord, RunStart, planned_changes
from publisher.workflows.tagging.survey import read_repository, read_tag
from publisher.workflows.tagging.writer import LOOKS, ROUNDS, Step, in_order

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from publisher.model.digest import Digest
    from publisher.model.image_name import ImageName
    from publisher.model.manifest import Content
    from publisher.model.reference import Repository, TagReference
    from publisher.planning.candidates import Candidates
    from publisher.planning.lines import Published
    from publisher.receipts.journal import JournalEntry
    from publisher.workflows.jobs import ReleaseDraft
    from publisher.workflows.record import Run
    from publisher.workflows.session import Session
    from publisher.workflows.tagging.writer import TagWriter

_UNSEEN = "the registry does not show the tags that it took"
_NEXT = "release a new version"


class Promotion:
    """One release's tags, as `writer` writes them and its record notes them.

    free: exact tags that were just seen to be free.
    """

    def __init__(
        self,
        session: Session,
        draft: ReleaseDraft,
        content: Content,
        writer: TagWriter,
        free: frozenset[TagReference] = frozenset(),
    ) -> None:
        self._session = session
        self._draft = draft
        self._content = content
        self._writer = writer
        self._record = writer.record
        self._destinations = {destination.repository: destination for destination in draft.destinations}
        self._free = free
        self._is_moving = False

    @property
    def is_under_way(self) -> bool:
        """Whether any tag holds what was written, or may."""
        return self._record.is_under_way

    # Exact tags, and those that follow no version.

    def exact(self) -> None:
        """Write the tags that never move again; raises where one was taken in the meantime."""
        moves = [move for move in self._draft.plan.moves if move.action.writes and move.kind is not Kind.FLOATING]
        if not self._draft.candidates.force:
            exact = [move.reference for move in moves if move.kind is Kind.EXACT]
            self._session.parallel(self._check_free, [one for one in exact if one not in self._free])
            self._free = frozenset()
        self._session.parallel(
            self._write_exact,
            [
                [
                    move.reference
                    for move in moves
                    if move.kind is Kind.EXACT and move.reference.repository == repository
                ]
                for repository in self._destinations
            ],
        )
        self._writer.place(
            [self._step(move.reference, self._content.digest) for move in moves if move.kind is Kind.REF]
        )

    def _write_exact(self, references: Sequence[TagReference]) -> None:
        """Those of one repository, one after another: of two runs at once one then comes first with all of them."""
        for reference in references:
            self._writer.place([self._step(reference, self._content.digest)])

    def _check_free(self, reference: TagReference) -> None:
        digest = read_tag(self._destinations[reference.repository].remote, reference.tag)
        if digest not in {None, self._content.digest}:
            self._record.note(reference, digest, State.NOT_DONE)
            raise ExactTagTaken(
                f"{reference} was published by another run in the meantime, with another image",
                reference=reference,
                hint=_NEXT,
            )

    def _step(self, reference: TagReference, goal: Digest) -> Step:
        line = self._record.line(reference)
        content = self._content if goal == self._content.digest else None
        return Step(
            destination=self._destinations[reference.repository],
            tag=reference.tag,
            kind=line.kind,
            version=line.version,
            before=line.after,
            goal=goal,
            content=content,
        )

    # Floating tags.

    def floating(self) -> None:
        """Decide by what is published now and write, until a look finds every tag where it belongs.

        Where another run has overwritten the exact tag, the floating ones go to what is there, and that is raised.
        """
        for number, seconds in enumerate(LOOKS):
            if seconds:
                self._session.pause(seconds)
            wrong, lost = self._look()
            if lost and not (wrong and self._is_moving):
                raise _taken(lost[0])
            if not wrong:
                return
            if number < ROUNDS:
                self._is_moving = True
                for together in in_order(wrong, self._draft.candidates.ruleset.flavor.latest_name):
                    self._writer.place(together)
        for step in wrong:
            self._record.note(step.reference, None, State.UNKNOWN)
        raise Unreachable(_UNSEEN, reference=wrong[0].reference)

    def _look(self) -> tuple[list[Step], list[TagReference]]:
        """The writes that are needed, and the exact tags that other runs have overwritten."""
        wrong: list[Step] = []
        lost: list[TagReference] = []
        images = self._draft.candidates.images
        states = self._session.parallel(lambda image: self._read(image.repository), images)
        for image, state in zip(images, states, strict=True):
            exact = self._exact_tags(image.repository, state)
            lost += [reference for reference, digest in exact.items() if digest != self._content.digest]
            released = next(iter(exact.values()), self._content.digest)
            wrong += self._compare(image, state, belongings(self._draft.candidates, image, state, released))
        return wrong, lost

    def _read(self, repository: Repository) -> Published:
        written = [ref.tag for ref in self._writer.replaced if ref.repository == repository]
        remote = self._destinations[repository].remote
        return read_repository(self._session, self._draft.candidates, remote, written=written, others=False)

    def _exact_tags(self, repository: Repository, state: Published) -> dict[TagReference, Digest]:
        """What the version's exact tags hold at this moment: ours, unless another run has overwritten them."""
        references = [repository.tag(name.tag) for name in self._draft.candidates.of_kind(Kind.EXACT)]
        return {reference: self._exact_tag(reference, state.held.get(reference.tag)) for reference in references}

    def _exact_tag(self, reference: TagReference, digest: Digest | None) -> Digest:
        """The same for one; the list and the look may have come too early for it."""
        stale = {None, self._before(reference)} - {self._content.digest}
        if digest in stale:
            digest = self._writer.read_back(self._destinations[reference.repository].remote, reference.tag, stale)
        if digest is None or digest in stale:
            self._record.note(reference, None, State.UNKNOWN)
            raise Unreachable(_UNSEEN, reference=reference)
        if digest != self._content.digest:
            self._record.note(reference, digest, State.NOT_DONE)
        return digest

    def _before(self, reference: TagReference) -> Digest | None:
        """What a tag held before it was written."""
        replaced = self._writer.replaced
        return replaced[reference] if reference in replaced else self._record.line(reference).before

    def _compare(self, image: ImageName, state: Published, goals: Mapping[str, Digest]) -> list[Step]:
        """Note where each floating tag of a repository is; the writes of those that are not where they belong."""
        wrong = []
        for name in self._draft.candidates.of_kind(Kind.FLOATING):
            reference, digest = image.repository.tag(name.tag), state.held.get(name.tag)
            goal = goals.get(name.tag)
            self._record.note(reference, digest, self._state(reference, digest, goal))
            if goal is not None and goal != digest:
                wrong.append(self._step(reference, goal))
        return wrong

    def _state(self, reference: TagReference, digest: Digest | None, goal: Digest | None) -> State:
        """How a floating tag that holds `digest` stands to what it should hold, None where others decide that."""
        is_written = reference in self._writer.replaced
        if goal is None:
            return State.KEPT
        if digest != goal:
            # A tag that still shows what it held before it was written may be read too early.
            is_late = is_written and digest == self._before(reference)
            return State.UNKNOWN if is_late else State.NOT_DONE
        is_ours = digest == self._content.digest
        was_unchanged = self._record.line(reference).state is State.UNCHANGED
        if not is_ours and (is_written or not was_unchanged):
            return State.KEPT
        return State.DONE if is_written else State.UNCHANGED


def _taken(reference: TagReference) -> ExactTagTaken:
    message = f"{reference} holds another image than this release wrote: another run published the version too"
    return ExactTagTaken(message, reference=reference, hint=_NEXT)


def belongings(candidates: Candidates, image: ImageName, state: Published, digest: Digest) -> dict[str, Digest]:
    """Where each floating tag of this release belongs: the digest under its version's exact tag."""
    repository = assess(candidates, image, state, ReleasedContent(digest), None)
    goals: dict[str, Digest] = {}
    for name in candidates.of_kind(Kind.FLOATING):
        owner = repository.owners.get(name.tag)
        if str(name.tag) in repository.contested and name.tag in state.held:
            continue
        if owner in candidates.versions or (owner is None and name.version is None):
            goals[name.tag] = digest
        elif owner is not None and (owned := repository.here[owner].digest) is not None:
            goals[name.tag] = owned
    return goals


_LARGEST_KEPT: Final = 256 << 10


def kept_manifests(draft: ReleaseDraft, content: Content, *, adopted: bool) -> tuple[Content, ...]:
    """What undo needs the bytes of: what this release sent, and what its exact tags held before."""
    is_sent = not adopted and all(source.name.transport is not Transport.REGISTRY for source in draft.sources)
    remotes = {destination.repository: destination.remote for destination in draft.destinations}
    overwritten = {
        move.before: remotes[move.reference.repository]
        for move in draft.plan.moves
        if move.kind is Kind.EXACT and move.action is Action.MOVE and move.before
    }
    contents = [*([content] if is_sent else []), *(remote.get(digest) for digest, remote in overwritten.items())]
    return tuple(each for each in contents if len(each.content) <= _LARGEST_KEPT)


def end_early(
    session: Session, draft: ReleaseDraft, entry: JournalEntry, started: str, file: Path | None, error: BaseException
) -> Run | None:
    """The end of a release that broke off after a tag was written early, and so has changed something; None of others.

    file: `--receipt`.
    """
    early = [destination.remote for destination in draft.destinations if destination.remote.wrote_early]
    references = [remote.repository.tag(remote.early_tag) for remote in early if remote.early_tag]
    if not references:
        return None
    start = RunStart(command="release", started=started, plan=draft.plan)
    record = RunRecord(session, start, planned_changes(draft.plan), file)
    record.begin(entry)
    for reference in references:
        record.note(reference, None, State.UNKNOWN)
    if isinstance(error, PublishError):
        tags = ", ".join(reference.familiar for reference in references)
        error = Incomplete(f"{tags} was written early, and then: {error.message}", reference=error.reference)
    return record.end(error)
