"""A tar file whose members are found once and then read in place, by several threads at the same time."""

from __future__ import annotations

import io
import os
import weakref
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, Self

from publisher.archives.compressed import open_unpacked
from publisher.archives.tar import Tar
from publisher.model.errors import BadArchive, SourceNotFound

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from publisher.archives.tar import Member


class PackedFiles:
    """Files within an archive, by name; raises BadArchive for what no image needs.

    handle: a file descriptor of the archive, which is closed together with this object.
    source: the archive, for messages.
    """

    def __init__(self, handle: int, source: str) -> None:
        self._handle = handle
        self.source = source
        weakref.finalize(self, os.close, handle)
        with open(handle, "rb", closefd=False) as stream:
            stream.seek(0)
            tar = Tar(stream)
            self._members = {member.name: member for member in tar}
        self._names = tar.names

    @classmethod
    def open_file(cls, path: Path, source: str) -> Self:
        """The archive in a file, compressed or not; raises SourceNotFound, BadArchive, DiskFull."""
        if path.is_dir():
            raise SourceNotFound(f"{path} is a folder, not an archive", reference=source, hint=f"write oci:{path}")
        if not path.is_file():
            raise SourceNotFound(f"there is no archive {path}", reference=source)
        try:
            handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise SourceNotFound(f"{path} can't be read: {error.strerror}", reference=source) from error
        return cls(open_unpacked(handle, source), source)

    def find(self, name: str) -> Member | None:
        """The file of that name, or the one that a link of that name leads to."""
        return self._members.get(self._names.file(name))

    def holds(self, name: str, size: int) -> bool:
        """Whether there is a file of that name and size."""
        member = self.find(name)
        return member is not None and member.size == size

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        """The bytes of one file; raises BadArchive where it is missing."""
        member = self.find(name)
        if member is None:
            raise BadArchive(f"the archive lacks {name}", reference=self.source)
        with io.BufferedReader(_Window(self._handle, member)) as stream:
            yield stream


class _Window(io.RawIOBase):
    """One member's bytes within the file."""

    def __init__(self, handle: int, member: Member) -> None:
        self._handle = handle
        self._name = member.name
        self._position = member.offset
        self._end = member.offset + member.size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview | bytearray) -> int:  # type: ignore[override]  # all that `io` gives it
        # A slice of a bytearray would be a copy.
        view = memoryview(buffer)[: self._end - self._position]
        read = os.preadv(self._handle, [view], self._position) if view else 0
        if view and not read:
            raise BadArchive(f"the archive was cut off while {self._name} was read")
        self._position += read
        return read
