"""The lock of one release: held by one run at a time, let go when the process ends."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

from publisher.model.errors import Locked

if TYPE_CHECKING:
    from pathlib import Path


class Lock:
    """An exclusive lock on `path`, which holds the owner's process id; raises Locked, or OSError of the disk."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = _take(path)
        os.truncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let go; the file goes first, so that none is left behind. Twice does no harm."""
        if self._file >= 0:
            self._path.unlink(missing_ok=True)
            os.close(self._file)
            self._file = -1


def _take(path: Path) -> int:
    # An owner that ends removes its file: what was locked may then be a file that nobody else will find.
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists() and os.path.samestat(os.fstat(file), path.stat()):
                return file
        except BlockingIOError as error:
            raise _locked(file, path) from error
        except BaseException:
            os.close(file)
            raise
        os.close(file)


def _locked(file: int, path: Path) -> Locked:
    owner = os.pread(file, 32, 0).strip().decode("ascii", "replace")
    os.close(file)
    who = f"process {owner}" if owner.isdigit() else "its process"
    return Locked(
        f"another run of publish ({who}) works on the same release", reference=path, hint="wait until it has ended"
    )
