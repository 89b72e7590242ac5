"""Take tags away, on whatever registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.model.errors import VerificationFailed
from publisher.registry.deletion import Deletion

if TYPE_CHECKING:
    from collections.abc import Iterable

    from publisher.model.reference import Tag
    from publisher.workflows.destination import Destination
    from publisher.workflows.session import Session


class TagDeletion:
    """Deletes tags of one repository: on Docker Hub by its API, as its registry deletes by digest only.

    going: all the tags that are to go, which may share content with each other.
    """

    def __init__(self, session: Session, destination: Destination, going: Iterable[str] = ()) -> None:
        self._session = session
        self._destination = destination
        self._page = destination.page
        self._at_registry = Deletion(destination.remote, going)

    def delete(self, tag: Tag) -> bool:
        """Delete one tag; False if it wasn't there. Raises Refused where something else would go along."""
        # What Docker Hub's API doesn't know, its registry may: only the registry's answer counts.
        by_page = self._page is not None and self._page.delete_tag(tag)
        if not by_page and not self._at_registry.delete(tag):
            return False
        remote = self._destination.remote
        if self._session.read_until(lambda: remote.head(tag), lambda descriptor: descriptor is None) is None:
            return True
        raise VerificationFailed(f"{self._destination}:{tag} is still there after it was deleted")
