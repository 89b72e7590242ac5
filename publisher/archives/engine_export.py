"""The export of an engine with a containerd store: an OCI layout within a tar stream."""

from __future__ import annotations

import errno
import os
import tempfile
from typing import TYPE_CHECKING, BinaryIO, Final

from publisher.archives.oci_layout import OciLayout, choose_image
from publisher.archives.packed import PackedFiles
from publisher.model.errors import BadArchive, DiskFull
from publisher.model.manifest import Content, Index, compose_index

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

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
