"""The export of an engine with a containerd store: an OCI layout within a tar stream."""

from __future__ import annotations

import tempfile
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from publisher.archives.oci_layout import OciLayout, open_oci_archive

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

_PIECE = 1 << 20


def open_engine_layout(open_export: Callable[[], AbstractContextManager[BinaryIO]]) -> OciLayout:
    """Keep the export in one temporary file, since its index comes last; the file goes with the layout."""
    with tempfile.NamedTemporaryFile(prefix="publish-", suffix=".tar", delete=False) as file, open_export() as export:
        while piece := export.read(_PIECE):
            file.write(piece)
    layout = open_oci_archive(Path(file.name))
    weakref.finalize(layout, Path(file.name).unlink, missing_ok=True)
    return layout
