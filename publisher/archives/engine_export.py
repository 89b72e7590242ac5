"""The export of an engine with a containerd store: an OCI layout within a tar stream."""

from __future__ import annotations

import tempfile
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from publisher.archives.oci_layout import OciLayout, open_oci_archive
from publisher.model.errors import BadArchive
from publisher.model.manifest import Content, Index, compose_index

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from publisher.model.manifest import Descriptor

_PIECE = 1 << 20


class EngineLayout:
    """An exported image: of its index only the platforms that the engine holds, since it may have pulled but one."""

    def __init__(self, layout: OciLayout) -> None:
        self._layout = layout

    def root(self) -> Content:
        """The index as it is where all of it is here; else what is here of it: one manifest, or a new index."""
        root = self._layout.root()
        if not isinstance(root, Index):
            return root
        held = tuple(entry for entry in root.manifests if self._layout.holds(entry))
        if len(held) == len(root.manifests):
            return root
        if all(entry.is_attestation for entry in held):
            raise BadArchive(f"the engine holds no whole platform of {root.digest}")
        return self.manifest(held[0]) if len(held) == 1 else compose_index(held, dict(root.annotations))

    def manifest(self, descriptor: Descriptor) -> Content:
        """A manifest of the export, checked against its digest."""
        return self._layout.manifest(descriptor)

    def open_blob(self, descriptor: Descriptor) -> AbstractContextManager[BinaryIO]:
        """A stream of a blob's bytes."""
        return self._layout.open_blob(descriptor)


def open_engine_layout(open_export: Callable[[], AbstractContextManager[BinaryIO]]) -> EngineLayout:
    """Keep the export in one temporary file, since its index comes last; the file goes with the layout."""
    with tempfile.NamedTemporaryFile(prefix="publish-", suffix=".tar", delete=False) as file:
        path = Path(file.name)
        try:
            with open_export() as export:
                while piece := export.read(_PIECE):
                    file.write(piece)
            file.flush()
            layout = EngineLayout(open_oci_archive(path))
        except BaseException:
            path.unlink(missing_ok=True)
            raise
    weakref.finalize(layout, path.unlink, missing_ok=True)
    return layout
