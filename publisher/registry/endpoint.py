"""Where a repository's requests go."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from publisher.model.reference import HUB_REGISTRY
from publisher.model.value import Value

if TYPE_CHECKING:
    from publisher.model.reference import Repository


class Endpoint(Value, frozen=True):
    """A repository, the host[:port] to connect to, and its path there."""

    repository: Repository
    host: str
    path: str

    def sibling(self, other: Repository) -> str:
        """The path of another repository of the same registry."""
        return self.path.removesuffix(self.repository.name) + other.name


def locate(repository: Repository, sandbox: str | None) -> Endpoint:
    """The endpoint of `repository`; with `sandbox` (its URL) always there and nowhere else.

    In a sandbox a Hub repository keeps its name; another is HOST/NAME, the colon of HOST written as a dash.
    """
    if sandbox is None:
        return Endpoint(repository, HUB_REGISTRY if repository.on_hub else repository.registry, repository.name)
    host = urlsplit(sandbox).netloc
    if repository.on_hub or repository.registry == host:
        return Endpoint(repository, host, repository.name)
    folder = repository.registry.translate({ord("["): None, ord("]"): None, ord(":"): "-"}).strip("-")
    return Endpoint(repository, host, f"{folder}/{repository.name}")
