"""A registry that cuts, forgets and answers oddly, as a server in the test process."""

from __future__ import annotations

import contextlib
import hashlib
import json
import random
import socket
import struct
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from publisher.http.client import Client
from publisher.http.retry import RetryPolicy
from publisher.http.tls import HostSettings
from publisher.model import media
from publisher.model.credential import Credential
from publisher.model.digest import Digest
from publisher.model.manifest import Descriptor
from publisher.model.reference import Repository
from publisher.registry.endpoint import locate
from publisher.registry.repository import RemoteRepository

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MIB = 1 << 20
QUICK = RetryPolicy(tries=4, sleep=lambda _seconds: None)
BASE = "/v2/app/"


@dataclass
class Odd:
    """What the registry does differently; counts go down as it does."""

    cuts: list[int] = field(default_factory=list)  # an upload's connection is reset once it holds so many bytes
    patch_answers: list[int] = field(default_factory=list)  # statuses instead of 202, after the body was read
    forgets: int = 0  # status requests that are answered 404, the session being gone
    no_status: bool = False
    patch_status: int = 202
    put_status: int = 201
    lost_put_answers: int = 0
    corrupted: int = 0  # final PUTs answered DIGEST_INVALID
    needs_range: bool = False  # no chunked bodies
    location: str = "/v2/app/blobs/uploads/{name}"
    no_digest: bool = False
    no_head: bool = False
    lie: str = ""
    get_cuts: list[int] = field(default_factory=list)
    no_ranges: bool = False
    answers: dict[tuple[str, str], tuple[int, dict[str, str], str]] = field(default_factory=dict)


class OddRegistry(ThreadingHTTPServer):
    """A registry in memory with one repository, `app`."""

    daemon_threads = False

    def __init__(self, odd: Odd) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.odd = odd
        self.port: int = self.server_address[1]
        self.blobs: dict[str, bytes] = {}
        self.uploads: dict[str, bytearray] = {}
        self.manifests: dict[str, tuple[bytes, str]] = {}
        self.log: list[tuple[str, str]] = []
        self.authorized: list[str] = []
        self.received = 0

    def asked(self, method: str) -> int:
        """How many requests had this method."""
        return sum(1 for found, _path in self.log if found == method)

    def handle_error(self, *_arguments: object) -> None:
        """Cut connections are meant."""


class Handler(BaseHTTPRequestHandler):
    """One connection to it."""

    protocol_version = "HTTP/1.1"
    timeout = 5
    server: OddRegistry

    def log_message(self, *_arguments: object) -> None:
        pass

    def answer(self, status: int, headers: Mapping[str, str] | None = None, body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if "Content-Length" not in (headers or {}) and status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def error(self, status: int, code: str) -> None:
        body = json.dumps({"errors": [{"code": code, "message": code.lower()}]}).encode()
        self.answer(status, {"Connection": "close"}, body)
        self.close_connection = True

    def reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()
        raise ConnectionResetError

    def body(self) -> Iterator[bytes]:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            yield self.rfile.read(int(self.headers.get("Content-Length", "0")))
            return
        while size := int(self.rfile.readline(), 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def do_GET(self) -> None:
        server, address = self.server, urlsplit(self.path)
        server.log.append((self.command, self.path))
        if "Authorization" in self.headers:
            server.authorized.append(f"{self.command} {address.path}")
        scripted = server.odd.answers.get((self.command, self.path.removeprefix(BASE)))
        if scripted:
            b"".join(self.body())
            self.answer(scripted[0], scripted[1], scripted[2].encode())
        elif "/uploads/" in address.path:
            self.upload(address.path.rpartition("/")[2], parse_qs(address.query))
        elif "/blobs/" in address.path:
            self.blob(address.path.rpartition("/")[2])
        else:
            self.manifest(address.path.rpartition("/")[2])

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815 - the base class names them so

    def place(self, name: str) -> dict[str, str]:
        return {"Location": self.server.odd.location.format(name=name, port=self.server.port)}

    def upload(self, name: str, query: dict[str, list[str]]) -> None:
        server = self.server
        if self.command == "POST":
            b"".join(self.body())
            name = f"u{len(server.log)}"
            server.uploads[name] = bytearray()
            return self.answer(202, self.place(name))
        if name not in server.uploads:
            return self.error(404, "BLOB_UPLOAD_UNKNOWN")
        held = server.uploads[name]
        if self.command == "DELETE":
            del server.uploads[name]
            return self.answer(204)
        if self.command == "GET":
            return self.status(name, len(held))
        if self.command == "PATCH":
            return self.patch(name, held)
        return self.complete(name, held, query["digest"][0])

    def status(self, name: str, length: int) -> None:
        server, odd = self.server, self.server.odd
        if odd.forgets:
            odd.forgets -= 1
            del server.uploads[name]
        if odd.no_status or name not in server.uploads:
            return self.error(404, "BLOB_UPLOAD_UNKNOWN")
        return self.answer(204, {**self.place(name), "Range": f"0-{max(length - 1, 0)}"})

    def patch(self, name: str, held: bytearray) -> None:
        server, odd = self.server, self.server.odd
        if odd.needs_range and "Content-Range" not in self.headers:
            return self.error(411, "SIZE_INVALID")
        if odd.needs_range and int(self.headers["Content-Range"].partition("-")[0]) != len(held):
            return self.error(416, "RANGE_INVALID")
        for piece in self.body():
            server.received += len(piece)
            held += piece
            if odd.cuts and len(held) >= odd.cuts[0]:
                del held[odd.cuts.pop(0) :]
                self.reset()
        if odd.patch_answers:
            return self.error(odd.patch_answers.pop(0), "UNAVAILABLE")
        return self.answer(odd.patch_status, {**self.place(name), "Range": f"0-{len(held) - 1}"})

    def complete(self, name: str, held: bytearray, digest: str) -> None:
        server, odd = self.server, self.server.odd
        held += b"".join(self.body())
        del server.uploads[name]
        if odd.corrupted or f"sha256:{hashlib.sha256(held).hexdigest()}" != digest:
            odd.corrupted -= 1
            return self.error(400, "DIGEST_INVALID")
        server.blobs[digest] = bytes(held)
        if odd.lost_put_answers:
            odd.lost_put_answers -= 1
            self.reset()
        return self.answer(odd.put_status, {} if odd.no_digest else {"Docker-Content-Digest": odd.lie or digest})

    def blob(self, digest: str) -> None:
        odd, found = self.server.odd, self.server.blobs.get(digest)
        if self.command == "HEAD" and odd.no_head:
            return self.answer(405)
        if found is None:
            return self.error(404, "BLOB_UNKNOWN")
        begin = int(self.headers.get("Range", "bytes=0-")[6:-1]) if not odd.no_ranges else 0
        rest = found[begin:]
        if self.command == "GET" and odd.get_cuts:
            self.send_response(206 if begin else 200)
            self.send_header("Content-Length", str(len(rest)))
            self.end_headers()
            self.wfile.write(rest[: odd.get_cuts.pop(0)])
            self.wfile.flush()
            self.close_connection = True
            return None
        return self.answer(206 if begin else 200, {"Content-Length": str(len(rest))}, rest)

    def manifest(self, target: str) -> None:
        server, odd = self.server, self.server.odd
        if self.command == "PUT":
            server.manifests[target] = (b"".join(self.body()), self.headers["Content-Type"])
            content = server.manifests[target][0]
            stated = odd.lie or str(Digest.of(content))
            return self.answer(odd.put_status, {} if odd.no_digest else {"Docker-Content-Digest": stated})
        if target not in server.manifests:
            return self.error(404, "MANIFEST_UNKNOWN")
        if self.command == "HEAD" and odd.no_head:
            return self.answer(405)
        content, kind = server.manifests[target]
        headers = {"Content-Type": kind, "Content-Length": str(len(content))}
        if not odd.no_digest:
            headers["Docker-Content-Digest"] = odd.lie or str(Digest.of(content))
        return self.answer(200, headers, content)


@contextlib.contextmanager
def serve(odd: Odd) -> Iterator[OddRegistry]:
    """The registry, running."""
    server = OddRegistry(odd)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.socket.close()


@contextlib.contextmanager
def opened(server: OddRegistry, *, user: str = "") -> Iterator[RemoteRepository]:
    """A client of its repository."""
    credential = Credential(user, "secret", "a test") if user else None
    client = Client(lambda _host, _path: credential, lambda _host: HostSettings(), retry_policy=QUICK)
    remote = RemoteRepository(client, locate(Repository.parse(f"127.0.0.1:{server.port}/app"), None), QUICK)
    try:
        yield remote
    finally:
        remote.close()
        client.close()


class Bytes:
    """A blob of `size` bytes in chunks, counting how often it was begun."""

    media_type = media.OCI_LAYER_GZIP

    def __init__(self, size: int, chunk: int = 256 * 1024) -> None:
        self.content = random.Random(size).randbytes(size)
        self.chunk = chunk
        self.begun = 0

    def chunks(self) -> Iterator[bytes]:
        self.begun += 1
        return (self.content[place : place + self.chunk] for place in range(0, len(self.content), self.chunk))

    def descriptor(self) -> Descriptor:
        return Descriptor(self.media_type, Digest.of(self.content), len(self.content))
