"""Blobs on their way from a registry."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

from publisher.http.message import ConnectionLost
from publisher.model.errors import VerificationFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from _typeshed import WriteableBuffer

    from publisher.http.message import Response
    from publisher.model.manifest import Descriptor

_PIECE: Final = 256 * 1024
_TRIES: Final = 5
_HTTP_PARTIAL: Final = 206


class BlobReader(io.RawIOBase):
    """The bytes of one blob; goes on where a connection broke.

    fetch: asks for the blob from an offset on; answers 200 (from its start) or 206.
    The read that reaches the end raises VerificationFailed if digest or size are not as stated.
    """

    def __init__(self, fetch: Callable[[int], Response], descriptor: Descriptor) -> None:
        super().__init__()
        self._fetch = fetch
        self._descriptor = descriptor
        self._hasher = descriptor.digest.hasher()
        self._received = 0
        self._tries = 0
        self._rest = b""
        self._response = fetch(0)
        self._pieces = self._response.stream(_PIECE)

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill `buffer`; 0 at the end."""
        view = memoryview(buffer).cast("B")
        if not self._rest:
            self._rest = self._more()
        given, self._rest = self._rest[: len(view)], self._rest[len(view) :]
        view[: len(given)] = given
        return len(given)

    def close(self) -> None:
        """Give the connection back."""
        self._response.close()
        super().close()

    def _more(self) -> bytes:
        """The next bytes; checked as a whole before the last of them are given out."""
        size = self._descriptor.size
        if self._received == size:
            return b"" if size else self._checked(b"")
        piece = self._piece()
        self._received += len(piece)
        self._hasher.update(piece)
        if not piece or self._received >= size:
            return self._checked(piece)
        return piece

    def _piece(self) -> bytes:
        while True:
            try:
                return next(self._pieces, b"")
            except ConnectionLost:
                self._tries += 1
                if self._tries >= _TRIES:
                    raise
                self._resume()

    def _resume(self) -> None:
        self._response.close()
        self._response = self._fetch(self._received)
        self._pieces = self._response.stream(_PIECE)
        if self._response.status != _HTTP_PARTIAL:
            self._pieces = _after(self._pieces, self._received)

    def _checked(self, piece: bytes) -> bytes:
        stated = self._descriptor
        if self._received == stated.size and self._hasher.hexdigest() == stated.digest.hex:
            return piece
        found = (
            "bytes that are not what it names"
            if self._received == stated.size
            else f"another length than {stated.size:,} bytes"
        )
        raise VerificationFailed(
            f"{stated.digest} arrived with {found}", reference=self._response.url.partition("?")[0]
        )


def _after(pieces: Iterator[bytes], offset: int) -> Iterator[bytes]:
    """The pieces without their first `offset` bytes: a registry without Range sends all of it again."""
    for piece in pieces:
        if offset < len(piece):
            yield piece[offset:]
        offset = max(0, offset - len(piece))
