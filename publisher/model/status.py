"""How a repository's floating tags stand to its versions."""

from __future__ import annotations

import msgspec


class VersionStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A published version: its first exact tag, what that holds, and whether it is yanked."""

    version: str
    tag: str
    digest: str | None
    yanked: bool


class FloatingStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A floating tag. `desired` and `version` are None for an orphan; state: ok, drift, missing or orphan."""

    tag: str
    digest: str | None
    desired: str | None
    version: str | None
    state: str


class RepositoryStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One repository; `foreign` are the tags that no rule speaks of."""

    repository: str
    versions: tuple[VersionStatus, ...]
    floating: tuple[FloatingStatus, ...]
    foreign: tuple[str, ...]


class Status(msgspec.Struct, frozen=True, kw_only=True, tag_field="schema", tag="publish.status/1"):
    """All repositories that the configuration names."""

    repositories: tuple[RepositoryStatus, ...]
    sandbox: bool | msgspec.UnsetType = msgspec.UNSET

    @property
    def drifted(self) -> tuple[str, ...]:
        """The references of the floating tags that are not where they belong."""
        return tuple(
            f"{one.repository}:{line.tag}"
            for one in self.repositories
            for line in one.floating
            if line.state in {"drift", "missing"}
        )
