"""Layers, compressed the same way every time."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from isal import isal_zlib

from publisher.model import media
from publisher.model.digest import Digest
from publisher.model.errors import ConfigError
from publisher.model.manifest import Descriptor

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_GZIP = 31  # zlib's window bits for a gzip header: no name, no time, so the same bytes every time
_LEVELS = range(4)
_AT_LEAST = 256 * 1024


@dataclass(frozen=True, slots=True)
class Compression:
    """How layers are compressed: isal's gzip, levels 0 (fastest) to 3."""

    name: str = "gzip"
    level: int = 1

    def check(self) -> None:
        """Raise ConfigError for what this version can't do."""
        if self.name != "gzip":
            raise ConfigError(
                f"compression '{self.name}' is not in this version of publish", hint='use compression = "gzip"'
            )
        if self.level not in _LEVELS:
            raise ConfigError(f"compression level {self.level} is not known", hint="gzip takes 0 to 3, 1 by default")

    @property
    def media_type(self) -> str:
        """Of the layers it makes."""
        return media.OCI_LAYER_GZIP


class Compressed:
    """One layer on its way through the compressor, counted and hashed."""

    def __init__(self, compression: Compression) -> None:
        self._compression = compression
        self._hasher = hashlib.sha256()
        self._size = 0

    def run(self, raw: Iterable[bytes]) -> Iterator[bytes]:
        """Compress `raw`, in pieces of at least 256 KiB but for the last."""
        compressor = isal_zlib.compressobj(self._compression.level, isal_zlib.DEFLATED, _GZIP)
        gathered: list[bytes] = []
        waiting = 0
        for piece in raw:
            made = compressor.compress(piece)
            gathered.append(made)
            waiting += len(made)
            if waiting >= _AT_LEAST:
                yield self._count(b"".join(gathered))
                gathered, waiting = [], 0
        gathered.append(compressor.flush())
        yield self._count(b"".join(gathered))

    def _count(self, made: bytes) -> bytes:
        self._hasher.update(made)
        self._size += len(made)
        return made

    def descriptor(self) -> Descriptor:
        """What was made; valid after the last piece."""
        return Descriptor(self._compression.media_type, Digest.finish(self._hasher), self._size)
