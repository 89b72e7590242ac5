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


class Asked(Protocol):
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


class Logged(NamedTuple):
    """One line of a sandbox's own log."""

    method: str
    path: str
    status: int


def logged(requests: Iterable[dict[str, Any]]) -> list[Logged]:
    """What a sandbox was asked."""
    return [Logged(one["method"], one["path"], one["status"]) for one in requests]


@dataclass(frozen=True)
class _Write:
    """Something that was put: a blob, a manifest by digest, or a tag."""

    at: int
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


def check_order(trace: Iterable[Asked], store: Store | None) -> int:
    """One release's trace: blobs, manifests (children first), read back, exact tags, floating tags, `latest` last.

    The same through all repositories: all content everywhere, then exact tags, then floating ones. A look at the
    lists begins another round of floating tags. Returns how many writes were checked.
    store: where the content can be looked into; None where it is a registry of its own.
    """
    done = [one for one in trace if 200 <= one.status < 300]
    writes = [write for at, one in enumerate(done) if (write := _written(at, one))]
    tags = [write for write in writes if write.is_exact or write.is_floating]
    content = [write for write in writes if not write.is_tag]
    if store:
        _check_content(content, store)
    if not tags:
        return len(writes)
    first = tags[0]
    assert first.is_exact or not any(write.is_exact for write in tags), f"{first.target} came before the exact tag"
    late = [write.target for write in content if write.at > first.at]
    assert not late, f"{late[0]} was sent after the first tag"
    for name in {write.name for write in content}:
        last = max(write.at for write in content if write.name == name)
        read = [one for one in done[last : first.at] if one.method in {"GET", "HEAD"} and f"/v2/{name}/" in one.path]
        assert read, f"nothing was read back of {name} before the first tag"
    exact = [write.at for write in tags if write.is_exact]
    floating = [write for write in tags if write.is_floating]
    assert not floating or not exact or max(exact) < floating[0].at, f"a floating tag came too early: {tags}"
    lists = [at for at, one in enumerate(done) if "/tags/list" in one.path]
    for _round, group in groupby(floating, lambda write: sum(at < write.at for at in lists)):
        names = [write.target for write in group]
        assert "latest" not in names[: -max(1, names.count("latest"))], f"latest was not the last: {names}"
    return len(writes)


def _check_content(content: list[_Write], store: Store) -> None:
    """A manifest comes after its blobs, an index after its children."""
    sent = {(write.name, write.target): write.at for write in reversed(content)}
    for write in content:
        if write.is_blob:
            continue
        try:
            held = store.manifest(write.name, Digest.parse(write.target))
        except KeyError:  # collected since
            continue
        needed = held.manifests if isinstance(held, Index) else held.blobs
        early = [entry.digest for entry in needed if sent.get((write.name, str(entry.digest)), -1) > write.at]
        assert not early, f"{write.target} was sent before {early[0]}, which it needs"


def _written(at: int, one: Asked) -> _Write | None:
    match = _PUT.fullmatch(one.path.partition("?")[0]) or _PUT.fullmatch(one.path) if one.method == "PUT" else None
    if match is None:
        return None
    return _Write(at, match["name"], match["target"] or match["blob"].replace("%3A", ":"), bool(match["blob"]))


def check_state(store: Store, name: str, *, sole: bool = True) -> None:
    """No tag points to content that is missing, and no floating tag to content that lacks its exact tag.

    sole: whether nobody overwrites exact tags; content that was overwritten has none left.
    """
    held = store.state().get(name, {})
    exact = {digest for tag, digest in held.items() if _EXACT.fullmatch(tag)}
    for tag, digest in held.items():
        content = store.manifest(name, Digest.parse(digest))
        assert store.missing(name, content) is None, f"{tag} points to content that is not there"
        assert digest in exact or not sole or not _FLOATING.fullmatch(tag), f"{tag} is on content without an exact tag"
