"""What has changed since a plan was saved."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from publisher.model.plan import Move, Plan


def differences(saved: Plan, fresh: Plan) -> tuple[str, ...]:
    """Compare a saved plan with one made now, a sentence for each difference that matters; none means the same.

    A digest that one of them doesn't know yet is no difference; neither are reasons, labels and warnings.
    """
    return (*_heads(saved, fresh), *_moves(saved, fresh))


def _heads(saved: Plan, fresh: Plan) -> Iterator[str]:
    if saved.revision != fresh.revision:
        yield f"the plan is for commit {saved.revision or 'none'}, but this is {fresh.revision or 'none'}"
    if saved.release != fresh.release:
        yield f"the plan is for version {saved.release or 'none'}, but this is {fresh.release or 'none'}"
    if (saved.sandbox is True) != (fresh.sandbox is True):
        yield "one of the two is a rehearsal against the sandbox"


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


def _by_reference(plan: Plan) -> dict[str, Move]:
    return {move.reference: move for move in plan.moves}


def _move(saved: Move, fresh: Move) -> Iterator[str]:
    if saved.before != fresh.before:
        yield f"{saved.reference} held {saved.before or 'nothing'}, and holds {fresh.before or 'nothing'} now"
    elif saved.after and fresh.after and saved.after != fresh.after:
        yield f"{saved.reference} was to get {saved.after}, and would get {fresh.after} now"
    elif (saved.action, saved.kind, saved.version) != (fresh.action, fresh.kind, fresh.version):
        yield f"{saved.reference}: was {saved.action} for {saved.version}, is {fresh.action} for {fresh.version} now"
