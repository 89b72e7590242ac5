"""The plan: candidates, registries and content in; moves with reasons out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from publisher.model.plan import Action, Kind, Move, Plan
from publisher.planning.decisions import ReleasedContent, assess, decide, decide_unseen, held_already
from publisher.planning.lines import LineState, desired, eligible, line_of
from publisher.planning.tag_reader import tag_reader
from publisher.planning.version import is_exact_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from publisher.model.digest import Digest
    from publisher.model.image_name import ImageName
    from publisher.model.plan import Move
    from publisher.model.reference import Repository, TagReference
    from publisher.planning.candidates import Candidates
    from publisher.planning.decisions import RepositoryState
    from publisher.planning.lines import Published


def differences(saved: Plan, fresh: Plan) -> tuple[str, ...]:
    """Compare a saved plan with one made now, a sentence for each difference that matters; none means the same.

    A digest that one of them doesn't know yet is no difference; neither are reasons, labels and warnings, nor a tag
    that holds by now what the plan was to write.
    """
    return (*_heads(saved, fresh), *_moves(saved, fresh))


def _heads(saved: Plan, fresh: Plan) -> Iterator[str]:
    if saved.revision != fresh.revision:
        yield f"the plan is for commit {saved.revision or 'none'}, but this is {fresh.revision or 'none'}"
    if saved.release != fresh.release:
        yield f"the plan is for version {saved.release or 'none'}, but this is {fresh.release or 'none'}"
    if (saved.sandbox is True) != (fresh.sandbox is True):
        yield "one of the two is a rehearsal against the sandbox"
    if saved.signing and fresh.signing and saved.signing.by != fresh.signing.by:
        yield f"the plan is signed by {saved.signing.identity}, this by {fresh.signing.identity}"


def _moves(saved: Plan, fresh: Plan) -> Iterator[str]:
    before, now = _by_reference(saved), _by_reference(fresh)
    for reference in dict.fromkeys([*before, *now]):
        one, other = before.get(reference), now.get(reference)
        if one is None:
            yield f"{reference} is not in the plan"
        elif other is None:
            yield f"{reference} is in the plan, but the rules don't give it now"
        else:
            yield from _move(one, other)


def _by_reference(plan: Plan) -> dict[TagReference, Move]:
    return {move.reference: move for move in plan.moves}


def _move(saved: Move, fresh: Move) -> Iterator[str]:
    if _is_carried_out(saved, fresh):
        return
    if saved.before != fresh.before:
        yield f"{saved.reference} held {saved.before or 'nothing'}, and holds {fresh.before or 'nothing'} now"
    elif saved.after and fresh.after and saved.after != fresh.after:
        yield f"{saved.reference} was to get {saved.after}, and would get {fresh.after} now"
    elif (saved.action, saved.kind, saved.version) != (fresh.action, fresh.kind, fresh.version):
        yield f"{saved.reference}: was {saved.action} for {saved.version}, is {fresh.action} for {fresh.version} now"


def _is_carried_out(saved: Move, fresh: Move) -> bool:
    """Whether the tag holds what the plan was to write: by an earlier run of it, which may have stopped half-way."""
    goal = saved.after or fresh.after
    is_same = (saved.kind, saved.version) == (fresh.kind, fresh.version)
    return saved.action.writes and is_same and fresh.action is Action.UNCHANGED and fresh.before == goal is not None


__all__ = ["ReleasedContent", "make_plan"]

_SHOWN: Final = 5
_LISTED: Final = frozenset({Action.CREATE, Action.MOVE, Action.UNCHANGED})


def make_plan(
    asked: Candidates, published: Mapping[Repository, Published | None], content: ReleasedContent | None = None
) -> Plan:
    """Decide about every tag in every repository.

    published: what each repository holds, with the digests that to_read names; None or absent: it was not asked.
    content: None where there is no source to look at.
    """
    adopted = _adopted(asked, published, content)
    moves: list[Move] = []
    tags: list[str] = [str(name.tag) for name in asked.names] if asked.nameless else []
    warnings = list(asked.warnings)
    for image in asked.images:
        decided, found = _one(asked, image, published.get(image.repository), content, adopted)
        moves += decided
        warnings += found
        tags += [f"{image.written}:{move.tag}" for move in decided if move.action in _LISTED]
    return Plan(
        version=str(asked.names[0].tag) if asked.names else None,
        release=None if asked.release is None else str(asked.release),
        revision=asked.origin.revision,
        prerelease=asked.release is not None and asked.release.is_prerelease,
        images=tuple(image.written for image in asked.images),
        tags=tuple(tags),
        moves=tuple(moves),
        labels=dict(asked.labels),
        annotations=dict(asked.labels),
        warnings=tuple(warnings),
        sandbox=asked.sandbox or msgspec.UNSET,
    )


def _adopted(
    asked: Candidates, published: Mapping[Repository, Published | None], content: ReleasedContent | None
) -> Digest | None:
    """Find the manifest that the release has already, in the first repository that has one."""
    states = (published.get(image.repository) for image in asked.images)
    found = (held_already(asked, state, content) for state in states if state)
    return next(filter(None, found), None)


def _one(
    asked: Candidates,
    image: ImageName,
    state: Published | None,
    content: ReleasedContent | None,
    adopted: Digest | None,
) -> tuple[list[Move], list[str]]:
    if state is None:
        after = adopted or (content.digest if content else None)
        return [decide_unseen(asked, image, name, after) for name in asked.names], []
    repository = assess(asked, image, state, content, adopted)
    moves = [decide(repository, name) for name in asked.names]
    return moves, list(_warnings(repository, moves))


def _taken_lines(repository: RepositoryState, moves: list[Move]) -> Iterator[str]:
    """Ref tags that are written though they look like floating ones: that is what their rules ask for."""
    reader = tag_reader(repository.asked.ruleset)
    taken = [move for move in moves if move.kind is Kind.REF and move.action.writes and reader.floats(move.tag)]
    makers = desired(replace(repository.asked.ruleset, claimed=frozenset()), eligible(repository.here)) if taken else {}
    where, release = repository.image.written, repository.asked.release
    for move in taken:
        if move.tag in makers:
            yield f"{move.tag} of {where} is also the tag of version {makers[move.tag]}, which it would replace"
        elif release and release.is_prerelease:
            yield f"{move.tag} of {where} would point to the prerelease {release}, as its rule asks"


def _overwritten_versions(repository: RepositoryState, moves: list[Move]) -> Iterator[str]:
    """Tags that look like a version's whatever the rules, and are written over as their rule asks."""
    for move in moves:
        if move.kind is Kind.REF and move.action is Action.MOVE and is_exact_name(move.tag):
            yield (
                f"{move.tag} of {repository.image.written} looks like a version's own tag and would get another image, "
                "as its rule asks; type=semver,pattern={{version}} beside it would hold it"
            )


def _warnings(repository: RepositoryState, moves: list[Move]) -> Iterator[str]:
    where, release = repository.image.written, repository.asked.release
    if repository.yanked:
        again = f"publish yank --undo {release}{repository.asked.selection}"
        yield f"{release} is yanked in {where}, so no floating tag moves to it; `{again}`"
    yield from _taken_lines(repository, moves)
    yield from _overwritten_versions(repository, moves)
    for move in moves:
        if move.action is Action.KEEP and move.tag in repository.contested:
            yield (
                f"{move.tag} of {where} keeps what it holds: {repository.contested[move.tag][0]} can be read in "
                "several ways, and its image doesn't say which version it is; label it org.opencontainers.image.version"
            )
    others = ((tag, owner) for tag, owner in repository.owners.items() if owner not in repository.asked.versions)
    others = ((tag, owner) for tag, owner in others if tag not in repository.contested and owner in repository.here)
    found = [line_of(tag, repository.here[owner], repository.state) for tag, owner in others]
    if lines := [line for line in found if line.state is not LineState.OK]:
        shown = ", ".join(f"{line.tag} ({line.state}, belongs to {line.version})" for line in lines[:_SHOWN])
        more = f" and {len(lines) - _SHOWN} more" if len(lines) > _SHOWN else ""
        yield (
            f"floating tags of {where} are not where they belong: {shown}{more}; "
            f"`publish reconcile{repository.asked.selection}` puts them right"
        )
