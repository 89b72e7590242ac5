"""Blobs that an engine sends through the relay."""

from __future__ import annotations

import secrets
import threading
from collections import deque
from concurrent.futures import wait
from typing import TYPE_CHECKING, Final

from publisher.model.digest import Digest
from publisher.model.errors import Unreachable, UsageError
from publisher.model.manifest import Descriptor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future, ThreadPoolExecutor

_MOST_WAITING: Final = 1024 * 1024
"""Bytes of one blob that wait for the registry."""
_MEDIA_TYPE: Final = "application/octet-stream"


class RelayClosed(Unreachable):
    """The relay ended, or the engine hung up, before the blob was whole."""


class StreamLost(Unreachable):
    """The registry lost an upload whose first bytes only the engine has; the engine may send it again."""


class UnknownUpload(UsageError):
    """The engine asks for an upload session that isn't there."""


class RelayedBlob:
    """A blob between the engine's requests, which write it, and our upload, which reads it: a model.protocols.Upload.

    The writer waits while enough bytes are under way, so that neither disk nor memory holds the blob.
    """

    media_type = _MEDIA_TYPE

    def __init__(self) -> None:
        self.received = 0
        """Bytes taken from the engine."""
        self._waiting: deque[bytes] = deque()
        self._waiting_size = 0
        self._hasher = Digest.of(b"").hasher()
        self._is_whole = False
        self._is_started = False
        self._failure: BaseException | None = None
        self._changed = threading.Condition()

    def write(self, piece: bytes) -> None:
        """Hand over the next bytes; raises what ended the upload."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting_size < _MOST_WAITING or self._failure is not None)
            self._check()
            self._hasher.update(piece)
            self.received += len(piece)
            self._waiting.append(piece)
            self._waiting_size += len(piece)
            self._changed.notify_all()

    def end(self) -> None:
        """Every byte was written."""
        with self._changed:
            self._is_whole = True
            self._changed.notify_all()

    def fail(self, error: BaseException) -> None:
        """Wake both sides up with `error`."""
        with self._changed:
            self._failure = self._failure or error
            self._changed.notify_all()

    def chunks(self) -> Iterator[bytes]:
        """The bytes as they come; raises StreamLost when asked for a second time."""
        if self._is_started:
            raise StreamLost("the registry lost an upload, and only the engine can send it again")
        self._is_started = True
        return iter(self._next, b"")

    def _next(self) -> bytes:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_whole or self._failure is not None)
            self._check()
            if not self._waiting:
                return b""
            piece = self._waiting.popleft()
            self._waiting_size -= len(piece)
            self._changed.notify_all()
            return piece

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    def descriptor(self) -> Descriptor:
        """What was written so far."""
        return Descriptor(_MEDIA_TYPE, Digest.finish(self._hasher), self.received)


class RelayedUpload:
    """One upload session of the engine, carried on by one of `threads`."""

    def __init__(self, send: Callable[[RelayedBlob], Descriptor], threads: ThreadPoolExecutor) -> None:
        self.name = secrets.token_hex(16)
        self.blob = RelayedBlob()
        self._send = send
        self._threads = threads
        self._job: Future[Descriptor] | None = None

    def write(self, piece: bytes) -> None:
        """Take bytes of the engine's."""
        self._start()
        self.blob.write(piece)

    def end(self) -> None:
        """Every byte was written."""
        self._start()
        self.blob.end()

    def result(self) -> Descriptor:
        """Wait until the registry holds the blob; raises what the upload raised."""
        return self._start().result()

    def cancel(self, reason: str) -> None:
        """End it; the upload's own session at the registry is cancelled by its thread."""
        self.blob.fail(RelayClosed(reason))
        if self._job is not None and not self._job.cancel():
            wait([self._job])

    def _start(self) -> Future[Descriptor]:
        if self._job is None:
            self._job = self._threads.submit(self._run)
        return self._job

    def _run(self) -> Descriptor:
        try:
            return self._send(self.blob)
        except Exception as error:
            self.blob.fail(error)
            raise


class ClosingUploads:
    """Uploads whose bytes the engine has all given, oldest first; the registry may not have them yet."""

    def __init__(self) -> None:
        self._uploads: deque[RelayedUpload] = deque()
        self._lock = threading.Lock()

    def add(self, upload: RelayedUpload) -> None:
        """Take one more."""
        with self._lock:
            self._uploads.append(upload)

    def settle(self, most: int = 0) -> None:
        """Wait until at most so many are left; raises what one of them raised.

        One counts until the registry has it, whoever else waits for it: two threads may settle at once.
        """
        while True:
            with self._lock:
                if len(self._uploads) <= most:
                    return
                oldest = self._uploads[0]
            oldest.result()
            with self._lock:
                if self._uploads and self._uploads[0] is oldest:
                    self._uploads.popleft()

    def cancel(self, reason: str) -> None:
        """End them."""
        with self._lock:
            uploads = tuple(self._uploads)
        for upload in uploads:
            upload.cancel(reason)
