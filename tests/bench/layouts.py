"""OCI layouts to measure with: blobs of noise, new at every call, so that no run profits from the one before."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from publisher.model import media
from publisher.model.manifest import Descriptor, Platform, compose_index, compose_manifest
from tests.support.layout import write_blob

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SMALL = 2_000_000


def noise_layout(folder: Path, size: int = SMALL, platforms: int = 1) -> Path:
    """One layer of `size` bytes for each platform; an index where there are several."""
    entries = [_image(folder, size, f"linux/machine{number}") for number in range(platforms)]
    root = entries[0]
    if platforms > 1:
        index = compose_index(tuple(entries))
        root = write_blob(folder, index.content, index.media_type)
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [root.document()]}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    return folder


def digests(folder: Path) -> Sequence[str]:
    """Of the images that the layout's index lists."""
    root = json.loads((folder / "index.json").read_text())["manifests"][0]["digest"]
    index = json.loads((folder / "blobs" / "sha256" / root.removeprefix("sha256:")).read_text())
    return [entry["digest"] for entry in index["manifests"]]


def _image(folder: Path, size: int, name: str) -> Descriptor:
    platform = Platform.parse(name)
    layer = write_blob(folder, os.urandom(size), media.OCI_LAYER_GZIP)
    # What passes as it is nobody unpacks on its way.
    rootfs = {"type": "layers", "diff_ids": [str(layer.digest)]}
    text = json.dumps({"architecture": platform.architecture, "os": platform.os, "rootfs": rootfs})
    manifest = compose_manifest(write_blob(folder, text.encode(), media.OCI_CONFIG), (layer,))
    blob = write_blob(folder, manifest.content, manifest.media_type)
    return Descriptor(blob.media_type, blob.digest, blob.size, platform)
