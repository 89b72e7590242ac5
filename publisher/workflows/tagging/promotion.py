"""Move tags to content that is proven: exact tags first, then floating ones, `latest` last; then settle."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from publisher.model.digest import Digest
from publisher.model.errors import (
    ExactTagTaken,
    Interrupted,
    PublishError,
    Unreachable,
    VerificationFailed,
)
from publisher.model.plan import Action, Kind
from publisher.model.receipt import State
from publisher.model.reference import Reference, Tag
from publisher.planning.decisions import assess
from publisher.planning.plan import Known
from publisher.workflows.tagging.survey import read_repository
from publisher.workflows.tagging.writer import LOOKS, ROUNDS, Doubt, read_back, settle_doubt

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from publisher.model.image_name import ImageName
    from publisher.model.manifest import Content
    from publisher.model.plan import Move
    from publisher.model.reference import Repository
    from publisher.planning.candidates import Candidates
    from publisher.planning.lines import Published
    from publisher.workflows.plan import ReleaseDraft
    from publisher.workflows.session import Session

_UNSEEN = "the registry does not show the tags that it took"
_NEXT = "release a new version"


@dataclass
class Progress:
    """Where each tag is, by its reference: what it held before, holds now, and how that is known."""

    states: dict[str, State] = field(default_factory=dict)
    after: dict[str, Digest | None] = field(default_factory=dict)
    wrote: set[str] = field(default_factory=set)

    @property
    def is_under_way(self) -> bool:
        """Whether any tag holds what was written, or may: from here on there is no way back."""
        return any(state.may_be_written for state in self.states.values())

    def note(self, reference: Reference, digest: Digest | None, state: State) -> None:
        """A tag is known to hold `digest`."""
        self.states[str(reference)] = state
        self.after[str(reference)] = digest


class Promotion:
    """One release's tags. `saved` is called after each tag, with all that is known."""

    def __init__(
        self,
        session: Session,
        made: ReleaseDraft,
        content: Content,
        saved: Callable[[Progress], None],
    ) -> None:
        self._session = session
        self._draft = made
        self._content = content
        self._saved = saved
        self._lost: list[Reference] = []
        self._moved = False
        self.progress = Progress()
        for move in made.plan.moves:
            before = Digest.parse(move.before) if move.before else None
            self.progress.note(Reference.parse(move.reference), before, _STATES[move.action])
        self._before = dict(self.progress.after)
        """What each tag held before it was written."""

    def exact(self) -> None:
        """Write the tags that never move again; raises where one was taken in the meantime."""
        moves = [move for move in self._draft.plan.moves if move.action.writes and move.kind is not Kind.FLOATING]
        ordered = sorted(moves, key=lambda move: move.kind is not Kind.EXACT)
        if not self._draft.asked.force:
            self._session.parallel(self._check_free, [move for move in ordered if move.kind is Kind.EXACT])
        for move in ordered:
            self._session.parallel(self._place, [(Reference.parse(move.reference), self._content.digest)])

    def _check_free(self, move: Move) -> None:
        reference = Reference.parse(move.reference)
        held = self._session.remote(reference.repository).head(_tag(reference))
        if held is not None and held.digest != self._content.digest:
            self.progress.note(reference, held.digest, State.NOT_DONE)
            raise ExactTagTaken(
                f"{reference} was published by another run in the meantime, with another image",
                reference=reference,
                hint=_NEXT,
            )

    def _hold(self, reference: Reference, held: Digest) -> None:
        """Take note of what an exact tag of ours holds; another image there means that the race for it is lost."""
        if held != self._content.digest:
            self.progress.note(reference, held, State.NOT_DONE)
            self._lost.append(reference)

    def _taken(self, reference: Reference) -> ExactTagTaken:
        said = f"{reference} holds another image than this release wrote: another run published the version too"
        return ExactTagTaken(said, reference=reference, hint=_NEXT)

    def floating(self) -> None:
        """Decide by what is published now and write, until a look finds every tag where it belongs.

        Where another run has overwritten the exact tag, the floating ones go to what is there, and that is raised.
        """
        for number, seconds in enumerate(LOOKS):
            if seconds:
                self._session.pause(seconds)
            self._lost.clear()
            wrong = [entry for image in self._draft.asked.images for entry in self._misplaced(image)]
            if self._lost and not (wrong and self._moved):
                raise self._taken(self._lost[0])
            if not wrong:
                return
            if number < ROUNDS:
                self._write_round(wrong)
        for reference, _digest in wrong:
            self.progress.note(reference, None, State.UNKNOWN)
        raise Unreachable(_UNSEEN, reference=wrong[0][0])

    def _write_round(self, wrong: list[tuple[Reference, Digest]]) -> None:
        last = [entry for entry in wrong if entry[0].tag == self._draft.asked.ruleset.flavor.latest_name]
        self._moved = True
        self._session.parallel(self._place, [entry for entry in wrong if entry not in last])
        self._session.parallel(self._place, last)

    def _misplaced(self, image: ImageName) -> list[tuple[Reference, Digest]]:
        """The tags of a repository that are not where its published versions say, as it stands now."""
        own = (Reference.parse(text) for text in self.progress.wrote)
        written = [str(reference.tag) for reference in own if reference.repository == image.repository]
        state = read_repository(self._session, self._draft.asked, image.repository, written=written, others=False)
        wanted = belongings(self._draft.asked, image, state, self._released(image.repository, state))
        wrong = []
        for tag, digest in wanted.items():
            reference = image.repository.tag(tag)
            held = state.held.get(tag)
            if held != digest:
                wrong.append((reference, digest))
                self._note_wrong(reference, held)
            else:
                self.progress.note(reference, held, self._settled(reference, held))
        self._note_kept(image, state, wanted)
        return wrong

    def _note_wrong(self, reference: Reference, held: Digest | None) -> None:
        """A tag that still shows what it held before we wrote it may be read too early."""
        late = str(reference) in self.progress.wrote and held == self._before[str(reference)]
        self.progress.note(reference, held, State.UNKNOWN if late else State.NOT_DONE)

    def _settled(self, reference: Reference, held: Digest) -> State:
        """The state of a tag that is where it belongs."""
        known = self.progress.states[str(reference)]
        if held != self._content.digest and (str(reference) in self.progress.wrote or known is not State.UNCHANGED):
            return State.KEPT
        return State.DONE if str(reference) in self.progress.wrote else State.UNCHANGED

    def _released(self, repository: Repository, state: Published) -> Digest:
        """What the version's exact tag holds at this moment: ours, unless another run has overwritten it."""
        found = []
        for name in self._draft.asked.of_kind(Kind.EXACT):
            reference = repository.tag(name.tag)
            stale = {None, self._before[str(reference)]} - {self._content.digest}
            held = state.held.get(name.tag)
            if held in stale:
                held = read_back(self._session, reference, stale)
            if held is None or held in stale:
                self.progress.note(reference, None, State.UNKNOWN)
                raise Unreachable(_UNSEEN, reference=reference)
            self._hold(reference, held)
            found.append(held)
        return found[0] if found else self._content.digest

    def _note_kept(self, image: ImageName, state: Published, wanted: Mapping[str, Digest]) -> None:
        for name in self._draft.asked.of_kind(Kind.FLOATING):
            if name.tag not in wanted:
                self.progress.note(image.repository.tag(name.tag), state.held.get(name.tag), State.KEPT)

    def _place(self, entry: tuple[Reference, Digest]) -> None:
        reference, digest = entry
        content = self._content
        if digest != content.digest:
            content = self._session.remote(reference.repository).get(digest)
        self._write(reference, content)

    def _write(self, reference: Reference, content: Content) -> None:
        remote = self._session.remote(reference.repository)
        self._before[str(reference)] = before = self.progress.after[str(reference)]
        try:
            remote.put(content, _tag(reference))
        except (PublishError, Interrupted) as error:
            doubt = Doubt(reference, content.digest, before)
            settle_doubt(self._session, doubt, error, partial(self.progress.note, reference))
        self.progress.wrote.add(str(reference))
        self.progress.note(reference, content.digest, State.DONE)
        self._saved(self.progress)


_STATES = {
    Action.CREATE: State.NOT_DONE,
    Action.MOVE: State.NOT_DONE,
    Action.KEEP: State.KEPT,
    Action.UNCHANGED: State.UNCHANGED,
    Action.REFUSE: State.NOT_DONE,
}


def belongings(asked: Candidates, image: ImageName, state: Published, digest: Digest) -> dict[str, Digest]:
    """Where each floating tag of this release belongs: the digest under its version's exact tag."""
    scene = assess(asked, image, state, Known(digest), None)
    found: dict[str, Digest] = {}
    for name in asked.of_kind(Kind.FLOATING):
        owner = scene.owners.get(name.tag)
        if str(name.tag) in scene.contested and name.tag in state.held:
            continue
        if owner in asked.versions or (owner is None and name.version is None):
            found[name.tag] = digest
        elif owner is not None and (held := scene.here[owner].digest) is not None:
            found[name.tag] = held
    return found


def _tag(reference: Reference) -> Tag:
    if reference.tag is None:
        raise VerificationFailed(f"{reference} has no tag")
    return reference.tag
