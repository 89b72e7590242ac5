"""What a release would change, tag by tag, with reasons."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from publisher.model.attestation import PlannedSigning
from publisher.model.digest import Digest
from publisher.model.reference import TagReference
from publisher.model.value import Document


class Kind(StrEnum):
    """What a tag promises: design, "Words"."""

    EXACT = "exact"
    FLOATING = "floating"
    REF = "ref"


class Action(StrEnum):
    """What happens to a tag."""

    CREATE = "create"
    MOVE = "move"
    KEEP = "keep"
    UNCHANGED = "unchanged"
    REFUSE = "refuse"

    @property
    def writes(self) -> bool:
        """Whether the tag is written."""
        return self in {Action.CREATE, Action.MOVE}


class Move(msgspec.Struct, frozen=True, kw_only=True, rename={"before": "from", "after": "to"}):
    """One line of a plan. `before` and `after` are digests; `after` is None while the content's digest is unknown."""

    reference: TagReference
    tag: str
    kind: Kind
    version: str | None
    action: Action
    before: Digest | None
    after: Digest | None
    reason: str


class Plan(Document, frozen=True, kw_only=True, tag_field="schema", tag="publish.plan/1"):
    """A plan: made by a pure function of configuration, git, CI and the registry's tags.

    version: the first tag that a rule gave. release: the semantic version that is published.
    revision: the commit. tags: what would be written or is so already, as the user wrote the names.
    """

    version: str | None
    release: str | None
    revision: str | None
    prerelease: bool
    images: tuple[str, ...]
    tags: tuple[str, ...]
    moves: tuple[Move, ...]
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    annotations: dict[str, str] = msgspec.field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    signing: PlannedSigning | msgspec.UnsetType = msgspec.UNSET

    @property
    def refusals(self) -> tuple[Move, ...]:
        """The moves that stop a release."""
        return tuple(move for move in self.moves if move.action is Action.REFUSE)


class Plans(Document, frozen=True, kw_only=True, tag_field="schema", tag="publish.plans/1"):
    """One plan for each `[images.NAME]`."""

    plans: dict[str, Plan]
