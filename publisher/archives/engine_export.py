"""What an engine writes of an image: its export, an OCI layout in a tar stream, and the archive of `docker save`."""

from __future__ import annotations

import errno
import os
import tempfile
from typing import TYPE_CHECKING, BinaryIO, Final

from publisher.archives.docker_archive import SavedImageFile, read_diff_ids, read_entry
from publisher.archives.oci_layout import OciLayout, blob_path, choose_image
from publisher.archives.packed import PackedFiles
from publisher.model.errors import BadArchive, DiskFull
from publisher.model.manifest import Content, Index, compose_index, read_document

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from publisher.model.manifest import Descriptor

_PIECE: Final = 1 << 20
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class EngineLayout:
    """An exported image: of its index only the platforms that the engine holds, since it may have pulled but one."""

    def __init__(self, layout: OciLayout) -> None:
        self._layout = layout

    def root(self) -> Content:
        """The index as it is where all of it is here; else what is here of it: one manifest, or a new index."""
        root = self._layout.root()
        if not isinstance(root, Index):
            return root
        entries = tuple(entry for entry in root.manifests if self._layout.holds(entry))
        if len(entries) == len(root.manifests):
            return root
        if all(entry.is_attestation for entry in entries):
            raise BadArchive(f"the engine holds no whole platform of {root.digest}")
        return self.manifest(entries[0]) if len(entries) == 1 else compose_index(entries, dict(root.annotations))

    def manifest(self, descriptor: Descriptor) -> Content:
        """A manifest of the export, checked against its digest."""
        return self._layout.manifest(descriptor)

    def open_blob(self, descriptor: Descriptor) -> AbstractContextManager[BinaryIO]:
        """A stream of a blob's bytes."""
        return self._layout.open_blob(descriptor)


def open_engine_layout(open_export: Callable[[], AbstractContextManager[BinaryIO]]) -> EngineLayout:
    """Keep the export in a temporary file, since its index comes last; it has no name, so nothing stays behind.

    Raises what `choose_image` raises, and DiskFull.
    """
    return EngineLayout(choose_image(PackedFiles(_spool(open_export), "the engine's export"), ""))


def _spool(open_export: Callable[[], AbstractContextManager[BinaryIO]]) -> int:
    try:
        with tempfile.TemporaryFile(prefix="publish-", buffering=0) as file, open_export() as export:
            while piece := export.read(_PIECE):
                file.write(piece)
            return os.dup(file.fileno())
    except OSError as error:
        if error.errno not in _FULL:
            raise
        folder = tempfile.gettempdir()
        raise DiskFull(f"no room for the engine's export in {folder}", hint="set TMPDIR to a larger disk") from error


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
