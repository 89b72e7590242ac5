"""Move tags to content that is proven: exact tags first, then floating ones, `latest` last; then settle."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from publisher.model.digest import Digest
from publisher.model.errors import ExactTagTaken, Interrupted, PublishError, Unreachable, VerificationFailed
from publisher.model.plan import Action, Kind
from publisher.model.receipt import State
from publisher.model.reference import Reference, Tag
from publisher.planning.plan import Known
from publisher.planning.scene import set_scene
from publisher.workflows.doubt import settle_doubt
from publisher.workflows.survey import read_repository

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from publisher.model.image_name import ImageName
    from publisher.model.manifest import Content
    from publisher.model.plan import Move
    from publisher.model.reference import Repository
    from publisher.planning.candidates import Candidates
    from publisher.planning.lines import Published
    from publisher.workflows.plan import Draft
    from publisher.workflows.session import Session

_ROUNDS = 5
_LAG = 0.2
"""Seconds before a read that may have been too early is done again, times the round."""


@dataclass
class Progress:
    """Where each tag is, by its reference: what it held before, holds now, and how that is known."""

    states: dict[str, State] = field(default_factory=dict)
    after: dict[str, Digest | None] = field(default_factory=dict)
    wrote: set[str] = field(default_factory=set)

    @property
    def is_under_way(self) -> bool:
        """Whether any tag may have been written: from here on there is no way back."""
        return bool(self.wrote) or State.UNKNOWN in self.states.values()

    def note(self, reference: Reference, digest: Digest | None, state: State) -> None:
        """A tag is known to hold `digest`."""
        self.states[str(reference)] = state
        self.after[str(reference)] = digest


class Promotion:
    """One release's tags. `saved` is called after each tag, with all that is known."""

    def __init__(
        self,
        session: Session,
        made: Draft,
        content: Content,
        saved: Callable[[Progress], None],
    ) -> None:
        self._session = session
        self._draft = made
        self._content = content
        self._saved = saved
        self.progress = Progress()
        for move in made.plan.moves:
            before = Digest.parse(move.before) if move.before else None
            self.progress.note(Reference.parse(move.reference), before, _STATES[move.action])

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
            raise ExactTagTaken(
                f"{reference} was published by another run in the meantime, with another image",
                reference=reference,
                hint="release a new version",
            )

    def floating(self) -> None:
        """Decide by what is published now and write, until a look finds every tag where it belongs."""
        for number in range(_ROUNDS + 1):
            if number > 1:
                time.sleep(_LAG * number)
            wrong = [entry for image in self._draft.asked.images for entry in self._misplaced(image)]
            if not wrong:
                return
            if number == _ROUNDS:
                break
            last = [entry for entry in wrong if entry[0].tag == self._draft.asked.ruleset.flavor.latest_name]
            self._session.parallel(self._place, [entry for entry in wrong if entry not in last])
            self._session.parallel(self._place, last)
        for reference, _digest in wrong:
            self.progress.note(reference, None, State.UNKNOWN)
        raise Unreachable("the registry does not show the tags that it took", reference=wrong[0][0])

    def _misplaced(self, image: ImageName) -> list[tuple[Reference, Digest]]:
        """The tags of a repository that are not where its published versions say, as it stands now."""
        state = read_repository(self._session, self._draft.asked, image.repository)
        self._check_exact(image.repository, state)
        wanted = belongings(self._draft.asked, image, state, self._content.digest)
        wrong = []
        for tag, digest in wanted.items():
            reference = image.repository.tag(tag)
            held = state.held.get(tag)
            if held != digest:
                wrong.append((reference, digest))
            else:
                self.progress.note(reference, held, self._settled(reference))
        self._note_kept(image, state, wanted)
        return wrong

    def _settled(self, reference: Reference) -> State:
        """The state of a tag that is where it belongs."""
        if str(reference) in self.progress.wrote:
            return State.DONE
        known = self.progress.states[str(reference)]
        return State.KEPT if known is State.KEPT else State.UNCHANGED

    def _note_kept(self, image: ImageName, state: Published, wanted: Mapping[str, Digest]) -> None:
        for name in self._draft.asked.of_kind(Kind.FLOATING):
            if name.tag not in wanted:
                self.progress.note(image.repository.tag(name.tag), state.held.get(name.tag), State.KEPT)

    def _check_exact(self, repository: Repository, state: Published) -> None:
        """What was written must be there; a list that lags is asked again by HEAD."""
        for name in self._draft.asked.of_kind(Kind.EXACT):
            held = state.held.get(name.tag)
            reference = repository.tag(name.tag)
            if held is None:
                found = self._session.remote(repository).head(Tag(name.tag))
                held = found.digest if found else None
            if held != self._content.digest:
                self.progress.note(reference, held, State.NOT_DONE if held else State.UNKNOWN)
                raise ExactTagTaken(f"{reference} holds another image than this release wrote", reference=reference)

    def _place(self, entry: tuple[Reference, Digest]) -> None:
        reference, digest = entry
        content = self._content
        if digest != content.digest:
            content = self._session.remote(reference.repository).get(digest)
        self._write(reference, content)

    def _write(self, reference: Reference, content: Content) -> None:
        remote = self._session.remote(reference.repository)
        try:
            remote.put(content, _tag(reference))
        except (PublishError, Interrupted) as error:
            settle_doubt(self._session, reference, content.digest, error, partial(self.progress.note, reference))
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
    scene = set_scene(asked, image, state, Known(digest), None)
    found: dict[str, Digest] = {}
    for name in asked.of_kind(Kind.FLOATING):
        owner = scene.owners.get(name.tag)
        if owner == asked.release or (owner is None and name.version is None):
            found[name.tag] = digest
        elif owner is not None and (held := scene.here[owner].digest) is not None:
            found[name.tag] = held
    return found


def _tag(reference: Reference) -> Tag:
    if reference.tag is None:
        raise VerificationFailed(f"{reference} has no tag")
    return reference.tag
