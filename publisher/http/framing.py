"""Where an answer begins and ends: header, chunks and trailer, each within its bytes and its time."""

from __future__ import annotations

import http.client
import io
import math
import socket
import time
from contextlib import suppress
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, Final

from publisher.http.headers import read_number
from publisher.http.limits import CHUNK_LINE_CAP, HEAD_SECONDS, HEADER_CAP, MOST_INTERIM

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_PIECE: Final = 64 * 1024
_SWITCHING: Final = 101


class OddAnswer(HTTPException):
    """What came can't be told from the next answer with certainty: its connection ends."""


class HttpResponse(http.client.HTTPResponse):
    """An answer whose header and trailer must arrive in time and in bounds as wholes.

    Interim answers (1xx) are passed over. A connection with bytes after the answer's end is never used again: they
    would be taken for the answer to another request.
    """

    def __init__(self, sock: socket.socket, *arguments: Any, **options: Any) -> None:
        super().__init__(sock, *arguments, **options)
        self._sock = sock
        self._reader = _MessageReader(_DeadlineReader(self.fp.detach()))
        self.fp = self._reader
        # A proxy's answer to CONNECT is read without begin().
        self._reader.enter_header()

    def begin(self) -> None:
        """Read the header."""
        super().begin()
        self._check_length()
        self._reader.leave_header()

    def _read_status(self) -> tuple[str, int, str]:
        for _interim in range(MOST_INTERIM + 1):
            version, status, reason = super()._read_status()  # type: ignore[misc]  # typeshed leaves it out
            if not 100 <= status < 200:  # noqa: PLR2004 - interim
                return version, status, reason
            if status == _SWITCHING:
                raise OddAnswer("another protocol was not asked for")
            while self._reader.readline().strip():
                pass
        raise OddAnswer(f"more than {MOST_INTERIM} interim answers")

    def _check_length(self) -> None:
        lengths = set(self.headers.get_all("Content-Length", ()))
        if len(lengths) > 1 or any(read_number(length) is None for length in lengths):
            raise OddAnswer("a length that can't be read")
        encodings = self.headers.get_all("Transfer-Encoding", ())
        if encodings and [encoding.lower() for encoding in encodings] != ["chunked"]:
            raise OddAnswer("an encoding that was not asked for")
        # With both a proxy on the way may have seen another end (RFC 9112, 6.1).
        self.will_close = self.will_close or bool(encodings and lengths)

    def _close_conn(self) -> None:
        if self._reader.has_more():
            with suppress(OSError):  # it may have ended by itself
                self._sock.shutdown(socket.SHUT_RDWR)
        super()._close_conn()  # type: ignore[misc]  # typeshed leaves it out


class _DeadlineReader(io.RawIOBase):
    """The socket's bytes, until a deadline. must_go_on: whether the end of the stream is an error."""

    def __init__(self, raw: io.RawIOBase) -> None:
        super().__init__()
        self._raw = raw
        self.deadline = math.inf
        self.must_go_on = False
        self.is_over = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int | None:
        if self.is_over:
            return None
        if time.monotonic() > self.deadline:
            raise TimeoutError
        count = self._raw.readinto(buffer)
        # http.client takes the end of the stream for the end of the header: half an answer would pass for a whole one.
        if count == 0 and self.must_go_on:
            raise ConnectionResetError
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _MessageReader(io.BufferedReader):
    """Lines are the header's, then chunk sizes, and after the size 0 the trailer's."""

    def __init__(self, source: _DeadlineReader) -> None:
        super().__init__(source, _PIECE)
        self._source = source
        self._left = 0
        self._is_counting = False

    def enter_header(self) -> None:
        """From now on lines have a time and a size that they share."""
        self._source.must_go_on = True
        self._limit()

    def leave_header(self) -> None:
        """From now on the body comes, as long as it may take."""
        self._source.must_go_on = self._is_counting = False
        self._source.deadline = math.inf

    def _limit(self) -> None:
        self._is_counting, self._left = True, HEADER_CAP
        self._source.deadline = time.monotonic() + HEAD_SECONDS

    def readline(self, _size: int | None = -1, /) -> bytes:
        """A line within its limits, whatever the caller's."""
        if self._is_counting:
            return self._shared_line()
        self._source.deadline = time.monotonic() + HEAD_SECONDS
        line = super().readline(CHUNK_LINE_CAP + 1)
        if len(line) > CHUNK_LINE_CAP:
            raise OddAnswer("a chunk without a size")
        self._source.deadline = math.inf
        if line and not line.partition(b";")[0].strip().strip(b"0"):
            self._limit()
        return line

    def _shared_line(self) -> bytes:
        line = super().readline(self._left + 1)
        self._left -= len(line)
        if self._left < 0:
            raise OddAnswer(f"a header or a trailer of more than {HEADER_CAP:,} bytes")
        return line

    def has_more(self) -> bool:
        """Whether bytes have come that nobody read."""
        self._source.is_over = True
        return not self.closed and bool(self.peek(1))
