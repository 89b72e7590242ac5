"""What `publish tags` shows, and what it takes away."""

from __future__ import annotations

import msgspec


class TagRow(msgspec.Struct, frozen=True, kw_only=True):
    """One tag. size: compressed bytes of all platforms. pushed, pulled: ISO 8601, where the registry tells."""

    tag: str
    digest: str
    size: int | None = None
    platforms: tuple[str, ...] = ()
    pushed: str | None = None
    pulled: str | None = None


class TagList(msgspec.Struct, frozen=True, kw_only=True, tag_field="schema", tag="publish.tags/1"):
    """A repository's tags, by name."""

    repository: str
    tags: tuple[TagRow, ...]


class KeptTag(msgspec.Struct, frozen=True, kw_only=True):
    """A tag that stays, and why."""

    tag: str
    digest: str
    reason: str


class GoneTag(msgspec.Struct, frozen=True, kw_only=True):
    """A tag that goes. state: planned, deleted or failed; detail: why it failed."""

    tag: str
    digest: str
    reason: str
    state: str = "planned"
    detail: str = ""


class Pruning(msgspec.Struct, frozen=True, kw_only=True, tag_field="schema", tag="publish.prune/1"):
    """What stays and what goes; applied is false for a dry run."""

    repository: str
    applied: bool
    kept: tuple[KeptTag, ...]
    gone: tuple[GoneTag, ...]
