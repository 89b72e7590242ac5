"""What an engine writes of an image: the stream of its containerd store's export, and the archive of `docker save`."""

from __future__ import annotations

import re
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, BinaryIO, Final

from publisher.archives.docker_archive import SavedImageFile, read_diff_ids, read_entry
from publisher.archives.oci_layout import OciLayout, blob_path, choose_image
from publisher.archives.packed import PackedFiles
from publisher.archives.tar import Tar
from publisher.model import media
from publisher.model.digest import Digest
from publisher.model.errors import BadArchive
from publisher.model.manifest import Index, parse_manifest, read_document

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

_BLOB: Final = re.compile(r"blobs/(sha256|sha512)/([0-9a-f]{64,128})")


class ExportedBlob:
    """A blob that passes now: its digest by its name, its size in bytes."""

    def __init__(self, digest: Digest, size: int, read: Callable[[int], bytes]) -> None:
        self.digest = digest
        self.size = size
        self._read = read

    def read(self, size: int, /) -> bytes:
        """The next bytes, at most `size`; empty at the end."""
        return self._read(size)


class EngineExport:
    """An export, read in one pass and kept nowhere. open_export: opens it anew, from its start.

    listing: its index.json, once a pass has come to its end.
    """

    def __init__(self, open_export: Callable[[], AbstractContextManager[BinaryIO]]) -> None:
        self._open = open_export
        self.listing: Index | None = None

    @contextmanager
    def blobs(self) -> Iterator[Iterator[ExportedBlob]]:
        """The blobs in the archive's order; each must be read before the next is taken, or is passed over."""
        with self._open() as stream:
            yield self._walk(Tar(stream))

    def _walk(self, tar: Tar) -> Iterator[ExportedBlob]:
        for member in tar:
            if member.name == "index.json":
                listing = parse_manifest(tar.read_whole(member), media.OCI_INDEX)
                if not isinstance(listing, Index):
                    raise BadArchive("the index.json of the engine's export is not an index")
                self.listing = listing
            elif named := _BLOB.fullmatch(member.name):
                yield ExportedBlob(Digest.parse(f"{named[1]}:{named[2]}"), member.size, partial(tar.read, member))


def open_saved_archive(path: Path, name: str = "", source: str = "") -> SavedImageFile | OciLayout:
    """An image in a file that `docker save` wrote: its manifests where they are in it, else config and layers.

    A containerd store writes the manifests that it has, with compressed blobs; the classic store of engines since 25
    makes one up for its uncompressed layers, which nobody would want in a registry.
    source: what it is called in messages. Raises SourceNotFound where the file or the name is absent, BadArchive where
    its content is bad.
    """
    files = PackedFiles.open_file(path, source or f"docker-archive:{path}")
    if files.find("index.json") is None:
        return SavedImageFile(files, *read_entry(files, name))
    if files.find("manifest.json") is None:
        return choose_image(files, name)
    layout = choose_image(files, name)
    # An index lists what a manifest of ours could not: platforms, attestations.
    if layout.is_index or not _is_loose(files, name):
        return layout
    return SavedImageFile(files, *read_entry(files, name))


def _is_loose(files: PackedFiles, name: str) -> bool:
    """Whether the layers stand under their diffIDs, so uncompressed."""
    entry, config = read_entry(files, name)
    diff_ids = read_diff_ids(read_document(config))
    blobs = {name for name in entry.layers if name.startswith("blobs/")}
    return blobs <= {blob_path(diff_id) for diff_id in diff_ids}
