"""Requests and responses as the rooms above see them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Self

import msgspec

from publisher.http.limits import DOCUMENT_CAP, DOCUMENT_SECONDS, ERROR_CAP
from publisher.model.errors import BadManifest, Unreachable
from publisher.model.value import Value

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

Body = bytes | Iterator[bytes] | Iterator[memoryview] | None

_PIECE = 256 * 1024


class ConnectionLost(Unreachable):
    """The connection broke while a body that can be sent only once was on its way, or in the middle of an answer."""


class Request(Value, frozen=True, kw_only=True):
    """One request; `url` is absolute.

    body: an iterator can be sent only once: such a request is never sent again here.
    scopes: what a token must allow, as `repository:a/b:pull,push`, the needed one first.
    repository: the path that namespace-scoped credentials are looked up with.
    anonymous: never send credentials. To a host that nobody named by `Client.base_url`, it is a request to where a
    registry pointed, and then not into a private network unless a registry is in one too.
    bare: never answer a challenge: what comes back is the first answer, a 401 too.
    most: bytes that a successful answer may have when it is read whole.
    """

    method: str
    url: str
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    body: Body = None
    scopes: tuple[str, ...] = ()
    repository: str = ""
    stream: bool = False
    anonymous: bool = False
    bare: bool = False
    most: int = DOCUMENT_CAP

    @property
    def repeatable(self) -> bool:
        """Whether it can be sent again."""
        return self.body is None or isinstance(self.body, bytes)


class Response:
    """An answer; `content` is read whole and capped unless the request asked for a stream.

    most, seconds: the limits of a body that is read whole; an error's is cut short, another that is larger refused.
    """

    def __init__(
        self,
        raw: BaseHTTPResponse,
        url: str,
        *,
        stream: bool,
        most: int = DOCUMENT_CAP,
        seconds: float = DOCUMENT_SECONDS,
    ) -> None:
        self._raw = raw
        self.status = raw.status
        self.headers: Mapping[str, str] = raw.headers
        self.url = url
        self.content: bytes = b"" if stream and self._succeeded else self._read(most, time.monotonic() + seconds)

    @property
    def _succeeded(self) -> bool:
        return self.status < 300  # noqa: PLR2004 - success

    def _read(self, most: int, deadline: float) -> bytes:
        cap = most if self._succeeded else ERROR_CAP
        pieces: list[bytes] = []
        length = 0
        # One receive at a time: a body that drips must not hold the clock.
        for piece in self._pieces(lambda: self._raw.read1(_PIECE, decode_content=False)):
            pieces.append(piece)
            length += len(piece)
            if length > cap:
                return self._cut(b"".join(pieces), cap)
            if time.monotonic() > deadline:
                self.close()
                raise ConnectionLost("the answer came too slowly", reference=self._address)
        return b"".join(pieces)

    def _cut(self, content: bytes, cap: int) -> bytes:
        self.close()
        if self._succeeded:
            raise BadManifest(f"the answer is larger than {cap:,} bytes", reference=self._address)
        return content[:cap]

    def stream(self, size: int = 1 << 20) -> Iterator[bytes]:
        """The body in pieces of at most `size` bytes; raises ConnectionLost when it breaks off."""
        chunks = self._raw.stream(size, decode_content=False)
        yield from self._pieces(lambda: next(chunks, b""))

    def _pieces(self, more: Callable[[], bytes]) -> Iterator[bytes]:
        import urllib3

        try:
            while piece := more():
                yield piece
        except (urllib3.exceptions.HTTPError, OSError):
            self.close()
            raise ConnectionLost("the connection broke in the middle of an answer", reference=self._address) from None

    @property
    def _address(self) -> str:
        """Where it came from, without the query, which may be a signature."""
        return self.url.partition("?")[0]

    def close(self) -> None:
        """Give the connection back; one with a body half read is ended."""
        self._raw.close()
        self._raw.release_conn()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()
