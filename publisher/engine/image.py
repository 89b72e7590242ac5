"""An image as the engine knows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from publisher.model.digest import Digest
from publisher.model.errors import BadReference, Unreachable
from publisher.model.manifest import Platform
from publisher.model.value import Value

if TYPE_CHECKING:
    from collections.abc import Mapping


class EngineImage(Value, frozen=True):
    """What `docker image inspect` shows. `size` is in bytes, unpacked.

    config: the config's digest, which is the image id in the classic store; None in a containerd store, whose ids
    are digests of manifests.
    """

    id: str
    config: Digest | None
    diff_ids: tuple[Digest, ...]
    repo_digests: tuple[str, ...]
    repo_tags: tuple[str, ...]
    labels: Mapping[str, str]
    platform: Platform
    size: int

    @classmethod
    def read(cls, document: dict[str, Any], *, classic: bool) -> Self:
        """Read the engine's answer; raises Unreachable for one that isn't an image."""
        try:
            # podman leaves the algorithm out.
            identifier = Digest.parse("sha256:" + document["Id"].removeprefix("sha256:"))
            return cls(
                str(identifier),
                identifier if classic else None,
                tuple(Digest.parse(text) for text in document["RootFS"].get("Layers") or ()),
                tuple(document.get("RepoDigests") or ()),
                tuple(document.get("RepoTags") or ()),
                (document.get("Config") or {}).get("Labels") or {},
                Platform(document.get("Os") or "", document.get("Architecture") or "", document.get("Variant") or ""),
                int(document.get("Size") or 0),
            )
        except (KeyError, TypeError, AttributeError, ValueError, BadReference) as error:
            raise Unreachable(f"the engine's description of an image is malformed: {error}") from error

    @property
    def references(self) -> tuple[str, ...]:
        """All names that keep it in the engine."""
        return self.repo_tags + self.repo_digests


class PullResult(Value, frozen=True):
    """What a pull brought: the image's id, and "none", "manifest" or "layers"."""

    id: str
    downloaded: str
