"""Upload sessions: one stream a blob, resumed at the registry's offset when the connection breaks."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from publisher.http.headers import last_byte
from publisher.http.message import ConnectionLost, Response
from publisher.http.retry import TEMPORARY
from publisher.model.errors import BadManifest, Denied, PublishError, Refused, Unreachable, VerificationFailed
from publisher.registry.answers import ErrorResponse
from publisher.registry.sessions import stated_digest, with_digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from publisher.model.artifact import SmallBlob
    from publisher.model.manifest import Descriptor
    from publisher.model.protocols import Upload
    from publisher.registry.sessions import UploadSessions


class ReplayBuffer:
    """A source of bytes that can go back a little.

    chunks: the bytes from the start, iterated once. window: how many bytes that were sent are kept, called each time,
    since blobs on their way at once share the memory.
    """

    def __init__(self, chunks: Iterator[bytes], window: Callable[[], int]) -> None:
        self.offset = 0
        """Offset of the next byte to send."""
        self.received = 0
        """Bytes taken from the source."""
        self.failure: BaseException | None = None
        """What the source raised: never to be taken for a broken connection."""
        self._chunks = chunks
        self._window = window
        self._buffer: deque[bytes] = deque()
        self._buffer_offset = 0
        self._source_ended = False

    def read_all(self, most: int) -> bytes | None:
        """All bytes where there are at most `most`, else None; the offset stays."""
        while self.received <= most and not self._source_ended:
            self._fetch()
        return b"".join(self._buffer) if self._source_ended and self.received <= most else None

    def is_exhausted(self) -> bool:
        """Whether every byte was sent; may wait for the source."""
        if self.offset == self.received and not self._source_ended:
            self._fetch()
        return self._source_ended and self.offset == self.received

    def read(self, most: int) -> Iterator[bytes]:
        """The next bytes, at most `most` in all."""
        stop = self.offset + most
        while self.offset < stop and not self.is_exhausted():
            chunk = self._buffered()[: stop - self.offset]
            self.offset += len(chunk)
            self._forget()
            yield chunk

    def seek(self, offset: int) -> bool:
        """Go on at `offset`; False where its bytes are no longer, or not yet, at hand."""
        if not self._buffer_offset <= offset <= self.received:
            return False
        self.offset = offset
        return True

    def _fetch(self) -> None:
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
            self._source_ended = True
            return
        self._buffer.append(chunk)
        self.received += len(chunk)

    def _buffered(self) -> bytes:
        """The bytes from the offset to the end of their chunk; it is nearly always in the last one."""
        end = self.received
        for chunk in reversed(self._buffer):
            start = end - len(chunk)
            if start <= self.offset:
                return chunk[self.offset - start :]
            end = start
        return b""

    def _forget(self) -> None:
        window_start = self.offset - self._window()
        while self._buffer and self._buffer_offset + len(self._buffer[0]) <= window_start:
            self._buffer_offset += len(self._buffer.popleft())


_SEGMENT: Final = 512 * 1024 * 1024
"""Bytes sent in one request; tokens are renewed between two."""
_UNBOUNDED: Final = 1 << 62
_PIECE: Final = 4 * 1024 * 1024
"""Bytes of one request with a Content-Range, for registries that don't take a stream."""
SMALL: Final = 4 * 1024 * 1024
"""Bytes of a blob that is held whole until the registry has it: it can always be sent again."""
_SMALLEST_PIECE: Final = 64 * 1024
_LOST_AS_STREAM: Final = 3
"""Tries without headway after which a stream goes on in pieces: who finds it too large may hang up without a word."""
_UNPROVEN: Final = 64 * 1024
"""Bytes that are sent with the request that opens a session before a registry is known to take that."""
_TRIES: Final = 8
_HEADWAY: Final = 1024 * 1024
"""Bytes that a try must bring the blob forward not to count against the limit of tries."""
_CORRUPTED: Final = 4
"""What a digest mismatch costs of the tries: the whole blob goes again."""

_SUCCESS: Final = frozenset({200, 201, 202, 204})
_CREATED, _ACCEPTED = 201, 202
_NO_STREAM: Final = frozenset({411, 416})
_TOO_LARGE: Final = 413
_SESSION_GONE: Final = frozenset({"BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID", "RANGE_INVALID"})


class _UploadBroken(Exception):
    """What was sent may not have arrived; `cause` is what to say when no more tries are left."""

    def __init__(self, cause: PublishError, *, gone: bool = False, cost: int = 1) -> None:
        super().__init__()
        self.cause = cause
        self.gone = gone
        self.cost = cost


def upload_blob(sessions: UploadSessions, blob: Upload) -> Descriptor:
    """Send `blob`: from the registry's offset after a broken connection, from its start where its session was lost."""
    with sessions.counting_blob():
        upload = _BlobUpload(sessions, blob)
        try:
            return upload.run()
        except Exception:
            upload.cancel()
            raise
        except BaseException:
            upload.cancel_later()
            raise


def check_digest(sessions: UploadSessions, response: Response, blob: Descriptor) -> None:
    """Raise VerificationFailed where the registry says that it holds another blob than was sent."""
    digest = stated_digest(response)
    if digest and digest.algorithm == blob.digest.algorithm and digest != blob.digest:
        raise VerificationFailed(
            f"sent {blob.digest}, the registry says it holds {digest}", reference=sessions.remote.repository
        )


def upload_at_once(sessions: UploadSessions, blob: SmallBlob) -> None:
    """Send a small blob with the request that opens its session, where the registry takes that; else as any other.

    A registry that doesn't answers with the session that it has opened: nothing is lost but the few bytes.
    """
    descriptor = blob.descriptor()
    largest = {None: _UNPROVEN, True: SMALL, False: -1}[sessions.takes_whole]
    if descriptor.size > largest or not _post_blob(sessions, descriptor, blob.content):
        upload_blob(sessions, blob)


def _post_blob(sessions: UploadSessions, blob: Descriptor, content: bytes) -> bool:
    address = with_digest(sessions.remote.url("blobs/uploads/"), blob.digest)
    headers = {"Content-Type": "application/octet-stream"}
    with sessions.remote.request("POST", address, body=content, headers=headers) as response:
        if response.status == _CREATED:
            sessions.takes_whole = True
            check_digest(sessions, response, blob)
            return True
        if response.status == _ACCEPTED:
            sessions.takes_whole = False
            sessions.add_spare(response)
    return False


class NotTaken(Unreachable):
    """A blob that was sent in one request did not arrive; piece by piece it may."""


def push_blob(sessions: UploadSessions, blob: Descriptor, body: Iterator[memoryview]) -> None:
    """Send a blob that is known beforehand in one request, as engines do; raises NotTaken where that fails."""
    location = sessions.next_session()
    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(blob.size)}
    try:
        with sessions.request("PUT", with_digest(location, blob.digest), body=body, headers=headers) as response:
            if response.status in _SUCCESS:
                return check_digest(sessions, response, blob)
            error = sessions.remote.error(response, "push to")
    except ConnectionLost as lost:
        sessions.cancel_later(location)
        raise NotTaken(lost.message, reference=lost.reference, hint=lost.hint) from lost
    sessions.cancel_later(location)
    if isinstance(error, Denied | Refused):
        raise error
    raise NotTaken(error.message, reference=error.reference, hint=error.hint) from error


class _BlobUpload:
    """One blob on its way."""

    def __init__(self, sessions: UploadSessions, blob: Upload) -> None:
        self._sessions = sessions
        self._blob = blob
        self._source = ReplayBuffer(blob.chunks(), sessions.window)
        self._location: str | None = None
        self._segment = _SEGMENT
        self._in_pieces = False
        self._piece = _PIECE
        self._tries = 0
        self._furthest = 0

    def run(self) -> Descriptor:
        content = self._source.read_all(SMALL)
        self._location = self._sessions.next_session()
        while True:
            try:
                if content is None or self._in_pieces:
                    self._stream_blob(self._location)
                    content = None
                return self._commit_blob(self._location, content or b"")
            except _UploadBroken as broken:
                self._recover(broken, self._location)

    def cancel(self) -> None:
        """End the session at the registry."""
        if self._location:
            self._sessions.cancel(self._location)

    def cancel_later(self) -> None:
        """Leave the session to be ended when there is time."""
        if self._location:
            self._sessions.cancel_later(self._location)

    def _stream_blob(self, location: str) -> None:
        while not self._source.is_exhausted():
            location = self._location = self._patch_blob(location)

    def _patch_blob(self, location: str) -> str:
        """Send what one request takes; returns where the session goes on."""
        headers = {"Content-Type": "application/octet-stream"}
        try:
            if self._in_pieces:
                start = self._source.offset
                piece = b"".join(self._source.read(max(self._piece, self._sessions.shortest_piece)))
                headers |= {
                    "Content-Range": f"{start}-{start + len(piece) - 1}",
                    "Content-Length": str(len(piece)),
                }
                body = iter([piece])
            else:
                body = self._source.read(self._segment)
            response = self._sessions.request("PATCH", location, body=body, headers=headers)
        except ConnectionLost as error:
            if self._source.failure is not None:
                raise self._source.failure from None
            raise _UploadBroken(error) from error
        with response:
            if response.status in _SUCCESS:
                return self._sessions.next_location(response, location)
            raise self._error_of(response)

    def _error_of(self, response: Response) -> Exception:
        error = self._sessions.remote.error(response, "push to")
        if response.status == _TOO_LARGE:
            return self._too_large(error, self._piece if self._in_pieces else _UNBOUNDED)
        if response.status in TEMPORARY | {401}:
            return _UploadBroken(error)
        if response.status in _NO_STREAM:
            self._in_pieces = True
            return _UploadBroken(error)
        if response.status == 404 or ErrorResponse.read(response).codes & _SESSION_GONE:  # noqa: PLR2004 - absent
            # Some registries take a blob in one request only and lose the session after it (Artifact Registry).
            self._segment = _UNBOUNDED
            return _UploadBroken(error, gone=True)
        return error

    def _too_large(self, error: PublishError, size: int) -> Exception:
        """What to do about a refusal of `size` bytes in one request: smaller pieces, as small as makes sense."""
        if size > _SMALLEST_PIECE:
            self._in_pieces, self._piece = True, max(min(size // 4, _PIECE), _SMALLEST_PIECE)
            return _UploadBroken(error, gone=True, cost=0)
        for _rest in self._source.read(_UNBOUNDED):
            pass  # its digest and size are known at its end
        blob, repository = self._blob.descriptor(), self._sessions.remote.repository
        return BadManifest(
            f"{repository.registry} takes no request of {size:,} bytes, and so not the blob {blob.digest} of "
            f"{blob.size:,} bytes (HTTP {_TOO_LARGE})",
            reference=repository,
            hint="a proxy in front of the registry may be the cause (nginx: client_max_body_size): raise its limit",
        )

    def _recover(self, broken: _UploadBroken, location: str) -> None:
        """Find out where to go on; raises the cause when no more tries are left."""
        self._tries += broken.cost
        if self._tries > _TRIES:
            raise broken.cause
        if broken.cost:
            self._sessions.back_off(self._tries)
        self._in_pieces = self._in_pieces or self._tries > _LOST_AS_STREAM
        offset = None if broken.gone else self._uploaded(location)
        if offset is None or not self._source.seek(offset):
            self._restart(location)
        elif offset >= self._furthest + _HEADWAY:
            self._furthest, self._tries = offset, 0

    def _uploaded(self, location: str) -> int | None:
        """How far the session is, in bytes; None where it doesn't say."""
        with self._sessions.request("GET", location) as response:
            if response.status not in _SUCCESS:
                return None
            self._location = self._sessions.next_location(response, location)
            last = last_byte(response.headers)
        # "0-0" is both no byte and one: a session that far isn't worth the doubt.
        return last + 1 if last else None

    def _restart(self, location: str) -> None:
        self._location = None
        self._sessions.cancel(location)
        self._location = self._sessions.initiate_upload()
        if not self._source.seek(0):
            self._source = ReplayBuffer(self._blob.chunks(), self._sessions.window)

    def _commit_blob(self, location: str, body: bytes) -> Descriptor:
        descriptor = self._blob.descriptor()
        headers = {"Content-Type": "application/octet-stream"}
        address = with_digest(location, descriptor.digest)
        with self._sessions.request("PUT", address, body=body, headers=headers) as response:
            if response.status in _SUCCESS:
                check_digest(self._sessions, response, descriptor)
                return descriptor
            error = self._sessions.remote.error(response, "push to")
            if response.status == _TOO_LARGE and body:
                raise self._too_large(error, len(body))
            codes = ErrorResponse.read(response).codes
        # An answer may have been lost and the request sent again: then the blob is there and its session isn't.
        if response.status not in {401, 403, 413} and self._blob_exists(descriptor):
            return descriptor
        if codes & {"DIGEST_INVALID", "SIZE_INVALID"}:
            raise _UploadBroken(error, gone=True, cost=_CORRUPTED)
        if response.status in TEMPORARY | {404, 416} or codes & _SESSION_GONE:
            raise _UploadBroken(error, gone=True)
        raise error

    def _blob_exists(self, descriptor: Descriptor) -> bool:
        with suppress(Unreachable):
            return self._sessions.remote.blob_size(descriptor.digest) == descriptor.size
        return False
