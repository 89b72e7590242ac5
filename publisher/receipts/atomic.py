"""Files that are old or new, never half."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file beside it, sync, rename, sync the folder: readers see the old file or the new one. Mode 0600."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


_GROWTH: Final = 32 << 10


class ReservedFile:
    """A file that is written again and again, whole each time, with room for that taken by the first write.

    Two files of that size, `path` and `spare`, change places at each write: none needs room that a full disk hasn't
    got. Until `close` the content is followed by blanks. spare: a name in the same folder.
    """

    def __init__(self, path: Path, spare: Path) -> None:
        self._path = path
        self._spare = spare
        self._size = 0
        self._length = 0

    def write(self, content: bytes) -> None:
        """Put the content in place; raises OSError, of a full disk at the first write, or where it grew too long."""
        if not self._size:
            self._reserve(content)
        elif len(content) < self._size and self._spare.exists():
            self._swap(content)
        else:
            write_atomically(self._path, content)
        self._length = len(content)

    def _padded(self, content: bytes) -> bytes:
        return content.ljust(self._size - 1) + b"\n"

    def _reserve(self, content: bytes) -> None:
        self._size = 2 * len(content) + _GROWTH
        try:
            # Written, not only allocated: that counts on every filesystem.
            write_atomically(self._spare, self._padded(b""))
            write_atomically(self._path, self._padded(content))
        except BaseException:
            self._size = 0
            self._spare.unlink(missing_ok=True)
            raise

    def _swap(self, content: bytes) -> None:
        file = os.open(self._spare, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.pwrite(file, self._padded(content), 0)
            # The size stays: the data alone has to be on the disk.
            os.fdatasync(file)
        finally:
            os.close(file)
        former = self._spare.with_name(f"{self._spare.name}.former")
        former.unlink(missing_ok=True)
        # Where there are no hard links the room is used up by this write, and the next takes its own.
        with suppress(OSError):
            former.hardlink_to(self._path)
        self._spare.replace(self._path)
        if former.exists():
            former.replace(self._spare)
        _sync_folder(self._path.parent)

    def close(self) -> None:
        """Give back the room."""
        if not self._size:
            return
        self._spare.unlink(missing_ok=True)
        with suppress(OSError):
            os.truncate(self._path, self._length)
        self._size = 0
