"""Blobs on their way from a registry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from publisher.model.errors import VerificationFailed

if TYPE_CHECKING:
    from publisher.http.message import Response
    from publisher.model.manifest import Descriptor

_PIECE = 1 << 20


class BlobReader:
    """A binary stream of one blob; its last read raises VerificationFailed if digest or size are not as stated."""

    def __init__(self, response: Response, descriptor: Descriptor) -> None:
        self._response = response
        self._descriptor = descriptor
        self._pieces = response.stream(_PIECE)
        self._hasher = descriptor.digest.hasher()
        self._length = 0
        self._rest = b""

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes, at most `size`; empty at the end."""
        if not self._rest:
            self._rest = next(self._pieces, b"")
            self._take(self._rest)
        if size < 0:
            return self._read_all()
        given, self._rest = self._rest[:size], self._rest[size:]
        return given

    def _read_all(self) -> bytes:
        pieces = [self._rest]
        self._rest = b""
        for piece in self._pieces:
            self._take(piece)
            pieces.append(piece)
        self._take(b"")
        return b"".join(pieces)

    def _take(self, piece: bytes) -> None:
        self._hasher.update(piece)
        self._length += len(piece)
        descriptor = self._descriptor
        ended = not piece or self._length > descriptor.size
        if ended and (self._length != descriptor.size or self._hasher.hexdigest() != descriptor.digest.hex):
            raise VerificationFailed(
                f"{descriptor.digest} arrived with {self._length:,} bytes that are not what it names",
                reference=self._response.url.partition("?")[0],
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._response.close()
