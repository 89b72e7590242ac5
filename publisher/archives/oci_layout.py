"""OCI image layouts, in a folder or in a tar archive."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, Protocol

from publisher.archives.docker_archive import open_member, read_members
from publisher.model import media
from publisher.model.errors import BadArchive, SourceNotFound
from publisher.model.manifest import LARGEST, Content, Index, parse_manifest
from publisher.model.printable import printable

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

    def has(self, name: str) -> bool: ...


class _Folder:
    """A folder; links are not followed."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def has(self, name: str) -> bool:
        return (self._path / name).is_file()

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        try:
            handle = self._opened(name)
        except OSError as error:
            raise BadArchive(f"{self._path} lacks {name}: {error.strerror}") from error
        with os.fdopen(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise BadArchive(f"{name} in {self._path} is not a file")
            yield file

    def _opened(self, name: str) -> int:
        """Go down folder by folder, since O_NOFOLLOW looks at a path's last part only."""
        *folders, last = name.split("/")
        handle = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY)
        for part, flags in [*((folder, os.O_DIRECTORY) for folder in folders), (last, os.O_NONBLOCK)]:
            try:
                below = os.open(part, os.O_RDONLY | os.O_NOFOLLOW | flags, dir_fd=handle)
            finally:
                os.close(handle)
            handle = below
        return handle


class _Archive:
    """A tar file, whose members are found once and read in place."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._members = {name: member for name, member in read_members(path).items() if member.isreg()}

    def has(self, name: str) -> bool:
        return name in self._members

    def open(self, name: str) -> AbstractContextManager[BinaryIO]:
        if name not in self._members:
            raise BadArchive(f"{self._path} lacks {name}")
        return open_member(self._path, self._members[name])


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

    def holds(self, descriptor: Descriptor) -> bool:
        """Whether a manifest is here with all that it lists."""
        if not self._files.has(_blob(descriptor.digest)):
            return False
        content = self.manifest(descriptor)
        if isinstance(content, Index):
            return all(self.holds(entry) for entry in content.manifests)
        return all(self._files.has(_blob(blob.digest)) for blob in content.blobs)


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
    if len({entry.digest for entry in fitting}) != 1:  # one image may stand under several names
        names = ", ".join(entry.annotations.get(_NAME, str(entry.digest)) for entry in index.manifests)
        raise SourceNotFound(
            f"{named} holds {len(fitting)} images that fit", hint=f"it has: {printable(names) or 'none'}"
        )
    return OciLayout(files, fitting[0])
