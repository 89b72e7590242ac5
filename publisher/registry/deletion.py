"""Take tags away, and no other with them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from publisher.model import media
from publisher.model.errors import Refused
from publisher.model.manifest import Index
from publisher.model.reference import Tag

if TYPE_CHECKING:
    from collections.abc import Iterable

    from publisher.model.digest import Digest
    from publisher.model.manifest import Descriptor
    from publisher.registry.repository import RemoteRepository


class Deletion:
    """Deletes tags of a repository; safe to use from several threads.

    By the tag's name where the registry can do that; else by digest, which takes every tag of it along, and so only
    where all tags that hold it are `deleted_tags`, and no index lists it.
    """

    def __init__(self, remote: RemoteRepository, deleted_tags: Iterable[str] = ()) -> None:
        self._remote, self._deleted_tags = remote, frozenset(deleted_tags)
        self._others: dict[Tag, Descriptor] | None = None
        self._listed: dict[Digest, str] = {}
        self._lock = threading.Lock()

    def delete(self, tag: Tag) -> bool:
        """Delete one tag; False if it isn't there. Raises Refused where something else would go along.

        Whether it has gone is for the caller to look: reads may lag behind.
        """
        descriptor = self._remote.head(tag)
        if descriptor is None:
            return False
        try:
            self._remote.delete(tag)
        except Refused as refusal:
            self._check_alone(tag, descriptor.digest, refusal)
            self._remote.delete(descriptor.digest)
        return True

    def _check_alone(self, tag: Tag, digest: Digest, refusal: Refused) -> None:
        """Raise Refused where anything that stays holds the digest."""
        with self._lock:
            if self._others is None:
                self._survey(tag)
            others = self._others or {}
        others_of_digest = (name for name, descriptor in others.items() if name != tag and descriptor.digest == digest)
        if other := next(others_of_digest, None):
            raise self._not_alone(tag, f"the tag {other} holds the same content", refusal)
        if index := self._listed.get(digest):
            raise self._not_alone(tag, f"the index under {index} holds it too", refusal)

    def _survey(self, tag: Tag) -> None:
        """Read what every tag that stays holds, once for all that go."""
        others = [Tag(name) for name in self._remote.tags() if name not in self._deleted_tags | {tag}]
        descriptors = {name: descriptor for name in others if (descriptor := self._remote.head(name))}
        for name, descriptor in descriptors.items():
            content = self._remote.get(descriptor.digest) if descriptor.media_type in media.INDEXES else None
            entries = content.manifests if isinstance(content, Index) else ()
            self._listed.update({entry.digest: name for entry in entries})
        self._others = descriptors

    def _not_alone(self, tag: Tag, why: str, refusal: Refused) -> Refused:
        reference = f"{self._remote.repository}:{tag}"
        message = f"{reference} can't be deleted alone: the registry deletes by digest only, and {why}"
        return Refused(message, reference=reference, hint=refusal.hint)
