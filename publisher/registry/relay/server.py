"""The relay: a registry on loopback that an engine pushes to, and that sends everything on without moving a tag."""

from __future__ import annotations

import socket
import threading
from http.server import ThreadingHTTPServer
from typing import TYPE_CHECKING, Final, Self

from publisher.registry.relay.handler import RelayHandler
from publisher.registry.relay.push import EnginePush

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import ThreadPoolExecutor

    from publisher.model.reference import Repository
    from publisher.registry.repository import RemoteRepository

_LOOPBACK: Final = "127.0.0.1"


class Relay(EnginePush):
    """Takes an engine's push of one image to `repository`; a context manager.

    The engine gets no credential; `repository` holds a random part, so that nobody else on this machine pushes with
    ours.
    """

    def __init__(self, target: RemoteRepository, origins: Sequence[Repository] = ()) -> None:
        super().__init__(target, origins)
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
    """Listens on a free port of loopback; knows its connections, to end those that the engine keeps open."""

    def __init__(self, push: EnginePush, threads: ThreadPoolExecutor) -> None:
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
