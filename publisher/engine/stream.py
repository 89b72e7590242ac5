"""Long answers of an engine, read as they come."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

import msgspec

from publisher.engine.refusal import BREAKS, broken_off, complaint

if TYPE_CHECKING:
    from collections.abc import Iterator

    import requests

_PIECE: Final = 1 << 20
# What engines put behind an export that failed under status 200; no tar archive ends so.
_COMPLAINT: Final = b'{"errorDetail"'


def pieces(response: requests.Response, reference: str) -> Iterator[bytes]:
    """The body as it arrives, in pieces of at most 1 MiB; raises Unreachable where it breaks off."""
    try:
        yield from response.raw.stream(_PIECE, decode_content=False)
    except BREAKS as error:
        raise broken_off(reference, error) from error


class ExportStream(io.RawIOBase):
    """An export as a file; raises Unreachable where it breaks off, DiskFull or Unreachable where the engine says so."""

    def __init__(self, found: Iterator[bytes], reference: str) -> None:
        self._pieces = found
        self._reference = reference
        self._rest = memoryview(b"")
        self._ahead: bytes | None = None

    def readable(self) -> bool:
        """Whether it can be read: it can."""
        return True

    def readinto(self, buffer: memoryview | bytearray) -> int:  # type: ignore[override]  # all that `io` gives it
        """Fill as much of `buffer` as has come; 0 is the end."""
        if not self._rest:
            self._rest = memoryview(self._fetch())
        given = min(len(buffer), len(self._rest))
        buffer[:given] = self._rest[:given]
        self._rest = self._rest[given:]
        return given

    def _fetch(self) -> bytes:
        piece = next(self._pieces, b"") if self._ahead is None else self._ahead
        self._ahead = None
        if piece.startswith(_COMPLAINT):
            # A layer's own bytes may look so; only at the very end they are the engine's words.
            self._ahead = next(self._pieces, b"")
            if not self._ahead:
                raise complaint(_words(piece), self._reference)
        return piece


def _words(piece: bytes) -> str:
    try:
        return str(msgspec.json.decode(piece)["errorDetail"]["message"])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError, TypeError):
        return piece[:500].decode(errors="replace")
