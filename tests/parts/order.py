"""The order that every trace of requests has to keep."""

from __future__ import annotations

import re
from typing import Any

_PUT = re.compile(r"/v2/(?P<name>.+)/manifests/(?P<target>[^/?]+)")
_EXACT = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+")


def check_order(trace: list[dict[str, Any]], name: str) -> None:
    """One release's writes: blobs, then manifests by digest, read back, exact tags, floating tags, latest last."""
    done = [one for one in trace if 200 <= one["status"] < 300]
    writes = [(at, match["target"]) for at, one in enumerate(done) if (match := _written(one, name))]
    tags = [(at, target) for at, target in writes if ":" not in target]
    if not tags:
        return
    first = tags[0][0]
    assert _EXACT.fullmatch(tags[0][1]), f"{tags[0][1]} was written before the exact tag"
    late = [one["path"] for one in done[first:] if one["method"] in {"PATCH", "PUT"} and "/blobs/" in one["path"]]
    assert not late, f"{late[0]} was sent after the first tag"
    assert not [target for at, target in writes if ":" in target and at > first], "a manifest came after the first tag"
    by_digest = [at for at, target in writes if ":" in target]
    if by_digest:
        read = [one for one in done[by_digest[-1] : first] if one["method"] in {"GET", "HEAD"}]
        assert read, "nothing was read back before the first tag"
    names = [target for _at, target in tags]
    assert "latest" not in names[:-1], f"latest was not the last: {names}"
    floating = [at for at, target in tags if not _EXACT.fullmatch(target)]
    exact = [at for at, target in tags if _EXACT.fullmatch(target)]
    assert not floating or max(exact) < min(floating), f"a floating tag was written before an exact one: {names}"


def _written(one: dict[str, Any], name: str) -> re.Match[str] | None:
    match = _PUT.fullmatch(one["path"].partition("?")[0]) if one["method"] == "PUT" else None
    return match if match and match["name"] == name else None


def check_state(store: Any, name: str) -> None:
    """No tag points to content that is missing, and no floating tag to content that lacks its exact tag."""
    from publisher.model.digest import Digest

    held = store.state().get(name, {})
    exact = {digest for tag, digest in held.items() if _EXACT.fullmatch(tag)}
    for tag, digest in held.items():
        content = store.manifest(name, Digest.parse(digest))
        assert store.missing(name, content) is None, f"{tag} points to content that is not there"
        assert digest in exact, f"{tag} is on content without an exact tag"
