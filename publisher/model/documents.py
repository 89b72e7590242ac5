"""How a repository's floating tags stand to its versions."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from publisher.model.attestation import Signatures
from publisher.model.digest import Digest
from publisher.model.reference import Reference, Repository
from publisher.model.value import Document


class TagRow(msgspec.Struct, frozen=True, kw_only=True):
    """One tag. size: compressed bytes of all platforms. pushed, pulled: ISO 8601, where the registry tells."""

    tag: str
    digest: Digest
    size: int | None = None
    platforms: tuple[str, ...] = ()
    pushed: str | None = None
    pulled: str | None = None


class TagList(Document, frozen=True, kw_only=True, tag_field="schema", tag="publish.tags/1"):
    """A repository's tags, the newest version first. omitted: how many more a limit left out."""

    repository: Repository
    tags: tuple[TagRow, ...]
    omitted: int = 0


class KeptTag(msgspec.Struct, frozen=True, kw_only=True):
    """A tag that stays, and why."""

    tag: str
    digest: Digest
    reason: str


class GoneTag(msgspec.Struct, frozen=True, kw_only=True):
    """A tag that goes. state: planned, deleted or failed; detail: why it failed."""

    tag: str
    digest: Digest
    reason: str
    state: str = "planned"
    detail: str = ""


class Pruning(Document, frozen=True, kw_only=True, tag_field="schema", tag="publish.prune/1"):
    """What stays and what goes; applied is false for a dry run."""

    repository: Repository
    applied: bool
    kept: tuple[KeptTag, ...]
    gone: tuple[GoneTag, ...]


class HubChange(msgspec.Struct, frozen=True, kw_only=True):
    """One setting of a repository on Docker Hub. field: readme, description, immutable, visibility or repository."""

    repository: Repository
    field: str
    before: Any
    after: Any


class HubReport(Document, frozen=True, kw_only=True, tag_field="schema", tag="publish.hub/1"):
    """What differs from the configuration; `applied` says whether it still does."""

    changes: tuple[HubChange, ...] = ()
    applied: bool = False
    warnings: tuple[str, ...] = ()


class PullQuota(Document, frozen=True, kw_only=True, tag_field="schema", tag="publish.limits/1"):
    """How many pulls Docker Hub allows; limit None means that it names none for this user.

    window: in seconds. source: what is counted, an address or an account, as Docker Hub names it. who: "" for nobody.
    """

    who: str
    limit: int | None = None
    remaining: int | None = None
    window: int | None = None
    source: str | None = None


class VerdictState(StrEnum):
    """How a reference stands."""

    EQUAL = "equal"
    DIFFERENT = "different"
    MISSING = "missing"
    UNKNOWN = "unknown"


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """One reference: `digest` is what the registry holds."""

    reference: Reference
    digest: Digest | None
    platforms: tuple[str, ...]
    state: VerdictState
    detail: str
    signatures: Signatures = msgspec.UNSET


class Verdicts(Document, frozen=True, kw_only=True, tag_field="schema", tag="publish.verify/1"):
    """All of them, in the order asked."""

    results: tuple[Verdict, ...]


class VersionStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A published version: its first exact tag, what that holds, and whether it is yanked."""

    version: str
    tag: str
    digest: Digest | None
    yanked: bool


class FloatingStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A floating tag. `desired` and `version` are None for an orphan; state: ok, drift, missing or orphan."""

    tag: str
    digest: Digest | None
    desired: Digest | None
    version: str | None
    state: str


class RepositoryStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One repository, newest first; `foreign` are the tags that no rule speaks of.

    omitted: how many older versions a limit left out.
    """

    repository: Repository
    versions: tuple[VersionStatus, ...]
    floating: tuple[FloatingStatus, ...]
    foreign: tuple[str, ...]
    omitted: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing is there that could be told of."""
        return not (self.versions or self.floating or self.foreign or self.omitted)


class Status(Document, frozen=True, kw_only=True, tag_field="schema", tag="publish.status/1"):
    """All repositories that the configuration names."""

    repositories: tuple[RepositoryStatus, ...]

    @property
    def drifted(self) -> tuple[str, ...]:
        """The references of the floating tags that are not where they belong."""
        return tuple(
            f"{repository.repository}:{line.tag}"
            for repository in self.repositories
            for line in repository.floating
            if line.state in {"drift", "missing"}
        )
