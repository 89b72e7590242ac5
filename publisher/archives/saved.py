"""A docker-save archive of either store of the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.archives.docker_archive import SavedImageFile, read_diff_ids, read_entry
from publisher.archives.engine_export import EngineLayout
from publisher.archives.oci_layout import blob_path, choose_image
from publisher.archives.packed import PackedFiles
from publisher.model.manifest import read_document

if TYPE_CHECKING:
    from pathlib import Path


def open_saved_archive(path: Path, name: str = "") -> SavedImageFile | EngineLayout:
    """An image in a file that `docker save` wrote: its manifests where they are in it, else config and layers.

    A containerd store writes the manifests that it has, with compressed blobs; the classic store of engines since 25
    makes one up for its uncompressed layers, which nobody would want in a registry.
    Raises SourceNotFound where the file or the name is absent, BadArchive where its content is bad.
    """
    files = PackedFiles.open_file(path, f"docker-archive:{path}")
    if files.find("index.json") is not None and not _is_loose(files, name):
        return EngineLayout(choose_image(files, name))
    return SavedImageFile(files, *read_entry(files, name))


def _is_loose(files: PackedFiles, name: str) -> bool:
    """Whether the layers stand under their diffIDs, so uncompressed."""
    if files.find("manifest.json") is None:
        return False
    entry, config = read_entry(files, name)
    diff_ids = read_diff_ids(read_document(config))
    blobs = {name for name in entry.layers if name.startswith("blobs/")}
    return blobs <= {blob_path(diff_id) for diff_id in diff_ids}
