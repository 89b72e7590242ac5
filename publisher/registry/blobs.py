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
        self._unread = b""
        self._response = fetch(0)
        self._pieces = self._response.stream(_PIECE)

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill `buffer`; 0 at the end."""
        view = memoryview(buffer).cast("B")
        if not self._unread:
            self._unread = self._next_bytes()
        piece, self._unread = self._unread[: len(view)], self._unread[len(view) :]
        view[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        """Give the connection back."""
        self._response.close()
        super().close()

    def _next_bytes(self) -> bytes:
        """The next bytes; checked as a whole before the last of them are given out."""
        size = self._descriptor.size
        if self._received == size:
            return b"" if size else self._check_end(b"")
        piece = self._piece()
        self._received += len(piece)
        self._hasher.update(piece)
        if not piece or self._received >= size:
            return self._check_end(piece)
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

    def _check_end(self, piece: bytes) -> bytes:
        descriptor = self._descriptor
        if self._received == descriptor.size and self._hasher.hexdigest() == descriptor.digest.hex:
            return piece
        difference = (
            "bytes that are not what it names"
            if self._received == descriptor.size
            else f"another length than {descriptor.size:,} bytes"
        )
        raise VerificationFailed(
            f"{descriptor.digest} arrived with {difference}", reference=self._response.url.partition("?")[0]
        )


def _after(pieces: Iterator[bytes], offset: int) -> Iterator[bytes]:
    """The pieces without their first `offset` bytes: a registry without Range sends all of it again."""
    for piece in pieces:
        if offset < len(piece):
            yield piece[offset:]
        offset = max(0, offset - len(piece))
