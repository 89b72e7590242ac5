"""A small image to try things with, where there is none at hand and no engine to build one."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from typing import TYPE_CHECKING, Final

from publisher.model import media
from publisher.model.digest import Digest
from publisher.model.manifest import Content, Descriptor, Platform, compose_index, compose_manifest

if TYPE_CHECKING:
    from publisher.sandbox.store import Store

NAME: Final = "sandbox/sample"
_PLATFORMS: Final = ("linux/amd64", "linux/arm64")
_WORDS: Final = "This image holds one file, and is there to be released.\n"


def put_sample(store: Store) -> None:
    """Put sandbox/sample:latest there: two platforms, the same bytes each time; what is there already stays."""
    if "latest" in store.state().get(NAME, {}):
        return
    layer = _layer()
    blob = _put_blob(store, gzip.compress(layer, mtime=0), media.OCI_LAYER_GZIP)
    entries = tuple(_image(store, Platform.parse(text), blob, Digest.of(layer)) for text in _PLATFORMS)
    store.put_manifest(NAME, compose_index(entries), ["latest"])


def _image(store: Store, platform: Platform, layer: Descriptor, diff_id: Digest) -> Descriptor:
    config = {
        "architecture": platform.architecture,
        "os": platform.os,
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [str(diff_id)]},
    }
    made: Content = compose_manifest(_put_blob(store, json.dumps(config).encode(), media.OCI_CONFIG), (layer,))
    store.put_manifest(NAME, made, [])
    return Descriptor(made.media_type, made.digest, len(made.content), platform)


def _put_blob(store: Store, content: bytes, kind: str) -> Descriptor:
    upload = store.begin(NAME)
    session = store.session(NAME, upload)
    assert session  # noqa: S101 - begun the line before
    session.draft.append(content)
    digest = Digest.of(content)
    store.finish(upload, digest)
    return Descriptor(kind, digest, len(content))


def _layer() -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        member = tarfile.TarInfo("README")
        member.size = len(_WORDS)
        archive.addfile(member, io.BytesIO(_WORDS.encode()))
    return raw.getvalue()
