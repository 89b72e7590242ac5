"""Blobs that an engine sends through the relay."""

from __future__ import annotations

import secrets
import threading
from collections import deque
from typing import TYPE_CHECKING, Final

from publisher.model.digest import Digest
from publisher.model.errors import Unreachable, UsageError
from publisher.model.manifest import Descriptor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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
        self._begun = False
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
        if self._begun:
            raise StreamLost("the registry lost an upload, and only the engine can send it again")
        self._begun = True
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
    """One upload session of the engine, and the thread that carries it on."""

    def __init__(self, send: Callable[[RelayedBlob], Descriptor]) -> None:
        self.name = secrets.token_hex(16)
        self.blob = RelayedBlob()
        self._send = send
        self._sent: Descriptor | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=f"relay-{self.name[:6]}", daemon=True)

    def write(self, piece: bytes) -> None:
        """Take bytes of the engine's."""
        if self._thread.ident is None:
            self._thread.start()
        self.blob.write(piece)

    def end(self) -> None:
        """Every byte was written."""
        if self._thread.ident is None:
            self._thread.start()
        self.blob.end()

    def result(self) -> Descriptor:
        """Wait until the registry holds the blob; raises what the upload raised."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        assert self._sent is not None  # noqa: S101 - the thread ended with the one or the other
        return self._sent

    def abandon(self, reason: str) -> None:
        """End it; the upload's own session at the registry is cancelled by the thread."""
        self.blob.fail(RelayClosed(reason))
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self) -> None:
        try:
            self._sent = self._send(self.blob)
        except Exception as error:  # noqa: BLE001 - it is raised again in the thread that answers the engine
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        self._error = error
        self.blob.fail(error)
