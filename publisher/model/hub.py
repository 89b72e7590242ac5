"""What `publish hub` says it changed, or would."""

from __future__ import annotations

from typing import Any

import msgspec


class HubChange(msgspec.Struct, frozen=True, kw_only=True):
    """One setting of a repository on Docker Hub. field: readme, description, immutable, visibility or repository."""

    repository: str
    field: str
    before: Any
    after: Any


class HubReport(msgspec.Struct, frozen=True, kw_only=True, tag_field="schema", tag="publish.hub/1"):
    """What differs from the configuration; `applied` says whether it still does."""

    changes: tuple[HubChange, ...] = ()
    applied: bool = False
    warnings: tuple[str, ...] = ()


class PullQuota(msgspec.Struct, frozen=True, kw_only=True, tag_field="schema", tag="publish.limits/1"):
    """How many pulls Docker Hub allows; limit None means that it names none for this user.

    window: in seconds. source: what is counted, an address or an account, as Docker Hub names it. who: "" for nobody.
    """

    who: str
    limit: int | None = None
    remaining: int | None = None
    window: int | None = None
    source: str | None = None
