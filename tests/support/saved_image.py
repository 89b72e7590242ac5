"""Images in files that `docker save` wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.archives.docker_archive import SavedImageFile, read_entry
from publisher.archives.packed import PackedFiles

if TYPE_CHECKING:
    from pathlib import Path


def open_docker_archive(path: Path, name: str = "") -> SavedImageFile:
    """The config and layers of an image, whatever manifests the file holds; `name` picks one of several."""
    files = PackedFiles.open_file(path, f"docker-archive:{path}")
    return SavedImageFile(files, *read_entry(files, name))
