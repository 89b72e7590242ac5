"""What `verify` found."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class VerdictState(StrEnum):
    """How a reference stands."""

    EQUAL = "equal"
    DIFFERENT = "different"
    MISSING = "missing"
    UNKNOWN = "unknown"


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """One reference: `digest` is what the registry holds."""

    reference: str
    digest: str | None
    platforms: tuple[str, ...]
    state: VerdictState
    detail: str


class Verdicts(msgspec.Struct, frozen=True, kw_only=True, tag_field="schema", tag="publish.verify/1"):
    """All of them, in the order asked."""

    results: tuple[Verdict, ...]
