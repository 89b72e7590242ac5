"""The relay: a registry on loopback that an engine pushes to, and that sends everything on without moving a tag."""

from __future__ import annotations

import secrets
import socket
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from http.server import ThreadingHTTPServer
from typing import TYPE_CHECKING, Final, Self

from publisher.model.digest import Digest
from publisher.model.errors import BadManifest, BadReference, PublishError
from publisher.model.manifest import parse_manifest
from publisher.registry.relay.handler import RelayRequests
from publisher.registry.relay.uploads import RelayedUpload, UnknownUpload
from publisher.registry.upload import SMALL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from publisher.model.manifest import Content, Descriptor
    from publisher.model.reference import Repository
    from publisher.registry.repository import RemoteRepository

_LOOPBACK: Final = "127.0.0.1"
_MOST_CLOSING: Final = 8
"""Small blobs that the engine has sent and the registry has still to take."""
_THREADS: Final = 256
"""Far more than an engine has requests and uploads under way; its older ones open a connection for each request."""


class Relay:
    """Takes an engine's push of one image to `repository` and sends it to `target`, manifests by digest.

    A context manager. The engine gets no credential; `repository` holds a random part, so that nobody else on this
    machine pushes with ours.
    origins: repositories of the target's registry from which a blob that the engine asks for may be mounted.
    """

    def __init__(self, target: RemoteRepository, origins: Sequence[Repository] = ()) -> None:
        self.target = target
        self._origins = tuple(origin for origin in origins if origin != target.repository)
        self.name = f"{secrets.token_hex(8)}/{target.repository.name.rpartition('/')[2]}"
        """The one repository that the relay knows."""
        self.content: Content | None = None
        """What the engine put last, as it stands in the target."""
        self.was_asked = False
        """Whether the engine has reached the relay at all."""
        self.failure: PublishError | None = None
        """What went wrong last on the way to the target; the engine only prints its text."""
        self._uploads: dict[str, RelayedUpload] = {}
        self._closing: deque[RelayedUpload] = deque()
        self._blobs: dict[Digest, int] = {}
        self._sent: list[int] = []
        self._mounted = 0
        self._manifests: dict[str, Content] = {}
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(_THREADS, "relayed")
        self._server = _Server(self, self._threads)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="relay", daemon=True)

    @property
    def address(self) -> str:
        """127.0.0.1:PORT."""
        return f"{_LOOPBACK}:{self._server.server_address[1]}"

    @property
    def repository(self) -> str:
        """What the engine has to call the image, without a tag: 127.0.0.1:PORT/NAME."""
        return f"{self.address}/{self.name}"

    @property
    def tally(self) -> str:
        """What became of the blobs, in one line."""
        there = len(self._blobs) - len(self._sent) - self._mounted
        return f"{there} blobs were there, {self._mounted} mounted, {len(self._sent)} sent ({sum(self._sent):,} bytes)"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown()
        for upload in (*self._uploads.values(), *self._closing):
            upload.abandon("the relay has ended")
        self._server.hang_up()
        self._server.server_close()
        self._thread.join()
        self._threads.shutdown()

    # What the engine's requests do.

    def blob_size(self, digest: Digest) -> int | None:
        """The size of a blob that the target holds, or has just taken over from another repository."""
        if digest not in self._blobs:
            size = self.target.blob_size(digest)
            if size is None and any(self.target.mount(digest, origin) for origin in self._origins):
                size = self.target.blob_size(digest)
                self._mounted += 1
            if size is None:
                return None
            self._blobs[digest] = size
        return self._blobs[digest]

    def begin(self) -> RelayedUpload:
        """Open a session; the target hears of it with the first byte."""
        upload = RelayedUpload(self.target.upload, self._threads)
        with self._lock:
            self._uploads[upload.name] = upload
        return upload

    def upload(self, name: str) -> RelayedUpload:
        """A session; raises UnknownUpload."""
        try:
            return self._uploads[name]
        except KeyError:
            raise UnknownUpload("no such upload") from None

    def finish(self, name: str, stated: str) -> Digest:
        """Complete a session; raises BadManifest where the bytes aren't what the engine says.

        A small blob is held whole until the registry has it, so that the engine needn't wait for that: the manifest
        does.
        """
        upload = self.upload(name)
        try:
            sent = _whole(upload, stated)
        except BaseException:
            self.drop(name)
            raise
        with self._lock:
            self._uploads.pop(name, None)
            self._closing.append(upload)
            self._blobs[sent.digest] = sent.size
            self._sent.append(sent.size)
        self._await(_MOST_CLOSING)
        return sent.digest

    def _await(self, most: int) -> None:
        """Wait until at most so many uploads have still to be closed; raises what one of them raised."""
        while True:
            with self._lock:
                if len(self._closing) <= most:
                    return
                oldest = self._closing.popleft()
            oldest.result()

    def drop(self, name: str) -> None:
        """Forget a session, ending it where it isn't over."""
        with self._lock:
            upload = self._uploads.pop(name, None)
        if upload:
            upload.abandon("the engine gave the upload up")

    def put(self, target: str, body: bytes, media_type: str) -> Digest:
        """Send a manifest on by its digest; the tag is remembered here alone."""
        content = parse_manifest(body, media_type)
        if ":" in target and not Digest.parse(target).matches(body):
            raise BadReference(f"the engine's manifest is not {target}")
        self._await(0)
        self.target.put_manifest(content)
        self._manifests |= {target: content, str(content.digest): content}
        self.content, self.failure = content, None
        return content.digest

    def manifest(self, target: str) -> Content | None:
        """What was put under a tag or digest."""
        return self._manifests.get(target)

    def note(self, error: PublishError) -> None:
        """Keep what the workflow has to raise when the engine's push fails."""
        self.failure = error


def _whole(upload: RelayedUpload, stated: str) -> Descriptor:
    """End an upload; one that is too large to be held is waited for."""
    upload.end()
    if upload.blob.received > SMALL:
        upload.result()
    sent = upload.blob.descriptor()
    if Digest.parse(stated) != sent.digest:
        raise BadManifest(f"the engine sent {sent.digest} as {stated}")
    return sent


class _Server(ThreadingHTTPServer):
    """Listens on a free port of loopback; knows its connections, to end those that the engine keeps open."""

    def __init__(self, relay: Relay, threads: ThreadPoolExecutor) -> None:
        self.relay = relay
        self._pool = threads
        self._open: set[socket.socket] = set()
        super().__init__((_LOOPBACK, 0), RelayRequests)

    def process_request(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        """Remember the connection; one of the kept threads answers it."""
        if isinstance(request, socket.socket):
            self._open.add(request)
        self._pool.submit(self.process_request_thread, request, client_address)

    def shutdown_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
        """Forget the connection."""
        if isinstance(request, socket.socket):
            self._open.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """End every connection, so that no thread waits for the engine."""
        for connection in tuple(self._open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue

    def handle_error(self, *_arguments: object) -> None:
        """A connection that broke is the engine's to notice."""
