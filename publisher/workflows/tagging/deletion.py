"""Take tags away, on whatever registry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from publisher.model.errors import VerificationFailed
from publisher.registry.deletion import Deletion

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from publisher.model.reference import Tag
    from publisher.workflows.destination import Destination

# A registry may show a tag a little longer, Docker Hub's than its API.
_WAITS: Final = (0.0, 0.2, 0.5, 1.0, 2.0, 4.0)


class TagDeletion:
    """Deletes tags of one repository: on Docker Hub by its API, as its registry deletes by digest only.

    pause: waits so many seconds. going: all the tags that are to go, which may share content with each other.
    """

    def __init__(self, pause: Callable[[float], None], destination: Destination, going: Iterable[str] = ()) -> None:
        self._pause = pause
        self._destination = destination
        self._page = destination.page
        self._at_registry = Deletion(destination.remote, going)

    def delete(self, tag: Tag) -> bool:
        """Delete one tag; False if it wasn't there. Raises Refused where something else would go along."""
        # What Docker Hub's API doesn't know, its registry may: only the registry's answer counts.
        by_page = self._page is not None and self._page.delete_tag(tag)
        if not by_page and not self._at_registry.delete(tag):
            return False
        for seconds in _WAITS:
            if seconds:
                self._pause(seconds)
            if self._destination.remote.head(tag) is None:
                return True
        raise VerificationFailed(f"{self._destination}:{tag} is still there after it was deleted")
