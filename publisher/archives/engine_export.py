"""The export of an engine with a containerd store: blobs by their digests in a tar stream, and their index."""

from __future__ import annotations

import re
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, BinaryIO, Final

from publisher.archives.tar import Tar
from publisher.model import media
from publisher.model.digest import Digest
from publisher.model.errors import BadArchive
from publisher.model.manifest import Index, parse_manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

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
