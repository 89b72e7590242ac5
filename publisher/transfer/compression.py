"""Layers, compressed the same way every time."""

from __future__ import annotations

import hashlib
import sys
import zlib
from typing import TYPE_CHECKING, Final, Protocol

from publisher.model import media
from publisher.model.digest import Digest
from publisher.model.errors import ConfigError
from publisher.model.manifest import Descriptor
from publisher.model.value import Value

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

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
    from publisher.transfer.gzip import Gzip

    return Gzip(level)


def _zstd(level: int) -> _Compressor:
    if sys.version_info >= (3, 14):
        from compression.zstd import CompressionParameter, ZstdCompressor
    else:
        from backports.zstd import CompressionParameter, ZstdCompressor
    # The checksum costs nothing beside sha256, and lets an engine tell which layer was damaged.
    options: dict[int, int] = {CompressionParameter.compression_level: level, CompressionParameter.checksum_flag: 1}
    return ZstdCompressor(options=options)


def _evenly(raw: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces of 1 MiB, but for the last."""
    gathered: list[bytes] = []
    waiting = 0
    for piece in raw:
        gathered.append(piece)
        waiting += len(piece)
        if waiting < _PIECE:
            continue
        whole = gathered[0] if len(gathered) == 1 else b"".join(gathered)
        for at in range(0, waiting - waiting % _PIECE, _PIECE):
            yield whole if len(whole) == _PIECE else whole[at : at + _PIECE]
        rest = whole[waiting - waiting % _PIECE :]
        gathered, waiting = ([rest], len(rest)) if rest else ([], 0)
    if gathered:
        yield b"".join(gathered)


class Compressed:
    """One layer on its way through the compressor, counted and hashed."""

    def __init__(self, compression: Compression) -> None:
        self._compression = compression
        self._hasher = hashlib.sha256()
        self._size = 0

    def run(self, raw: Iterable[bytes]) -> Iterator[bytes]:
        """Compress `raw`, in pieces of at least 256 KiB but for the last."""
        compressor = self._compression.start()
        gathered: list[bytes] = []
        waiting = 0
        for piece in _evenly(raw):
            made = compressor.compress(piece)
            gathered.append(made)
            waiting += len(made)
            if waiting >= _AT_LEAST:
                yield b"".join(gathered)
                gathered, waiting = [], 0
        gathered.append(compressor.flush())
        yield b"".join(gathered)

    def counted(self, made: Iterable[bytes]) -> Iterator[bytes]:
        """What `run` made, as it is sent; it may run in another thread."""
        for piece in made:
            self._hasher.update(piece)
            self._size += len(piece)
            yield piece

    def descriptor(self) -> Descriptor:
        """What was counted; valid after the last piece."""
        return Descriptor(self._compression.media_type, Digest.finish(self._hasher), self._size)
