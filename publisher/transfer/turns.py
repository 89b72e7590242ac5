"""Turns at blobs: what several images of a run share is sent by the first of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.threads import Turns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractContextManager

    from publisher.model.digest import Digest
    from publisher.model.reference import Repository


class BlobTurns:
    """A lock for each blob (or layer, by its diffID) of a registry, and which repository was sent it in this run."""

    def __init__(self) -> None:
        self._turns = Turns()
        self._homes: dict[tuple[str, Digest], Repository] = {}

    def take(
        self, registry: str, digests: Iterable[Digest], check: Callable[[], None] = lambda: None
    ) -> AbstractContextManager[None]:
        """Wait until nobody else sends any of these blobs to the registry. check: raises where the wait is to end."""
        return self._turns.take([(registry, str(digest)) for digest in digests], check)

    def home(self, registry: str, digest: Digest) -> Repository | None:
        """The repository that was sent the blob in this run."""
        return self._homes.get((registry, digest))

    def add_home(self, repository: Repository, digest: Digest) -> None:
        """Note that a repository has been sent a blob."""
        self._homes.setdefault((repository.registry, digest), repository)
