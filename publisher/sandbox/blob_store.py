"""Where the sandbox keeps bytes, by digest: in memory, or in a folder that survives a restart."""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import tempfile
import threading
from typing import TYPE_CHECKING, Final, Protocol

from publisher.model.digest import Digest
from publisher.model.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PIECE: Final = 1 << 20


class ContentFile(Protocol):
    """Where the bytes of one blob lie."""

    def write(self, data: bytes, /) -> int:
        """Take more bytes, at the end."""

    def seek(self, offset: int, /) -> int:
        """Read from there on."""

    def read(self, length: int, /) -> bytes:
        """The next bytes; none at the end."""

    def close(self) -> None:
        """Let go of them."""


class PartialBlob:
    """Bytes on their way in, hashed as they come. `path` is set where they lie in a file that has a name."""

    def __init__(self, file: ContentFile, path: Path | None = None) -> None:
        self.file, self.path = file, path
        self.size = 0
        self._hasher = hashlib.sha256()

    def append(self, piece: bytes) -> None:
        """Take more bytes."""
        self.file.write(piece)
        self._hasher.update(piece)
        self.size += len(piece)

    def matches(self, digest: Digest) -> bool:
        """Whether the bytes so far have that digest; those of sha512 are read again."""
        if digest.algorithm == "sha256":
            return Digest.finish(self._hasher) == digest
        hasher = digest.hasher()
        self.file.seek(0)
        while piece := self.file.read(PIECE):
            hasher.update(piece)
        return hasher.hexdigest() == digest.hex

    def discard(self) -> None:
        """Throw the bytes away."""
        self.file.close()
        if self.path:
            self.path.unlink(missing_ok=True)


class BlobBackend(Protocol):
    """Keeps content by digest, and one small record for each repository. Called from several threads."""

    def begin(self) -> PartialBlob:
        """Room for new content."""

    def keep(self, blob: PartialBlob, digest: Digest) -> None:
        """Content that is complete, and has that digest; it is there at once and as a whole."""

    def size(self, digest: Digest) -> int:
        """How many bytes that content has."""

    def read(self, digest: Digest, offset: int, length: int) -> bytes:
        """A part of it."""

    def save(self, name: str, record: bytes) -> None:
        """Keep a repository's record in place of the one before."""

    def records(self) -> Iterator[bytes]:
        """All records."""

    def close(self) -> None:
        """Let go of what is held."""


class _Arena:
    """One temporary file without a name, in pieces: thousands of blobs would take as many open files."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the store
        self._free: list[int] = []
        self._end = 0
        self._lock = threading.Lock()

    def take(self) -> int:
        """The place of a free piece."""
        with self._lock:
            if self._free:
                return self._free.pop()
            self._end += PIECE
            return self._end - PIECE

    def give(self, places: list[int]) -> None:
        """Pieces that nobody needs any more."""
        with self._lock:
            self._free += places

    def write(self, view: memoryview, place: int) -> None:
        """Put bytes there."""
        while view:
            count = os.pwrite(self._file.fileno(), view, place)
            view, place = view[count:], place + count

    def read(self, length: int, place: int) -> bytes:
        """Bytes from there."""
        return os.pread(self._file.fileno(), length, place)

    def close(self) -> None:
        """Forget everything."""
        self._file.close()


class _ArenaFile:
    """A blob: its first piece is in memory, the others are in the arena."""

    def __init__(self, arena: _Arena) -> None:
        self._arena = arena
        self._first = bytearray()
        self._places: list[int] = []
        self._size = self._offset = 0

    def write(self, data: bytes, /) -> int:
        view = memoryview(data)
        while view:
            number, start = divmod(self._size, PIECE)
            part = view[: PIECE - start]
            if not number:
                self._first += part
            else:
                if not start:
                    self._places.append(self._arena.take())
                self._arena.write(part, self._places[number - 1] + start)
            self._size, view = self._size + len(part), view[len(part) :]
        return len(data)

    def seek(self, offset: int, /) -> int:
        self._offset = offset
        return offset

    def read(self, length: int, /) -> bytes:
        parts: list[bytes] = []
        stop = min(self._offset + length, self._size)
        while self._offset < stop:
            number, start = divmod(self._offset, PIECE)
            size = min(PIECE - start, stop - self._offset)
            in_memory = bytes(self._first[start : start + size])
            parts.append(self._arena.read(size, self._places[number - 1] + start) if number else in_memory)
            self._offset += size
        return b"".join(parts)

    def close(self) -> None:
        self._arena.give(self._places)
        self._places, self._size = [], 0
        self._first.clear()


class MemoryBlobStore:
    """Gone at the end. What is bigger than a piece lies in a temporary file that has no name."""

    def __init__(self) -> None:
        self._contents: dict[Digest, tuple[ContentFile, int]] = {}
        self._arena = _Arena()
        self._lock = threading.Lock()

    def begin(self) -> PartialBlob:
        """Room for new content."""
        return PartialBlob(_ArenaFile(self._arena))

    def keep(self, blob: PartialBlob, digest: Digest) -> None:
        """Keep the first copy of it."""
        with self._lock:
            if digest in self._contents:
                blob.discard()
            else:
                self._contents[digest] = blob.file, blob.size

    def size(self, digest: Digest) -> int:
        """How many bytes that content has."""
        return self._contents[digest][1]

    def read(self, digest: Digest, offset: int, length: int) -> bytes:
        """A part of it."""
        with self._lock:
            file = self._contents[digest][0]
            file.seek(offset)
            return file.read(length)

    def save(self, name: str, record: bytes) -> None:
        """Nobody will ask for it."""

    def records(self) -> Iterator[bytes]:
        """None: nothing was here before."""
        yield from ()

    def close(self) -> None:
        """Forget everything."""
        self._contents.clear()
        self._arena.close()


class FolderBlobStore:
    """`blobs/ALGORITHM/HEX`, `repositories/*.json`, and in `uploads` what isn't complete.

    Raises UsageError where the folder can't be used, or another sandbox uses it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            for name in ("", "blobs", "blobs/sha256", "blobs/sha512", "repositories", "uploads"):
                (folder / name).mkdir(mode=0o700, exist_ok=True)
            self._lock = (folder / "lock").open("wb")
        except OSError as error:
            raise UsageError(f"the folder can't be used: {error.strerror}", reference=folder) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.close()
            raise UsageError("another sandbox uses the folder", reference=folder) from error
        for leftover in (folder / "uploads").glob("*.part"):
            leftover.unlink()

    def begin(self) -> PartialBlob:
        """A file in `uploads`."""
        path = self._folder / "uploads" / f"{secrets.token_hex(16)}.part"
        return PartialBlob(path.open("w+b"), path)

    def keep(self, blob: PartialBlob, digest: Digest) -> None:
        """Move the file to its place."""
        blob.file.close()
        if blob.path:
            blob.path.replace(self._path(digest))

    def size(self, digest: Digest) -> int:
        """How many bytes that content has."""
        return self._path(digest).stat().st_size

    def read(self, digest: Digest, offset: int, length: int) -> bytes:
        """A part of it."""
        with self._path(digest).open("rb") as file:
            file.seek(offset)
            return file.read(length)

    def save(self, name: str, record: bytes) -> None:
        """Write it beside the old one and swap them; a name's hash is a file name, whatever the name holds."""
        path = self._folder / "repositories" / f"{Digest.of(name.encode()).hex[:32]}.json"
        beside = path.with_suffix(".new")
        beside.write_bytes(record)
        beside.replace(path)

    def records(self) -> Iterator[bytes]:
        """All records, in no order."""
        for path in (self._folder / "repositories").glob("*.json"):
            yield path.read_bytes()

    def close(self) -> None:
        """Let another sandbox have the folder."""
        self._lock.close()

    def _path(self, digest: Digest) -> Path:
        return self._folder / "blobs" / digest.algorithm / digest.hex
