"""Gzip by isal, which doesn't labour at what can't be compressed: it is stored as it is."""

from __future__ import annotations

import struct
import zlib
from typing import Final, Protocol

from isal import isal_zlib

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
        self._begun = False
        self._crc = 0
        self._size = 0

    def compress(self, data: bytes, /) -> bytes:
        """What comes of the next piece; some of it may come later."""
        self._crc = isal_zlib.crc32(data, self._crc)
        self._size += len(data)
        start = b"" if self._begun else _HEADER
        self._begun = True
        if _is_noise(data, self._level):
            return start + self._close(zlib.Z_FULL_FLUSH) + _stored(data)
        if self._deflate is None:
            # A new one, since what was stored is not among what it may refer back to.
            self._deflate = isal_zlib.compressobj(self._level, isal_zlib.DEFLATED, _RAW)
        return start + self._deflate.compress(data)

    def flush(self) -> bytes:
        """The rest."""
        start = b"" if self._begun else _HEADER
        end = self._close(zlib.Z_FINISH) or _END
        return start + end + struct.pack("<II", self._crc, self._size & 0xFFFFFFFF)

    def _close(self, mode: int) -> bytes:
        """End the compressed blocks that are open, on a whole byte."""
        made = self._deflate.flush(mode) if self._deflate else b""
        self._deflate = None
        return made


def _is_noise(data: bytes, level: int) -> bool:
    """Whether samples from its start, middle and end hardly shrink; small pieces are not worth the question."""
    if len(data) < 4 * _SAMPLE:
        return False
    middle = len(data) // 2
    samples = (data[:_SAMPLE], data[middle : middle + _SAMPLE], data[-_SAMPLE:])
    return all(len(isal_zlib.compress(sample, level, _RAW)) > _WORTH * _SAMPLE for sample in samples)


def _stored(data: bytes) -> bytes:
    parts = []
    for at in range(0, len(data), _LARGEST):
        block = data[at : at + _LARGEST]
        parts += [_STORED.pack(0, len(block), len(block) ^ _LARGEST), block]
    return b"".join(parts)
