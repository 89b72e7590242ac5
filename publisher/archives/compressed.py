"""Archives that stand compressed: unpacked into a file first, since their members are read in place."""

from __future__ import annotations

import os
import sys
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, BinaryIO, Final, Protocol

from publisher.archives.layer import HARMLESS, LARGEST_RATIO
from publisher.model.errors import NO_ROOM, BadArchive, DiskFull

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PIECE: Final = 1 << 18
_OUTPUT: Final = 1 << 20
# What `xz -9` needs, and twice of it; a stream can state any size for the window that it wants.
_MOST_MEMORY: Final = 130 << 20
_WINDOW_LOG: Final = 27


class Decompressor(Protocol):
    """One stream, as bz2 and lzma of Python's library have it."""

    @property
    def eof(self) -> bool:
        """Whether the stream has come to its end."""

    @property
    def needs_input(self) -> bool:
        """Whether nothing more comes of what was given so far."""

    @property
    def unused_data(self) -> bytes:
        """What stands behind the end."""

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        """The next bytes that come of `data`, and of what was given before."""


def _gzip() -> Decompressor:
    from isal import igzip_lib

    decompressor: Decompressor = igzip_lib.IgzipDecompressor(igzip_lib.DECOMP_GZIP)
    return decompressor


def _bzip2() -> Decompressor:
    from bz2 import BZ2Decompressor

    return BZ2Decompressor()


def _xz() -> Decompressor:
    from lzma import FORMAT_XZ, LZMADecompressor

    return LZMADecompressor(FORMAT_XZ, memlimit=_MOST_MEMORY)


def _zstd() -> Decompressor:
    if sys.version_info >= (3, 14):
        from compression.zstd import DecompressionParameter, ZstdDecompressor
    else:
        from backports.zstd import DecompressionParameter, ZstdDecompressor
    decompressor: Decompressor = ZstdDecompressor(options={DecompressionParameter.window_log_max: _WINDOW_LOG})
    return decompressor


_FORMATS: Final[dict[bytes, Callable[[], Decompressor]]] = {
    b"\x1f\x8b": _gzip,
    b"BZh": _bzip2,
    b"\xfd7zXZ\x00": _xz,
    b"\x28\xb5\x2f\xfd": _zstd,
}
_LONGEST: Final = max(map(len, _FORMATS))


def _format(start: bytes) -> Callable[[], Decompressor] | None:
    return next((make for magic, make in _FORMATS.items() if start.startswith(magic)), None)


def open_unpacked(handle: int, source: str) -> int:
    """The descriptor of an archive as it is, or of a file without a name that holds it uncompressed.

    Takes over `handle`. Raises BadArchive for broken data and for a bomb, DiskFull.
    """
    if _format(os.pread(handle, _LONGEST, 0)) is None:
        return handle
    with open(handle, "rb") as stream, TemporaryFile(prefix="publish-") as target:
        unpack(stream, target, source)
        return os.dup(target.fileno())


def unpack(stream: BinaryIO, target: BinaryIO, source: str) -> None:
    """Write an archive, compressed or not, to `target`, a piece at a time.

    Raises BadArchive for an empty one, broken data and a bomb, DiskFull.
    """
    start = stream.read(_LONGEST)
    if not start:
        raise BadArchive("the archive is empty", reference=source)
    make = _format(start)
    pieces = _plain(start, stream) if make is None else _decompressed(start, stream, make, source)
    try:
        target.writelines(pieces)
        target.flush()
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        hint = "make room, or let TMPDIR name a folder with more"
        raise DiskFull(f"no room to unpack {source}", reference=source, hint=hint) from error


def _plain(start: bytes, stream: BinaryIO) -> Iterator[bytes]:
    yield start
    while piece := stream.read(_PIECE):
        yield piece


def _decompressed(start: bytes, stream: BinaryIO, make: Callable[[], Decompressor], source: str) -> Iterator[bytes]:
    """The uncompressed bytes; files that were written one behind the other count as one, with zeros between them."""
    rest, read, written = start, len(start), 0
    while rest:
        decompressor = make()
        while not decompressor.eof:
            if not rest and decompressor.needs_input:
                rest = stream.read(_PIECE)
                read += len(rest)
                if not rest:
                    raise BadArchive("the compressed archive is cut off", reference=source)
            output = _step(decompressor, rest, source)
            rest = b""
            written += len(output)
            if written > max(HARMLESS, read * LARGEST_RATIO):
                raise BadArchive("the archive grows more than a thousandfold: it is a bomb", reference=source)
            yield output
        rest = decompressor.unused_data.lstrip(b"\0")
        while not rest and (piece := stream.read(_PIECE)):
            rest = piece.lstrip(b"\0")
            read += len(piece)


def _step(decompressor: Decompressor, data: bytes, source: str) -> bytes:
    try:
        return decompressor.decompress(data, _OUTPUT)
    except Exception as error:  # each library has an error of its own
        raise BadArchive(f"the compressed archive is broken: {error}", reference=source) from error
