"""Layers, compressed the same way every time."""

from __future__ import annotations

import hashlib
import struct
import sys
import zlib
from typing import TYPE_CHECKING, Final, Protocol, Self

from isal import isal_zlib

from publisher.model import media
from publisher.model.digest import Digest
from publisher.model.errors import ConfigError
from publisher.model.manifest import Descriptor
from publisher.model.value import Value

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


_HEADER: Final = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
"""Deflate, no name, no time, no system: the same bytes every time. Source: RFC 1952."""
_RAW: Final = -15  # zlib's window bits for deflate without a frame
_STORED: Final = struct.Struct("<BHH")
_LARGEST: Final = 0xFFFF
"""Bytes of a stored block. Source: RFC 1951, 3.2.4."""
_END: Final = b"\x03\x00"
"""A last block that holds nothing."""
_SAMPLE: Final = 16 * 1024
_WORTH: Final = 0.97
"""What samples must shrink to for the whole to be worth the work."""


class _Deflate(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...
    def flush(self, mode: int = ..., /) -> bytes: ...


class Gzip:
    """One file. The same pieces give the same bytes: whether a piece is stored is told by the piece alone."""

    def __init__(self, level: int) -> None:
        self._level = level
        self._deflate: _Deflate | None = None
        self._is_started = False
        self._crc = 0
        self._size = 0

    def compress(self, data: bytes, /) -> bytes:
        """What comes of the next piece; some of it may come later."""
        self._crc = isal_zlib.crc32(data, self._crc)
        self._size += len(data)
        start = b"" if self._is_started else _HEADER
        self._is_started = True
        if _is_noise(data, self._level):
            return start + self._close(zlib.Z_FULL_FLUSH) + _stored(data)
        if self._deflate is None:
            # A new one, since what was stored is not among what it may refer back to.
            self._deflate = isal_zlib.compressobj(self._level, isal_zlib.DEFLATED, _RAW)
        return start + self._deflate.compress(data)

    def flush(self) -> bytes:
        """The rest."""
        start = b"" if self._is_started else _HEADER
        end = self._close(zlib.Z_FINISH) or _END
        return start + end + struct.pack("<II", self._crc, self._size & 0xFFFFFFFF)

    def _close(self, mode: int) -> bytes:
        """End the compressed blocks that are open, on a whole byte."""
        rest = self._deflate.flush(mode) if self._deflate else b""
        self._deflate = None
        return rest


def _is_noise(data: bytes, level: int) -> bool:
    """Whether samples from its start, middle and end hardly shrink; small pieces are not worth the question."""
    if len(data) < 4 * _SAMPLE:
        return False
    middle = len(data) // 2
    samples = (data[:_SAMPLE], data[middle : middle + _SAMPLE], data[-_SAMPLE:])
    return all(len(isal_zlib.compress(sample, level, _RAW)) > _WORTH * _SAMPLE for sample in samples)


def _stored(data: bytes) -> bytes:
    parts = []
    for offset in range(0, len(data), _LARGEST):
        block = data[offset : offset + _LARGEST]
        parts += [_STORED.pack(0, len(block), len(block) ^ _LARGEST), block]
    return b"".join(parts)


_GZIP: Final = 31  # zlib's window bits for a gzip header: no name, no time, so the same bytes every time
_LEVELS: Final = {"gzip": range(10), "zstd": range(1, 23)}
_FAST: Final = 3
"""isal's highest level; what is above is zlib's, smaller and many times slower."""
_MEDIA_TYPES: Final = {"gzip": media.OCI_LAYER_GZIP, "zstd": media.OCI_LAYER_ZSTD}
_AT_LEAST: Final = 256 * 1024
_PIECE: Final = 1 << 20
"""What is compressed at once: whatever pieces a layer is read in, its blob is the same."""


class _Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...
    def flush(self) -> bytes: ...


class Compression(Value, frozen=True):
    """How layers are compressed: gzip at levels 0, the fastest, to 9, or zstd at 1 to 22."""

    name: str = "gzip"
    level: int = 1

    @classmethod
    def of(cls, name: str | None, level: int | None) -> Self | None:
        """What options say of it, None where they say nothing; raises ConfigError as check."""
        if name is None and level is None:
            return None
        compression = cls(name or "gzip", 1 if level is None else level)
        compression.check()
        return compression

    def check(self) -> None:
        """Raise ConfigError for a way or a level that there isn't."""
        levels = _LEVELS.get(self.name)
        if levels is None:
            raise ConfigError(f"compression '{self.name}' is not known", hint=f"it is one of {', '.join(_LEVELS)}")
        if self.level not in levels:
            hint = f"{self.name} takes {levels.start} to {levels.stop - 1}, 1 by default"
            raise ConfigError(f"compression level {self.level} is not one of {self.name}'s", hint=hint)

    @property
    def media_type(self) -> str:
        """Of the layers it makes."""
        return _MEDIA_TYPES[self.name]

    def start(self) -> _Compressor:
        """A compressor for one layer, with one thread: several would make other bytes of it."""
        return _zstd(self.level) if self.name == "zstd" else _gzip(self.level)


def _gzip(level: int) -> _Compressor:
    if level > _FAST:
        return zlib.compressobj(level, zlib.DEFLATED, _GZIP)

    return Gzip(level)


def _zstd(level: int) -> _Compressor:
    if sys.version_info >= (3, 14):
        from compression.zstd import CompressionParameter, ZstdCompressor
    else:
        from backports.zstd import CompressionParameter, ZstdCompressor
    # The checksum costs nothing beside sha256, and lets an engine tell which layer was damaged.
    options: dict[int, int] = {CompressionParameter.compression_level: level, CompressionParameter.checksum_flag: 1}
    return ZstdCompressor(options=options)


def _even_pieces(raw: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces of 1 MiB, but for the last."""
    pieces: list[bytes] = []
    size = 0
    for piece in raw:
        pieces.append(piece)
        size += len(piece)
        if size < _PIECE:
            continue
        whole = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        for offset in range(0, size - size % _PIECE, _PIECE):
            yield whole if len(whole) == _PIECE else whole[offset : offset + _PIECE]
        rest = whole[size - size % _PIECE :]
        pieces, size = ([rest], len(rest)) if rest else ([], 0)
    if pieces:
        yield b"".join(pieces)


class LayerCompressor:
    """One layer on its way through the compressor, counted and hashed."""

    def __init__(self, compression: Compression) -> None:
        self._compression = compression
        self._hasher = hashlib.sha256()
        self._size = 0

    def run(self, raw: Iterable[bytes]) -> Iterator[bytes]:
        """Compress `raw`, in pieces of at least 256 KiB but for the last."""
        compressor = self._compression.start()
        pieces: list[bytes] = []
        size = 0
        for piece in _even_pieces(raw):
            compressed = compressor.compress(piece)
            pieces.append(compressed)
            size += len(compressed)
            if size >= _AT_LEAST:
                yield b"".join(pieces)
                pieces, size = [], 0
        pieces.append(compressor.flush())
        yield b"".join(pieces)

    def count(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """Count and hash what `run` yields as it is sent; `run` may be in another thread."""
        for piece in pieces:
            self._hasher.update(piece)
            self._size += len(piece)
            yield piece

    def descriptor(self) -> Descriptor:
        """What was counted; valid after the last piece."""
        return Descriptor(self._compression.media_type, Digest.finish(self._hasher), self._size)
