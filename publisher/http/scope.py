"""Scopes: what a token is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def widen(wanted: tuple[str, ...], asked: Iterable[str]) -> tuple[str, ...]:
    """`wanted` with what a challenge asks for besides, the actions of one resource joined.

    What wasn't wanted is never taken from a challenge where it could do harm: `*` and `delete`. The wanted ones stay
    first: some token services read only the first scope.
    """
    actions: dict[str, dict[str, None]] = {}
    for scope in wanted:
        resource, _colon, verbs = scope.rpartition(":")
        actions.setdefault(resource, {}).update(dict.fromkeys(verbs.split(",")))
    for scope in asked:
        resource, _colon, verbs = scope.rpartition(":")
        safe = [verb for verb in verbs.split(",") if verb not in {"*", "delete", ""}]
        if resource and safe:
            actions.setdefault(resource, {}).update(dict.fromkeys(safe))
    return tuple(f"{resource}:{','.join(verbs)}" for resource, verbs in actions.items())
