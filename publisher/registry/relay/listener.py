"""A registry on loopback that listens for the push of one image, and keeps its manifests."""

from __future__ import annotations

import secrets
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import ThreadingHTTPServer
from typing import TYPE_CHECKING, Final, Self

from publisher.model.digest import Digest
from publisher.model.errors import BadReference
from publisher.model.manifest import parse_manifest
from publisher.registry.relay.handler import RelayHandler
from publisher.registry.relay.uploads import RelayedUpload, UnknownUpload

if TYPE_CHECKING:
    from io import BufferedIOBase

    from publisher.model.errors import PublishError
    from publisher.model.manifest import Content

_LOOPBACK: Final = "127.0.0.1"
_THREADS: Final = 256
"""Far more than an engine has requests and uploads under way; its older ones open a connection for each request."""


class PushListener:
    """Takes an engine's push without a blob: each is called present. A context manager.

    title: the last part of the repository's name. The rest of it is random, so that nobody else on this machine
    pushes with ours. root: what is put last.
    """

    def __init__(self, title: str = "image", root: Digest | None = None) -> None:
        self.name = f"{secrets.token_hex(8)}/{title}"
        """The one repository that is known here."""
        self.manifests: dict[str, Content] = {}
        """What the engine has put, by tag and by digest."""
        self.arrived = threading.Event()
        """Set once all has arrived, or the push has ended."""
        self._root = root
        self.was_reached = False
        """Whether the engine has come here at all."""
        self.failure: PublishError | None = None
        """What went wrong last; the engine only prints its text."""
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

    # What the engine's requests do.

    def blob_size(self, digest: Digest) -> int | None:  # noqa: ARG002 - of every blob
        """The size of a blob that the engine needn't send."""
        return 0

    def initiate_upload(self) -> RelayedUpload:
        """Open a session."""
        raise UnknownUpload("no blob is wanted here")

    def upload(self, name: str) -> RelayedUpload:
        """A session; raises UnknownUpload."""
        raise UnknownUpload(f"no such upload: {name}")

    def commit_upload(self, name: str, digest: str) -> Digest:
        """Complete a session; raises BadManifest where the bytes aren't what the engine says."""
        raise UnknownUpload(f"no such upload: {name}, for {digest}")

    def cancel_upload(self, name: str) -> None:
        """Forget a session, ending it where it isn't over."""

    def stream_blob(self, name: str, digest: str, length: int, body: BufferedIOBase) -> Digest | None:  # noqa: ARG002 - see there
        """Send a blob on that comes in one request of `length` bytes; None where it is to be taken piece by piece."""
        return None

    def put_manifest(self, target: str, body: bytes, media_type: str) -> Digest:
        """Take a manifest under a tag or digest."""
        content = parse_manifest(body, media_type)
        if ":" in target and not Digest.parse(target).matches(body):
            raise BadReference(f"the engine's manifest is not {target}")
        self.accept(content)
        self.manifests |= {target: content, str(content.digest): content}
        self.check_arrival()
        return content.digest

    @property
    def has_all(self) -> bool:
        """Whether nothing more is wanted."""
        return str(self._root) in self.manifests

    def check_arrival(self) -> None:
        """Tell whoever waits for all."""
        if self.has_all:
            self.arrived.set()

    def accept(self, content: Content) -> None:
        """Do with a manifest what is to be done before the engine hears that it is here."""

    def manifest(self, target: str) -> Content | None:
        """What was put under a tag or digest."""
        return self.manifests.get(target)

    def note_failure(self, error: PublishError) -> None:
        """Keep what the workflow has to raise when the engine's push fails."""
        self.failure = error

    def hang_up(self) -> None:
        """End every connection: the engine's push fails."""
        self._server.hang_up()

    def close(self) -> None:
        """End the uploads that are under way."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown()
        self.close()
        self._server.hang_up()
        self._server.server_close()
        self._thread.join()
        self._threads.shutdown()


class _Server(ThreadingHTTPServer):
    """Knows its connections, to end those that the engine keeps open."""

    # An engine opens two for each blob at once, the first of them to try TLS; what finds no room waits a whole second.
    request_queue_size = 512

    def __init__(self, push: PushListener, threads: ThreadPoolExecutor) -> None:
        self.push = push
        self._pool = threads
        self._open: set[socket.socket] = set()
        super().__init__((_LOOPBACK, 0), RelayHandler)

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
