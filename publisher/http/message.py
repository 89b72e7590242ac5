"""Requests and responses as the rooms above see them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from publisher.model.errors import BadManifest, Unreachable

if TYPE_CHECKING:
    import requests

Body = bytes | Iterator[bytes] | None

ERROR_CAP: Final = 64 * 1024
"""Bytes of an error's or a token's body that are read."""
DOCUMENT_CAP: Final = 16 * 1024 * 1024
"""Bytes of any other body that is read whole."""


class ConnectionLost(Unreachable):
    """The connection broke while a body that can be sent only once was on its way, or in the middle of an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request; `url` is absolute.

    body: an iterator can be sent only once: such a request is never sent again here.
    scopes: what a token must allow, as `repository:a/b:pull,push`, the needed one first.
    repository: the path that namespace-scoped credentials are looked up with.
    anonymous: never send credentials.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body = None
    scopes: tuple[str, ...] = ()
    repository: str = ""
    stream: bool = False
    anonymous: bool = False

    @property
    def repeatable(self) -> bool:
        """Whether it can be sent again."""
        return self.body is None or isinstance(self.body, bytes)


class Response:
    """An answer; `content` is read whole and capped unless the request asked for a stream."""

    def __init__(self, raw: requests.Response, *, stream: bool) -> None:
        self._raw = raw
        self.status: int = raw.status_code
        self.headers: Mapping[str, str] = raw.headers
        self.url: str = raw.url
        self.content: bytes = b"" if stream and self.status < 300 else self._read()  # noqa: PLR2004 - success

    def _read(self) -> bytes:
        cap = DOCUMENT_CAP if self.status < 300 else ERROR_CAP  # noqa: PLR2004 - success
        pieces: list[bytes] = []
        length = 0
        for piece in self.stream(256 * 1024):
            pieces.append(piece)
            length += len(piece)
            if length > cap:
                self.close()
                if cap == DOCUMENT_CAP:
                    raise BadManifest(f"the answer is larger than {cap:,} bytes", reference=self.url)
                break
        return b"".join(pieces)[:cap]

    def stream(self, size: int = 1 << 20) -> Iterator[bytes]:
        """The body in pieces of at most `size` bytes; raises ConnectionLost when it breaks off."""
        import urllib3

        try:
            yield from self._raw.raw.stream(size, decode_content=False)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            self.close()
            raise ConnectionLost("the connection broke in the middle of an answer", reference=self.url) from error

    def close(self) -> None:
        """Give the connection back."""
        self._raw.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()
