"""A docker-save archive of either store of the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.archives.docker_archive import SavedImageFile, read_diff_ids, read_listed
from publisher.archives.oci_layout import OciLayout, blob_path, choose_image
from publisher.archives.packed import Packed
from publisher.model.manifest import read_document

if TYPE_CHECKING:
    from pathlib import Path


def open_saved_archive(path: Path, wanted: str = "") -> SavedImageFile | OciLayout:
    """An image in a file that `docker save` wrote: its manifests where they are in it, else config and layers.

    A containerd store writes the manifests that it has, with compressed blobs; the classic store of engines since 25
    makes one up for its uncompressed layers, which nobody would want in a registry.
    Raises SourceNotFound where the file or the name is absent, BadArchive where its content is bad.
    """
    packed = Packed.at(path, f"docker-archive:{path}")
    if packed.find("index.json") is None:
        return SavedImageFile(packed, *read_listed(packed, wanted))
    if packed.find("manifest.json") is None:
        return choose_image(packed, wanted)
    layout = choose_image(packed, wanted)
    # An index lists what a manifest of ours could not: platforms, attestations.
    if layout.is_index or not _is_loose(packed, wanted):
        return layout
    return SavedImageFile(packed, *read_listed(packed, wanted))


def _is_loose(packed: Packed, wanted: str) -> bool:
    """Whether the layers stand under their diffIDs, so uncompressed."""
    listed, config = read_listed(packed, wanted)
    diff_ids = read_diff_ids(read_document(config))
    blobs = {name for name in listed.layers if name.startswith("blobs/")}
    return blobs <= {blob_path(diff_id) for diff_id in diff_ids}
