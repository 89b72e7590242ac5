"""Upload sessions: one stream a blob, resumed at the registry's offset when the connection breaks."""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from publisher.http.message import ConnectionLost, Response
from publisher.http.origin import Origin, follow
from publisher.http.retry import TEMPORARY
from publisher.model.errors import Unreachable, VerificationFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from publisher.model.manifest import Descriptor
    from publisher.model.protocols import Upload
    from publisher.registry.repository import RemoteRepository

WINDOW: Final = 16 * 1024 * 1024
"""Bytes kept to be sent again: what may be in sockets and proxies when a connection breaks."""
_SEGMENT: Final = 512 * 1024 * 1024
"""Bytes sent in one request; tokens are renewed between two."""
_SMALL: Final = 1024 * 1024
_TRIES: Final = 8


class _Restart(Exception):
    """The session is of no more use: send the blob from its start."""


class Sessions:
    """The upload sessions of one repository; one that was opened for proof is kept for the next blob."""

    def __init__(self, remote: RemoteRepository) -> None:
        self.remote = remote
        self._kept: deque[str] = deque()
        self._lock = threading.Lock()

    def prepare(self) -> None:
        """Open a session and keep it."""
        self._kept.append(self._begin())

    def keep(self, response: Response) -> None:
        """Keep a session that a mount began."""
        if location := response.headers.get("Location"):
            self._kept.append(follow(response.url, location))

    def take(self) -> str:
        """A session's address."""
        with self._lock:
            if self._kept:
                return self._kept.popleft()
        return self._begin()

    def _begin(self) -> str:
        with self.remote.ask("POST", self.remote.url("blobs/uploads/"), body=b"") as response:
            if response.status != 202:  # noqa: PLR2004 - begun
                raise self.remote.trouble(response, "pushing to")
            return next_location(response)

    def cancel(self, location: str) -> None:
        """End a session; it doesn't matter if the registry can't."""
        try:
            self.remote.ask("DELETE", location, anonymous=self._is_foreign(location)).close()
        except Unreachable:
            return

    def _is_foreign(self, location: str) -> bool:
        """Whether an upload's address lies on another host, which gets no credentials."""
        return Origin.of(location) != Origin.of(self.remote.url(""))

    def send(self, method: str, location: str, **extra: object) -> Response:
        """A request within a session."""
        return self.remote.ask(method, location, anonymous=self._is_foreign(location), **extra)  # type: ignore[arg-type]

    def close(self) -> None:
        """Cancel what nobody used."""
        while self._kept:
            self.cancel(self._kept.popleft())


def next_location(response: Response) -> str:
    """Where the session goes on."""
    location = response.headers.get("Location")
    if not location:
        raise Unreachable("the registry began an upload without saying where", reference=response.url)
    return follow(response.url, location)


def send(sessions: Sessions, blob: Upload) -> Descriptor:
    """Send `blob`, from its start again where its session was lost."""
    for attempt in range(_TRIES):
        transmission = _Transmission(sessions, blob)
        try:
            return transmission.run()
        except _Restart:
            sessions.cancel(transmission.location)
            _pause(attempt)
        except BaseException:
            sessions.cancel(transmission.location)
            raise
    raise Unreachable("an upload failed after retries", reference=sessions.remote.repository)


def _pause(attempt: int) -> None:
    time.sleep(min(0.1 * 2**attempt, 5.0) * random.uniform(0.5, 1.0))


class _Transmission:
    """One blob in one session."""

    def __init__(self, sessions: Sessions, blob: Upload) -> None:
        self._sessions = sessions
        self._blob = blob
        self._chunks = blob.chunks()
        self._pulled = 0  # bytes taken from the blob
        self._window: deque[bytes] = deque()
        self._window_size = 0
        self._ended: bool = False
        self.location = sessions.take()

    def run(self) -> Descriptor:
        if small := self._pull_small():
            return self._finish(small)
        offset = 0
        while offset < self._pulled or not self._is_over():
            offset = self._stream(offset)
        return self._finish(b"")

    def _is_over(self) -> bool:
        return self._ended

    def _pull_small(self) -> bytes:
        """The whole blob where it is small enough for one request, else nothing."""
        while self._pulled <= _SMALL and self._pull():
            pass
        return b"".join(self._window) if self._ended else b""

    def _pull(self) -> bytes:
        chunk = next(self._chunks, b"")
        self._ended = not chunk
        self._pulled += len(chunk)
        self._window.append(chunk)
        self._window_size += len(chunk)
        while self._window_size - len(self._window[0]) >= WINDOW:
            self._window_size -= len(self._window.popleft())
        return chunk

    def _replay(self, offset: int) -> Iterator[bytes]:
        """The kept bytes from `offset` on."""
        position = self._pulled - self._window_size
        for chunk in tuple(self._window):
            begin = max(0, offset - position)
            if begin < len(chunk):
                yield chunk[begin:]
            position += len(chunk)

    def _body(self, offset: int) -> Iterator[bytes]:
        sent = 0
        for chunk in self._replay(offset):
            sent += len(chunk)
            yield chunk
        while sent < _SEGMENT and (chunk := self._pull()):
            sent += len(chunk)
            yield chunk

    def _stream(self, offset: int) -> int:
        """Send from `offset`; returns the offset that the registry has reached."""
        headers = {"Content-Type": "application/octet-stream"}
        if offset:
            end = self._pulled - 1
            headers |= {"Content-Range": f"{offset}-{end}"} if self._ended else {}
        for attempt in range(_TRIES):
            try:
                with self._sessions.send("PATCH", self.location, body=self._body(offset), headers=headers) as response:
                    if response.status in {201, 202, 204}:
                        self.location = self._moved(response)
                        return self._pulled
                    if response.status not in TEMPORARY | {401, 416}:
                        if response.status == 404:  # noqa: PLR2004 - the session is gone
                            raise _Restart
                        raise self._sessions.remote.trouble(response, "pushing to")
            except ConnectionLost:
                pass
            _pause(attempt)
            offset = self._reached()
        raise _Restart

    def _moved(self, response: Response) -> str:
        return next_location(response) if response.headers.get("Location") else self.location

    def _reached(self) -> int:
        """Ask the session how far it is; raises _Restart where what follows is no longer kept."""
        with self._sessions.send("GET", self.location) as response:
            if response.status not in {200, 202, 204}:
                raise _Restart
            self.location = self._moved(response)
            last = response.headers.get("Range", "").removeprefix("bytes=").rpartition("-")[2]
        offset = int(last) + 1 if last.isdigit() and last != "0" else 0
        if not self._pulled - self._window_size <= offset <= self._pulled:
            raise _Restart
        return offset

    def _finish(self, body: bytes) -> Descriptor:
        descriptor = self._blob.descriptor()
        location = f"{self.location}{'&' if '?' in self.location else '?'}digest={descriptor.digest}"
        headers = {"Content-Type": "application/octet-stream"}
        try:
            with self._sessions.send("PUT", location, body=body, headers=headers) as response:
                if response.status in {200, 201, 202, 204}:
                    return descriptor
                if response.status != 404 and response.status not in TEMPORARY | {416}:  # noqa: PLR2004
                    raise self._sessions.remote.trouble(response, "pushing to")
        except ConnectionLost:
            pass
        return self._settle(descriptor)

    def _settle(self, descriptor: Descriptor) -> Descriptor:
        """An answer was lost, or a second PUT found the session gone: the blob itself tells."""
        held = self._sessions.remote.blob_size(descriptor.digest)
        if held is None:
            raise _Restart
        if held != descriptor.size:
            raise VerificationFailed(
                f"the registry holds {held:,} bytes under {descriptor.digest}, sent were {descriptor.size:,}",
                reference=self._sessions.remote.repository,
            )
        return descriptor
