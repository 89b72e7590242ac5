"""What is asked of an engine: a way to it that writes every request down."""

from __future__ import annotations

import re
import select
import socket
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.engine import EngineProcess

_REQUEST: Final = re.compile(rb"(?:GET|HEAD|POST|PUT|DELETE) \S+(?= HTTP/1\.1\r\n)")
_PIECE: Final = 1 << 16


class EngineRequests:
    """Requests as "METHOD PATH", in their order; `host` is the DOCKER_HOST to use."""

    def __init__(self, host: str) -> None:
        self.host = host
        self._seen: list[str] = []

    def note(self, piece: bytes) -> None:
        """Read what goes to the engine; docker-py sends a request's head in one piece."""
        self._seen += [found.decode() for found in _REQUEST.findall(piece)]

    def matching(self, pattern: str) -> list[str]:
        """Those that hold the pattern, in order."""
        return [request for request in self._seen if re.search(pattern, request)]


@contextmanager
def watch(engine: EngineProcess, *, far: bool = False) -> Iterator[EngineRequests]:
    """A socket that leads to the engine. far: on TCP, so that it is taken for an engine elsewhere."""
    with tempfile.TemporaryDirectory(prefix="pw-", dir="/tmp") as folder, _listener(Path(folder), far=far) as server:
        place = server.getsockname()
        requests = EngineRequests(f"tcp://127.0.0.1:{place[1]}" if far else f"unix://{place}")
        with ThreadPoolExecutor(64) as pool:
            pool.submit(_serve, server, engine, requests, pool)
            try:
                yield requests
            finally:
                server.shutdown(socket.SHUT_RDWR)


def _listener(folder: Path, *, far: bool) -> socket.socket:
    if far:
        return socket.create_server(("127.0.0.1", 0))
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(folder / "docker.sock"))
    server.listen(64)
    return server


def _serve(server: socket.socket, engine: EngineProcess, requests: EngineRequests, pool: ThreadPoolExecutor) -> None:
    with suppress(OSError):
        while True:
            near, _address = server.accept()
            pool.submit(_join, near, engine.host.removeprefix("unix://"), requests)


def _join(near: socket.socket, path: str, requests: EngineRequests) -> None:
    """Pass on what either side says, until both have ended."""
    with near, socket.socket(socket.AF_UNIX) as behind, suppress(OSError):
        behind.connect(path)
        others = {near: behind, behind: near}
        speaking = [near, behind]
        while speaking:
            for one in select.select(speaking, (), ())[0]:
                piece = one.recv(_PIECE)
                if one is near:
                    requests.note(piece)
                if piece:
                    others[one].sendall(piece)
                else:
                    speaking.remove(one)
                    others[one].shutdown(socket.SHUT_WR)
