"""What Docker Hub knows of a repository beside its content."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import msgspec


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
