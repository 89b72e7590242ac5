"""A repository that a run works on, with all that speaks for it; nearly every workflow is handed some."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from publisher.hub.repository import HubPage
    from publisher.model.reference import Repository
    from publisher.planning.rules import Ruleset
    from publisher.registry.repository import RemoteRepository


class Destination:
    """A repository behind its registry's API, and the rules that its tags follow, none where a command needs none."""

    def __init__(self, remote: RemoteRepository, ruleset: Ruleset, open_page: Callable[[], HubPage]) -> None:
        self.repository: Repository = remote.repository
        self.remote = remote
        self.ruleset = ruleset
        self._open_page = open_page

    @cached_property
    def page(self) -> HubPage | None:
        """Its page on Docker Hub; None for a repository elsewhere."""
        return self._open_page() if self.repository.on_hub else None

    def __str__(self) -> str:
        return str(self.repository)
