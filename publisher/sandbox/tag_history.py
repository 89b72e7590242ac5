"""What a tag has named, and since when: for registries whose reads lag behind their writes."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from publisher.model.digest import Digest


class Details(msgspec.Struct, frozen=True):
    """A repository's page. registered, and `pushed` by tag: ISO 8601 times. rules: kept while immutable is off."""

    description: str = ""
    full_description: str = ""
    is_private: bool = False
    immutable: bool = False
    rules: tuple[str, ...] = ()
    registered: str = ""
    pushed: dict[str, str] = {}

    def rule_for(self, tag: str) -> str | None:
        """The rule that freezes `tag`. Whether it must match all of a tag, Docker Hub doesn't say: here it needn't."""
        return next((rule for rule in self.rules if self.immutable and re.search(rule, tag)), None)


def stamp() -> str:
    """Now, as Docker Hub writes times."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class History:
    """The moves of one tag. Times are of one clock that never goes back; None means that the tag isn't there."""

    def __init__(self, digest: Digest | None = None) -> None:
        self._moves: list[tuple[float, Digest | None]] = [(float("-inf"), digest)]

    @property
    def latest(self) -> Digest | None:
        """What the tag names."""
        return self._moves[-1][1]

    def move(self, moment: float, digest: Digest | None, *, lag: float) -> None:
        """The tag names something else from `moment` on; what nobody can see any more is forgotten."""
        self._moves.append((moment, digest))
        visible = [number for number, (when, _digest) in enumerate(self._moves) if when <= moment - lag]
        del self._moves[: visible[-1]]

    def digest_at(self, moment: float) -> Digest | None:
        """What the tag named then."""
        return next((digest for when, digest in reversed(self._moves) if when <= moment), None)
