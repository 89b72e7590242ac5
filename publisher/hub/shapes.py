"""The answers of Docker Hub's API, as far as they are used. What may be absent is optional: real answers leave it out.

Source: Docker Hub API 2-beta, and what its own clients read beyond that.
"""

from __future__ import annotations

import msgspec


class ImmutableSettings(msgspec.Struct, frozen=True):
    """Rules are kept while they are off. They are Go's regular expressions (RE2)."""

    enabled: bool = False
    rules: tuple[str, ...] = ()


class HubRepository(msgspec.Struct, frozen=True):
    """A repository's settings."""

    name: str
    description: str | None = None
    full_description: str | None = None
    is_private: bool = False
    immutable_tags_settings: ImmutableSettings | None = None

    @property
    def immutable(self) -> ImmutableSettings:
        """The rules of immutable tags."""
        return self.immutable_tags_settings or ImmutableSettings()


class HubImage(msgspec.Struct, frozen=True):
    """One platform of a tag."""

    architecture: str | None = None
    os: str | None = None
    variant: str | None = None
    digest: str | None = None

    @property
    def platform(self) -> str:
        """As in linux/arm64/v8; nothing for an attestation."""
        is_known = self.os not in {None, "", "unknown"} and self.architecture not in {None, "", "unknown"}
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part) if is_known else ""


class HubTag(msgspec.Struct, frozen=True):
    """A tag. Its digest may be absent or late: the registry's is the true one. Times are ISO 8601."""

    name: str
    full_size: int | None = None
    images: tuple[HubImage, ...] | None = None
    tag_last_pushed: str | None = None
    tag_last_pulled: str | None = None
    last_updated: str | None = None
    digest: str | None = None


class AccessToken(msgspec.Struct, frozen=True):
    """A personal access token; its secret is never told again."""

    scopes: tuple[str, ...] = ()
    is_active: bool = True


class Resource(msgspec.Struct, frozen=True):
    """What an organization access token reaches."""

    path: str = ""
    scopes: tuple[str, ...] = ()


class OrganizationToken(msgspec.Struct, frozen=True):
    """An organization access token."""

    is_active: bool = True
    resources: tuple[Resource, ...] = ()
