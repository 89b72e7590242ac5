"""OCI layouts made in pure Python: images for tests that need no engine."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from typing import TYPE_CHECKING

from publisher.model import media
from publisher.model.digest import Digest
from publisher.model.manifest import Descriptor, Platform, compose_index, compose_manifest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def make_layout(
    folder: Path,
    content: str,
    platforms: tuple[str, ...] = ("linux/amd64",),
    *,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
) -> Digest:
    """Write a layout with one image for each platform, as an index if there are several; returns the root's digest.

    labels: of every image's config; annotations: of every image's manifest.
    """
    stated = (labels or {}, annotations or {})
    entries = tuple(_image(folder, content, Platform.parse(text), *stated) for text in platforms)
    root = entries[0]
    if len(entries) > 1:
        index = compose_index(entries)
        root = write_blob(folder, index.content, index.media_type)
    listing = {"schemaVersion": 2, "manifests": [root.document()]}
    (folder / "index.json").write_text(json.dumps(listing))
    (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    return root.digest


def _image(
    folder: Path, content: str, platform: Platform, labels: Mapping[str, str], annotations: Mapping[str, str]
) -> Descriptor:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        member = tarfile.TarInfo("content")
        data = f"{content} {platform}".encode()
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    config = {
        "architecture": platform.architecture,
        "os": platform.os,
        "config": {"Labels": dict(labels)} if labels else {},
        "rootfs": {"type": "layers", "diff_ids": [str(Digest.of(raw.getvalue()))]},
    }
    layer = write_blob(folder, gzip.compress(raw.getvalue(), mtime=0), media.OCI_LAYER_GZIP)
    described = write_blob(folder, json.dumps(config).encode(), media.OCI_CONFIG)
    manifest = compose_manifest(described, (layer,), annotations=dict(annotations))
    blob = write_blob(folder, manifest.content, manifest.media_type)
    return Descriptor(blob.media_type, blob.digest, blob.size, platform)


def write_blob(folder: Path, content: bytes, kind: str) -> Descriptor:
    """Put a blob into a layout; `kind` is its media type."""
    digest = Digest.of(content)
    path = folder / "blobs" / digest.algorithm / digest.hex
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return Descriptor(kind, digest, len(content))
