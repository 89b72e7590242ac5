"""OCI image layouts, in a folder or in a tar archive."""

from __future__ import annotations

import os
import stat
import tarfile
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, BinaryIO, Protocol, cast

from publisher.archives.docker_archive import check_member
from publisher.model import media
from publisher.model.errors import BadArchive, SourceNotFound
from publisher.model.manifest import LARGEST, Content, Index, parse_manifest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from publisher.model.digest import Digest
    from publisher.model.manifest import Descriptor

_NAME = "org.opencontainers.image.ref.name"


class _Files(Protocol):
    """The files of a layout; each is opened by its path within it."""

    def open(self, name: str) -> AbstractContextManager[BinaryIO]: ...


class _Folder:
    """A folder; links are not followed."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        try:
            handle = os.open(self._path / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError as error:
            raise BadArchive(f"{self._path} lacks {name}: {error.strerror}") from error
        with os.fdopen(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise BadArchive(f"{name} in {self._path} is not a file")
            yield file


class _Archive:
    """A tar file, whose members are found once and read in place."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with tarfile.open(path, mode="r:") as archive:
                seen = set[str]()
                self._members = {}
                for member in archive:
                    check_member(member, seen)
                    if member.isreg():
                        self._members[member.name.removeprefix("./")] = member
        except tarfile.TarError as error:
            raise BadArchive(f"{path} is malformed: {error}") from error

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        if name not in self._members:
            raise BadArchive(f"{self._path} lacks {name}")
        with tarfile.open(self._path, mode="r:") as archive:
            yield cast("BinaryIO", cast("IO[bytes]", archive.extractfile(self._members[name])))


class OciLayout:
    """One image of a layout: its bytes pass as they are."""

    def __init__(self, files: _Files, chosen: Descriptor) -> None:
        self._files = files
        self._chosen = chosen

    def root(self) -> Content:
        """The manifest or index that was chosen."""
        return self.manifest(self._chosen)

    def manifest(self, descriptor: Descriptor) -> Content:
        """A manifest of the layout, checked against its digest."""
        with self._files.open(_blob(descriptor.digest)) as file:
            content = file.read(LARGEST + 1)
        if len(content) != descriptor.size or not descriptor.digest.matches(content):
            raise BadArchive(f"the layout's manifest {descriptor.digest} isn't what its digest says")
        return parse_manifest(content, descriptor.media_type)

    def open_blob(self, descriptor: Descriptor) -> AbstractContextManager[BinaryIO]:
        """A stream of a blob's bytes."""
        return self._files.open(_blob(descriptor.digest))


def _blob(digest: Digest) -> str:
    return f"blobs/{digest.algorithm}/{digest.hex}"


def open_oci_layout(path: Path, tag: str = "") -> OciLayout:
    """The image `tag` of a folder, or its only one."""
    if not path.is_dir():
        raise SourceNotFound(f"there is no folder {path}", reference=f"oci:{path}")
    return _open(_Folder(path), tag, f"oci:{path}")


def open_oci_archive(path: Path, tag: str = "") -> OciLayout:
    """The image `tag` of a tar file, or its only one."""
    if not path.is_file():
        raise SourceNotFound(f"there is no archive {path}", reference=f"oci-archive:{path}")
    return _open(_Archive(path), tag, f"oci-archive:{path}")


def _open(files: _Files, tag: str, named: str) -> OciLayout:
    with files.open("index.json") as file:
        index = parse_manifest(file.read(LARGEST + 1), media.OCI_INDEX)
    if not isinstance(index, Index):
        raise BadArchive(f"{named}: index.json is not an index")
    fitting = [entry for entry in index.manifests if not tag or entry.annotations.get(_NAME) == tag]
    if len(fitting) != 1:
        names = ", ".join(entry.annotations.get(_NAME, str(entry.digest)) for entry in index.manifests)
        raise SourceNotFound(f"{named} holds {len(fitting)} images that fit", hint=f"it has: {names or 'none'}")
    return OciLayout(files, fitting[0])
