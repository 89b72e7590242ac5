"""The servers of the suite, and what each of them is known to do otherwise."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from publisher.sandbox.server import Sandbox
from tests.support.parts import find_tool
from tests.support.registry import run_registry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Feature(Enum):
    """What the specification leaves open, or came after distribution 2.8."""

    DELETE_BY_TAG = auto()  # else 400 or 405
    MULTI_TAG = auto()  # ?tag= beside a digest; else ignored
    REFERRERS = auto()  # else 404
    TAG_PAGES = auto()  # n, last and Link; else all tags at once
    SORTED_TAGS = auto()  # else in any order
    MONOLITHIC_POST = auto()  # else an ordinary upload begins
    CONTENT_RANGE = auto()  # checked: 416; else ignored
    RANGE_ERROR = auto()  # 416 with a body; else it breaks off after its headers
    STRICT_MANIFESTS = auto()  # refused as MANIFEST_INVALID; else some with other codes, some with 500
    DOUBLED_KEYS = auto()  # refused; else the last one counts
    STRICT_NAMES = auto()  # upper case is refused; else taken as a host's name
    MANIFEST_LIMIT = auto()  # told by 413; else by 400


ALL: Final = frozenset(Feature)
FEATURES: Final = {
    "memory": ALL,
    "folder": ALL,
    "distribution": frozenset[Feature](),
    "distribution-today": frozenset({Feature.RANGE_ERROR}),
}


@dataclass(frozen=True)
class Server:
    """A running registry."""

    url: str
    features: frozenset[Feature]

    def has(self, feature: Feature) -> bool:
        """Whether it does that."""
        return feature in self.features


@contextmanager
def run_server(kind: str, folder: Path) -> Iterator[Server]:
    """Start one of FEATURES; it keeps its content in `folder`, if anywhere."""
    if kind.startswith("distribution"):
        program = find_tool("docker-registry") if kind == "distribution-today" else "docker-registry"
        with run_registry(folder, program=program) as registry:
            yield Server(registry.url, FEATURES[kind])
    else:
        with Sandbox(store=folder if kind == "folder" else None) as sandbox:
            yield Server(sandbox.url, FEATURES[kind])
