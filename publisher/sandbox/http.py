"""Bodies: what requests bring, and which part of it answers carry."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any, Final

from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response

from publisher.http.headers import content_length
from publisher.model.printable import printable
from publisher.sandbox.blob_store import PIECE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from starlette.requests import Request

    from publisher.model.digest import Digest
    from publisher.sandbox.blob_store import BlobBackend, PartialBlob


_CODES = {401: "UNAUTHORIZED", 403: "DENIED", 404: "NOT_FOUND", 405: "UNSUPPORTED", 429: "TOOMANYREQUESTS"}


class Refusal(Exception):
    """An error answer in the specification's form (distribution-spec, "Error codes")."""

    def __init__(
        self, status: int, code: str, message: str, *, headers: Mapping[str, str] | None = None, detail: Any = None
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, printable(message)
        self.headers, self.detail = headers, detail

    def response(self) -> Response:
        """The answer."""
        error = {"code": self.code, "message": self.message, "detail": self.detail}
        return JSONResponse({"errors": [error]}, self.status, headers=self.headers)


def fault_response(status: int, seconds: float) -> Response:
    """The answer of a fault; `seconds` are its Retry-After, 0 for none."""
    headers = {"Retry-After": f"{seconds:g}"} if seconds else None
    return Refusal(status, _CODES.get(status, "UNKNOWN"), "this fault was ordered", headers=headers).response()


def created_response(location: str, digest: Digest, headers: Mapping[str, str] | None = None) -> Response:
    """201: content is there."""
    return Response(
        status_code=201, headers={"Location": location, "Docker-Content-Digest": str(digest), **(headers or {})}
    )


_RANGE: Final = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


async def read_whole(request: Request, limit: int) -> bytes:
    """A body of at most `limit` bytes; raises Refusal (413)."""
    total = content_length(request.headers)
    too_large = Refusal(413, "SIZE_INVALID", f"at most {limit:,} bytes are taken here")
    if total is not None and total > limit:
        raise too_large
    pieces: list[bytes] = []
    length = 0
    async for piece in request.stream():
        pieces.append(piece)
        length += len(piece)
        if length > limit:
            raise too_large
    return b"".join(pieces)


async def receive(request: Request, blob: PartialBlob) -> None:
    """Take a body into an upload, in a thread: the disk mustn't hold up other requests.

    What came before a client went away is kept: the upload can go on from there.
    """
    buffer = bytearray()
    try:
        async for piece in request.stream():
            buffer += piece
            if len(buffer) >= PIECE:
                await asyncio.to_thread(blob.append, bytes(buffer))
                buffer.clear()
    except ClientDisconnect:
        await asyncio.to_thread(blob.append, bytes(buffer))
        raise
    if buffer:
        await asyncio.to_thread(blob.append, bytes(buffer))


async def send(store: BlobBackend, digest: Digest, part: range) -> AsyncIterator[bytes]:
    """Content from `part.start` up to `part.stop`, piece by piece."""
    for offset in range(part.start, part.stop, PIECE):
        yield await asyncio.to_thread(store.read, digest, offset, min(PIECE, part.stop - offset))


def requested_range(header: str, size: int) -> range | None:
    """The bytes that a Range header asks for; None for all. Raises Refusal (416) for none at all.

    Source: RFC 9110, 14.2: a header that isn't understood, or asks for several parts, is ignored.
    """
    match = _RANGE.fullmatch(header.strip())
    if match is None or match[1] == match[2] == "":
        return None
    if not match[1]:
        first, last = max(size - int(match[2]), 0), size - 1
    else:
        first, last = int(match[1]), min(int(match[2] or size), size - 1)
    if match[2] and match[1] and int(match[2]) < first:
        return None
    if first > last:
        raise Refusal(416, "SIZE_INVALID", f"there are {size} bytes", headers={"Content-Range": f"bytes */{size}"})
    return range(first, last + 1)
