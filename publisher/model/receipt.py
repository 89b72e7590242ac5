"""What did change: the record of a run."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from publisher.model.attestation import Signatures
from publisher.model.digest import Digest
from publisher.model.plan import Action, Kind, Plan
from publisher.model.reference import TagReference
from publisher.model.value import Document


class State(StrEnum):
    """Where a tag is after the run."""

    DONE = "done"
    UNCHANGED = "unchanged"
    KEPT = "kept"
    NOT_DONE = "not-done"
    UNKNOWN = "unknown"
    RESTORED = "restored"

    @property
    def is_written(self) -> bool:
        """Whether the run has written the tag."""
        return self in {State.DONE, State.RESTORED}

    @property
    def is_known(self) -> bool:
        """Whether the tag holds what the run was to write, or left as it is."""
        return self.is_written or self is State.UNCHANGED

    @property
    def may_be_written(self) -> bool:
        """Whether the run has written the tag, or can't tell."""
        return self.is_written or self is State.UNKNOWN


class Outcome(StrEnum):
    """How the run ended."""

    DONE = "done"
    INCOMPLETE = "incomplete"
    UNDONE = "undone"
    FAILED = "failed"


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One tag of a receipt: `before` and `after` are digests, None where the tag was or is absent."""

    reference: TagReference
    kind: Kind
    version: str | None
    action: Action
    before: Digest | None
    after: Digest | None
    state: State


class ReleasedImage(msgspec.Struct, frozen=True, kw_only=True):
    """The content: `size` is the sum of its blobs in bytes, `config` that of a single-platform image."""

    digest: Digest
    config: Digest | None
    platforms: tuple[str, ...]
    size: int


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """What was proven: blobs counted, bytes read back, what the engine's pull fetched, what the smoke run showed."""

    level: str
    blobs: int = 0
    bytes: int = 0
    pulled: str = "none"
    smoke: dict[str, object] | None = None


class Failure(Document, frozen=True, kw_only=True, tag_field="schema", tag="publish.error/1"):
    """An error as other programs read it."""

    code: int
    kind: str
    message: str
    reference: str | None = None
    hint: str | None = None


class KeptManifest(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A manifest's bytes: of what the run sent, and of what the exact tags held that it overwrote."""

    digest: Digest
    media_type: str
    content: bytes


class Receipt(Document, frozen=True, kw_only=True, tag_field="schema", tag="publish.receipt/1"):
    """A run's record; times are RFC 3339 in UTC."""

    id: str
    command: str
    tool: str
    started: str
    finished: str | None
    outcome: Outcome
    error: Failure | None
    via: str | None
    adopted: bool
    plan: Plan | None
    image: ReleasedImage | None
    verification: Verification | None
    moves: tuple[Change, ...]
    manifests: tuple[KeptManifest, ...] | msgspec.UnsetType = msgspec.UNSET
    signatures: Signatures = msgspec.UNSET


class Receipts(Document, frozen=True, kw_only=True, tag_field="schema", tag="publish.receipts/1"):
    """Several receipts in one document."""

    receipts: tuple[Receipt, ...]
