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
    where all tags that hold it are `going`, and no index lists it.
    """

    def __init__(self, remote: RemoteRepository, going: Iterable[str] = ()) -> None:
        self._remote, self._going = remote, frozenset(going)
        self._others: dict[Tag, Descriptor] | None = None
        self._listed: dict[Digest, str] = {}
        self._lock = threading.Lock()

    def delete(self, tag: Tag) -> bool:
        """Delete one tag; False if it isn't there. Raises Refused where something else would go along.

        Whether it has gone is for the caller to look: reads may lag behind.
        """
        held = self._remote.head(tag)
        if held is None:
            return False
        try:
            self._remote.delete(tag)
        except Refused as refusal:
            self._check_alone(tag, held.digest, refusal)
            self._remote.delete(held.digest)
        return True

    def _check_alone(self, tag: Tag, digest: Digest, refusal: Refused) -> None:
        """Raise Refused where the digest is held by anything that stays."""
        with self._lock:
            if self._others is None:
                self._look(tag)
            others = self._others or {}
        if holder := next((name for name, held in others.items() if name != tag and held.digest == digest), None):
            raise self._too_much(tag, f"the tag {holder} holds the same content", refusal)
        if index := self._listed.get(digest):
            raise self._too_much(tag, f"the index under {index} holds it too", refusal)

    def _look(self, tag: Tag) -> None:
        """Read what every tag that stays holds, once for all that go."""
        staying = [Tag(name) for name in self._remote.tags() if name not in self._going | {tag}]
        found = {name: held for name in staying if (held := self._remote.head(name))}
        for name, held in found.items():
            content = self._remote.get(held.digest) if held.media_type in media.INDEXES else None
            entries = content.manifests if isinstance(content, Index) else ()
            self._listed.update({entry.digest: name for entry in entries})
        self._others = found

    def _too_much(self, tag: Tag, why: str, refusal: Refused) -> Refused:
        named = f"{self._remote.repository}:{tag}"
        said = f"{named} can't be deleted alone: the registry deletes by digest only, and {why}"
        return Refused(said, reference=named, hint=refusal.hint)
