"""Scopes: what may be done with which repository."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Iterable

_ALL = frozenset({"pull", "push", "delete"})


@dataclass(frozen=True, slots=True)
class Scope:
    """Actions on a repository, as in `repository:a/b:pull,push`. In a right the name may hold `*`."""

    name: str
    actions: frozenset[str]

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read a scope; None for one that isn't a repository's. `*` as an action means all of them."""
        kind, _, rest = text.partition(":")
        name, colon, actions = rest.rpartition(":")
        if kind != "repository" or not colon:
            return None
        wanted = frozenset(actions.split(","))
        return cls(name, _ALL if "*" in wanted else wanted & _ALL)

    @classmethod
    def of_claim(cls, claim: dict[str, Any]) -> Self:
        """As a token's `access` holds it."""
        return cls(claim["name"], frozenset(claim["actions"]))

    def claim(self) -> dict[str, Any]:
        """As a token's `access` holds it."""
        return {"type": "repository", "name": self.name, "actions": sorted(self.actions)}

    def narrowed(self, rights: Iterable[str]) -> Scope:
        """Those of the actions that `rights` allow: asking for more is no error."""
        allowed = [right for right in map(Scope.parse, rights) if right and fnmatchcase(self.name, right.name)]
        return Scope(self.name, self.actions & frozenset[str]().union(*(right.actions for right in allowed)))

    def within(self, granted: Iterable[Scope]) -> bool:
        """Whether a token with `granted` is enough."""
        given = [scope.actions for scope in granted if scope.name == self.name]
        return self.actions <= frozenset[str]().union(*given)

    def __str__(self) -> str:
        order = [action for action in ("pull", "push", "delete") if action in self.actions]
        return f"repository:{self.name}:{','.join(order)}"
