"""The plan: candidates, registries and content in; moves with reasons out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from publisher.model.plan import Action, Kind, Move, Plan
from publisher.planning.decisions import decide, decide_unseen
from publisher.planning.lines import desired, eligible, shapes
from publisher.planning.scene import Known, held_already, set_scene
from publisher.planning.survey import LineState, line_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from publisher.model.digest import Digest
    from publisher.model.image_name import ImageName
    from publisher.model.reference import Repository
    from publisher.planning.candidates import Candidates
    from publisher.planning.lines import Published
    from publisher.planning.scene import Scene

__all__ = ["Known", "make_plan"]

_SHOWN: Final = 5
_LISTED: Final = frozenset({Action.CREATE, Action.MOVE, Action.UNCHANGED})


def make_plan(
    asked: Candidates, published: Mapping[Repository, Published | None], content: Known | None = None
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
    asked: Candidates, published: Mapping[Repository, Published | None], content: Known | None
) -> Digest | None:
    """Find the manifest that the release has already, in the first repository that has one."""
    states = (published.get(image.repository) for image in asked.images)
    found = (held_already(asked, state, content) for state in states if state)
    return next(filter(None, found), None)


def _one(
    asked: Candidates, image: ImageName, state: Published | None, content: Known | None, adopted: Digest | None
) -> tuple[list[Move], list[str]]:
    if state is None:
        after = adopted or (content.digest if content else None)
        return [decide_unseen(asked, image, name, after) for name in asked.names], []
    scene = set_scene(asked, image, state, content, adopted)
    moves = [decide(scene, name) for name in asked.names]
    return moves, list(_warnings(scene, moves))


def _taken_lines(scene: Scene, moves: list[Move]) -> Iterator[str]:
    """Ref tags that are written though they look like floating ones: that is what their rules ask for."""
    floating = shapes(scene.asked.ruleset)
    taken = [move for move in moves if move.kind is Kind.REF and move.action.writes and floating.fullmatch(move.tag)]
    makers = desired(replace(scene.asked.ruleset, claimed=frozenset()), eligible(scene.here)) if taken else {}
    where, release = scene.image.written, scene.asked.release
    for move in taken:
        if move.tag in makers:
            yield f"{move.tag} of {where} is also the tag of version {makers[move.tag]}, which it would replace"
        elif release and release.is_prerelease:
            yield f"{move.tag} of {where} would point to the prerelease {release}, as its rule asks"


def _warnings(scene: Scene, moves: list[Move]) -> Iterator[str]:
    where, release = scene.image.written, scene.asked.release
    if scene.yanked:
        yield f"{release} is yanked in {where}, so no floating tag moves to it; `publish yank --undo {release}`"
    yield from _taken_lines(scene, moves)
    others = ((tag, owner) for tag, owner in scene.owners.items() if owner != release)
    found = [line_of(tag, scene.here[owner], scene.state) for tag, owner in others]
    if lines := [line for line in found if line.state is not LineState.OK]:
        shown = ", ".join(f"{line.tag} ({line.state}, belongs to {line.version})" for line in lines[:_SHOWN])
        more = f" and {len(lines) - _SHOWN} more" if len(lines) > _SHOWN else ""
        yield f"floating tags of {where} are not where they belong: {shown}{more}; `publish reconcile` puts them right"
