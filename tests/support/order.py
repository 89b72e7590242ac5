"""The order that every trace of requests has to keep, and what every state of a registry has to be like."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from publisher.model.digest import Digest
from publisher.model.manifest import Index

if TYPE_CHECKING:
    from collections.abc import Iterable

    from publisher.sandbox.store import Store

_PUT = re.compile(r"/v2/(?P<name>.+)/(?:manifests/(?P<target>[^/?]+)|blobs/uploads/.*[?&]digest=(?P<blob>[^&]+))")
_EXACT = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+")
_FLOATING = re.compile(r"latest|[0-9]+(\.[0-9]+)?")


class TracedRequest(Protocol):
    """One request as the registry saw it."""

    @property
    def method(self) -> str:
        """GET, PUT …"""

    @property
    def path(self) -> str:
        """With its query."""

    @property
    def status(self) -> int:
        """The registry's own answer, whether or not it arrived."""


class LoggedRequest(NamedTuple):
    """One line of a sandbox's own log."""

    method: str
    path: str
    status: int


def read_log(requests: Iterable[dict[str, Any]]) -> list[LoggedRequest]:
    """What a sandbox was asked."""
    return [LoggedRequest(entry["method"], entry["path"], entry["status"]) for entry in requests]


@dataclass(frozen=True)
class _Write:
    """Something that was put: a blob, a manifest by digest, or a tag."""

    position: int
    name: str
    target: str
    is_blob: bool = False

    @property
    def is_tag(self) -> bool:
        return ":" not in self.target

    @property
    def is_floating(self) -> bool:
        return _FLOATING.fullmatch(self.target) is not None

    @property
    def is_exact(self) -> bool:
        return _EXACT.fullmatch(self.target) is not None


def check_order(trace: Iterable[TracedRequest], store: Store | None) -> int:
    """One release's trace: blobs, manifests (children first), read back, exact tags, floating tags, `latest` last.

    The same through all repositories: all content everywhere, then exact tags, then floating ones. A look at the
    lists begins another round of floating tags. Returns how many writes were checked.
    store: where the content can be looked into; None where it is a registry of its own.
    """
    done = [request for request in trace if 200 <= request.status < 300]
    writes = [write for position, request in enumerate(done) if (write := _written(position, request))]
    tags = [write for write in writes if write.is_exact or write.is_floating]
    content = [write for write in writes if not write.is_tag]
    if store:
        _check_content(content, store)
    if not tags:
        return len(writes)
    first = tags[0]
    assert first.is_exact or not any(write.is_exact for write in tags), f"{first.target} came before the exact tag"
    late = [write.target for write in content if write.position > first.position]
    assert not late, f"{late[0]} was sent after the first tag"
    for name in {write.name for write in content}:
        last = max(write.position for write in content if write.name == name)
        read = [
            request
            for request in done[last : first.position]
            if request.method in {"GET", "HEAD"} and f"/v2/{name}/" in request.path
        ]
        assert read, f"nothing was read back of {name} before the first tag"
    exact = [write.position for write in tags if write.is_exact]
    floating = [write for write in tags if write.is_floating]
    assert not floating or not exact or max(exact) < floating[0].position, f"a floating tag came too early: {tags}"
    lists = [position for position, request in enumerate(done) if "/tags/list" in request.path]
    for _round, group in groupby(floating, lambda write: sum(position < write.position for position in lists)):
        names = [write.target for write in group]
        assert "latest" not in names[: -max(1, names.count("latest"))], f"latest was not the last: {names}"
    return len(writes)


def _check_content(content: list[_Write], store: Store) -> None:
    """A manifest comes after its blobs, an index after its children."""
    sent = {(write.name, write.target): write.position for write in reversed(content)}
    for write in content:
        if write.is_blob:
            continue
        try:
            manifest = store.manifest(write.name, Digest.parse(write.target))
        except KeyError:  # collected since
            continue
        needed = manifest.manifests if isinstance(manifest, Index) else manifest.blobs
        early = [entry.digest for entry in needed if sent.get((write.name, str(entry.digest)), -1) > write.position]
        assert not early, f"{write.target} was sent before {early[0]}, which it needs"


def _written(position: int, request: TracedRequest) -> _Write | None:
    match = (
        _PUT.fullmatch(request.path.partition("?")[0]) or _PUT.fullmatch(request.path)
        if request.method == "PUT"
        else None
    )
    if match is None:
        return None
    return _Write(position, match["name"], match["target"] or match["blob"].replace("%3A", ":"), bool(match["blob"]))


def check_state(store: Store, name: str, *, sole: bool = True) -> None:
    """No tag points to content that is missing, and no floating tag to content that lacks its exact tag.

    sole: whether nobody overwrites exact tags; content that was overwritten has none left.
    """
    tags = store.state().get(name, {})
    exact = {digest for tag, digest in tags.items() if _EXACT.fullmatch(tag)}
    for tag, digest in tags.items():
        content = store.manifest(name, Digest.parse(digest))
        assert store.missing(name, content) is None, f"{tag} points to content that is not there"
        assert digest in exact or not sole or not _FLOATING.fullmatch(tag), f"{tag} is on content without an exact tag"
