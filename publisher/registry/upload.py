"""Upload sessions: one stream a blob, resumed at the registry's offset when the connection breaks."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from publisher.http.message import ConnectionLost, Response
from publisher.http.retry import TEMPORARY
from publisher.model.errors import Denied, PublishError, Refused, Unreachable, VerificationFailed
from publisher.registry.answers import ErrorResponse
from publisher.registry.sessions import stated_digest, with_digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from publisher.model.manifest import Descriptor
    from publisher.model.protocols import Upload
    from publisher.registry.sessions import Sessions


class Feed:
    """A source of bytes that can go back a little.

    chunks: the bytes from the start; taken once. window: how many bytes that were sent are kept, asked each time,
    since blobs on their way at once share the memory.
    """

    def __init__(self, chunks: Iterator[bytes], window: Callable[[], int]) -> None:
        self.position = 0
        """Offset of the next byte to send."""
        self.pulled = 0
        """Bytes taken from the source."""
        self.failure: BaseException | None = None
        """What the source raised: never to be taken for a broken connection."""
        self._chunks = chunks
        self._window = window
        self._kept: deque[bytes] = deque()
        self._first = 0
        self._exhausted = False

    def whole(self, most: int) -> bytes | None:
        """All bytes where there are at most `most`, else None; the position stays."""
        while self.pulled <= most and not self._exhausted:
            self._pull()
        return b"".join(self._kept) if self._exhausted and self.pulled <= most else None

    def is_over(self) -> bool:
        """Whether every byte was sent; may wait for the source."""
        if self.position == self.pulled and not self._exhausted:
            self._pull()
        return self._exhausted and self.position == self.pulled

    def take(self, most: int) -> Iterator[bytes]:
        """The next bytes, at most `most` in all."""
        stop = self.position + most
        while self.position < stop and not self.is_over():
            chunk = self._next()[: stop - self.position]
            self.position += len(chunk)
            self._trim()
            yield chunk

    def rewind(self, offset: int) -> bool:
        """Go on at `offset`; False where its bytes are no longer, or not yet, at hand."""
        if not self._first <= offset <= self.pulled:
            return False
        self.position = offset
        return True

    def _pull(self) -> None:
        if self.failure is not None:
            raise self.failure
        try:
            chunk = next(self._chunks, None)
            while chunk is not None and not chunk:
                chunk = next(self._chunks, None)
        except BaseException as error:
            self.failure = error
            raise
        if chunk is None:
            self._exhausted = True
            return
        self._kept.append(chunk)
        self.pulled += len(chunk)

    def _next(self) -> bytes:
        """The kept bytes from the position to the end of their chunk; it is nearly always in the last one."""
        end = self.pulled
        for chunk in reversed(self._kept):
            begin = end - len(chunk)
            if begin <= self.position:
                return chunk[self.position - begin :]
            end = begin
        return b""

    def _trim(self) -> None:
        unneeded = self.position - self._window()
        while self._kept and self._first + len(self._kept[0]) <= unneeded:
            self._first += len(self._kept.popleft())


_SEGMENT: Final = 512 * 1024 * 1024
"""Bytes sent in one request; tokens are renewed between two."""
_UNBOUNDED: Final = 1 << 62
_PIECE: Final = 4 * 1024 * 1024
"""Bytes of one request with a Content-Range, for registries that don't take a stream."""
SMALL: Final = 1024 * 1024
"""Bytes of a blob that is held whole until the registry has it: it can always be sent again."""
_TRIES: Final = 8
_HEADWAY: Final = 1024 * 1024
"""Bytes that a try must bring the blob forward not to count against the limit of tries."""
_CORRUPTED: Final = 4
"""What a digest mismatch costs of the tries: the whole blob goes again."""

_TAKEN: Final = frozenset({200, 201, 202, 204})
_NO_STREAM: Final = frozenset({411, 416})
_SESSION_GONE: Final = frozenset({"BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID", "RANGE_INVALID"})


class _Lost(Exception):
    """What was sent may not have arrived; `cause` is what to say when no more tries are left."""

    def __init__(self, cause: PublishError, *, gone: bool = False, cost: int = 1) -> None:
        super().__init__()
        self.cause = cause
        self.gone = gone
        self.cost = cost


def send(sessions: Sessions, blob: Upload) -> Descriptor:
    """Send `blob`: from the registry's offset after a broken connection, from its start where its session was lost."""
    with sessions.counted():
        transmission = _Transmission(sessions, blob)
        try:
            return transmission.run()
        except Exception:
            transmission.cancel()
            raise
        except BaseException:
            transmission.leave()
            raise


def check_stated(sessions: Sessions, response: Response, blob: Descriptor) -> None:
    """Raise VerificationFailed where the registry says that it holds another blob than was sent."""
    stated = stated_digest(response)
    if stated and stated.algorithm == blob.digest.algorithm and stated != blob.digest:
        raise VerificationFailed(
            f"sent {blob.digest}, the registry says it holds {stated}", reference=sessions.remote.repository
        )


class NotTaken(Unreachable):
    """A blob that was sent in one request did not arrive; piece by piece it may."""


def send_whole(sessions: Sessions, blob: Descriptor, body: Iterator[memoryview]) -> None:
    """Send a blob that is known beforehand in one request, as engines do; raises NotTaken where that fails."""
    location = sessions.take()
    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(blob.size)}
    try:
        with sessions.send("PUT", with_digest(location, blob.digest), body=body, headers=headers) as response:
            if response.status in _TAKEN:
                return check_stated(sessions, response, blob)
            error = sessions.remote.trouble(response, "push to")
    except ConnectionLost as lost:
        sessions.leave(location)
        raise NotTaken(lost.message, reference=lost.reference, hint=lost.hint) from lost
    sessions.leave(location)
    if isinstance(error, Denied | Refused):
        raise error
    raise NotTaken(error.message, reference=error.reference, hint=error.hint) from error


class _Transmission:
    """One blob on its way."""

    def __init__(self, sessions: Sessions, blob: Upload) -> None:
        self._sessions = sessions
        self._blob = blob
        self._feed = Feed(blob.chunks(), sessions.window)
        self._location: str | None = None
        self._segment = _SEGMENT
        self._in_pieces = False
        self._tries = 0
        self._furthest = 0

    def run(self) -> Descriptor:
        small = self._feed.whole(SMALL)
        self._location = self._sessions.take()
        while True:
            try:
                if small is None:
                    self._stream(self._location)
                return self._finish(self._location, small or b"")
            except _Lost as lost:
                self._recover(lost, self._location)

    def cancel(self) -> None:
        """End the session at the registry."""
        if self._location:
            self._sessions.cancel(self._location)

    def leave(self) -> None:
        """Leave the session to be ended when there is time."""
        if self._location:
            self._sessions.leave(self._location)

    def _stream(self, location: str) -> None:
        while not self._feed.is_over():
            location = self._location = self._patch(location)

    def _patch(self, location: str) -> str:
        """Send what one request takes; returns where the session goes on."""
        headers = {"Content-Type": "application/octet-stream"}
        try:
            if self._in_pieces:
                begin = self._feed.position
                piece = b"".join(self._feed.take(_PIECE))
                headers["Content-Range"] = f"{begin}-{begin + len(piece) - 1}"
                response = self._sessions.send("PATCH", location, body=piece, headers=headers)
            else:
                body = self._feed.take(self._segment)
                response = self._sessions.send("PATCH", location, body=body, headers=headers)
        except ConnectionLost as error:
            if self._feed.failure is not None:
                raise self._feed.failure from None
            raise _Lost(error) from error
        with response:
            if response.status in _TAKEN:
                return self._sessions.moved(response, location)
            raise self._judge(response)

    def _judge(self, response: Response) -> Exception:
        error = self._sessions.remote.trouble(response, "push to")
        if response.status in TEMPORARY | {401}:
            return _Lost(error)
        if response.status in _NO_STREAM:
            self._in_pieces = True
            return _Lost(error)
        if response.status == 404 or ErrorResponse.read(response).codes & _SESSION_GONE:  # noqa: PLR2004 - absent
            # Some registries take a blob in one request only and lose the session after it (Artifact Registry).
            self._segment = _UNBOUNDED
            return _Lost(error, gone=True)
        return error

    def _recover(self, lost: _Lost, location: str) -> None:
        """Find out where to go on; raises the cause when no more tries are left."""
        self._tries += lost.cost
        if self._tries > _TRIES:
            raise lost.cause
        self._sessions.pause(self._tries)
        offset = None if lost.gone else self._reached(location)
        if offset is None or not self._feed.rewind(offset):
            self._begin_again(location)
        elif offset >= self._furthest + _HEADWAY:
            self._furthest, self._tries = offset, 0

    def _reached(self, location: str) -> int | None:
        """How far the session is, in bytes; None where it doesn't say."""
        with self._sessions.send("GET", location) as response:
            if response.status not in _TAKEN:
                return None
            self._location = self._sessions.moved(response, location)
            last = response.headers.get("Range", "").removeprefix("bytes=").rpartition("-")[2]
        # "0-0" is both no byte and one: a session that far isn't worth the doubt.
        return int(last) + 1 if last.isascii() and last.isdigit() and int(last) else None

    def _begin_again(self, location: str) -> None:
        self._location = None
        self._sessions.cancel(location)
        self._location = self._sessions.begin()
        if not self._feed.rewind(0):
            self._feed = Feed(self._blob.chunks(), self._sessions.window)

    def _finish(self, location: str, body: bytes) -> Descriptor:
        descriptor = self._blob.descriptor()
        headers = {"Content-Type": "application/octet-stream"}
        address = with_digest(location, descriptor.digest)
        with self._sessions.send("PUT", address, body=body, headers=headers) as response:
            if response.status in _TAKEN:
                check_stated(self._sessions, response, descriptor)
                return descriptor
            error = self._sessions.remote.trouble(response, "push to")
            codes = ErrorResponse.read(response).codes
        # An answer may have been lost and the request sent again: then the blob is there and its session isn't.
        if response.status not in {401, 403, 413} and self._is_held(descriptor):
            return descriptor
        if codes & {"DIGEST_INVALID", "SIZE_INVALID"}:
            raise _Lost(error, gone=True, cost=_CORRUPTED)
        if response.status in TEMPORARY | {404, 416} or codes & _SESSION_GONE:
            raise _Lost(error, gone=True)
        raise error

    def _is_held(self, descriptor: Descriptor) -> bool:
        with suppress(Unreachable):
            return self._sessions.remote.blob_size(descriptor.digest) == descriptor.size
        return False
