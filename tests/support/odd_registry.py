"""A registry that cuts, forgets and answers oddly, as a server in the test process."""

from __future__ import annotations

import contextlib
import hashlib
import json
import random
from dataclasses import dataclass, field, replace
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
from tests.support.http_server import RESET, Answer, serve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.http_server import Server, ServerRequest

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
    largest: int = 0  # bytes of a request's body; more is 413
    hangs_up: bool = False  # more is a reset, after that many bytes
    min_chunk: int = 0  # pieces with fewer bytes are refused where they don't reach `total`
    total: int = 0
    location: str = "/v2/app/blobs/uploads/{name}"
    no_digest: bool = False
    no_head: bool = False
    lie: str = ""
    get_cuts: list[int] = field(default_factory=list)
    no_ranges: bool = False
    answers: dict[tuple[str, str], tuple[int, dict[str, str], str]] = field(default_factory=dict)


class OddRegistry:
    """A registry in memory with one repository, `app`; `log` is the method and path of each request."""

    def __init__(self, odd: Odd) -> None:
        self.odd = odd
        self.port = 0
        self.blobs: dict[str, bytes] = {}
        self.uploads: dict[str, bytearray] = {}
        self.manifests: dict[str, tuple[bytes, str]] = {}
        self.log: list[tuple[str, str]] = []
        self.authorized: list[str] = []
        self.received = 0

    def count(self, method: str) -> int:
        """How many requests had this method."""
        return sum(1 for logged, _path in self.log if logged == method)

    def answer(self, request: ServerRequest) -> Answer | None:
        """Answer one request; None where no registry has such a route."""
        address = urlsplit(request.path)
        self.log.append((request.method, request.path))
        if "Authorization" in request.headers:
            self.authorized.append(f"{request.method} {address.path}")
        if scripted := self.odd.answers.get((request.method, request.path.removeprefix(BASE))):
            _read(request)
            return Answer(scripted[0], scripted[1], scripted[2].encode())
        name = address.path.rpartition("/")[2]
        if "/uploads/" in address.path:
            return self._upload(request, name, parse_qs(address.query))
        if "/blobs/" in address.path:
            return self._blob(request, name)
        return self._manifest(request, name) if "/manifests/" in address.path else None

    def _location(self, name: str) -> dict[str, str]:
        return {"Location": self.odd.location.format(name=name, port=self.port)}

    def _upload(self, request: ServerRequest, name: str, query: dict[str, list[str]]) -> Answer | None:
        if request.method == "POST":
            _read(request)
            name = f"u{len(self.log)}"
            self.uploads[name] = bytearray()
            shortest = {"OCI-Chunk-Min-Length": str(self.odd.min_chunk)} if self.odd.min_chunk else {}
            return Answer(202, {**self._location(name), **shortest})
        if name not in self.uploads:
            return _error(404, "BLOB_UPLOAD_UNKNOWN")
        if self.odd.largest:
            return self._bounded(request, name, query)
        return self._in_session(request, name, query)

    def _bounded(self, request: ServerRequest, name: str, query: dict[str, list[str]]) -> Answer | None:
        """As a proxy in front of it, which passes on what isn't too large."""
        body, length = [], 0
        for piece in request.pieces():
            body.append(piece)
            length += len(piece)
            if length > self.odd.largest and self.odd.hangs_up:
                return RESET
        if length > self.odd.largest:
            return Answer(413, {"Content-Type": "text/html"}, b"<html>413 Request Entity Too Large</html>")
        return self._in_session(replace(request, pieces=lambda: iter(body)), name, query)

    def _in_session(self, request: ServerRequest, name: str, query: dict[str, list[str]]) -> Answer | None:
        match request.method:
            case "DELETE":
                del self.uploads[name]
                return Answer(204)
            case "GET":
                return self._status(name, len(self.uploads[name]))
            case "PATCH":
                return self._patch(request, name, self.uploads[name])
            case "PUT":
                return self._complete(request, name, self.uploads[name], query["digest"][0])
        return None

    def _status(self, name: str, length: int) -> Answer:
        if self.odd.forgets:
            self.odd.forgets -= 1
            del self.uploads[name]
        if self.odd.no_status or name not in self.uploads:
            return _error(404, "BLOB_UPLOAD_UNKNOWN")
        return Answer(204, {**self._location(name), "Range": f"0-{max(length - 1, 0)}"})

    def _patch(self, request: ServerRequest, name: str, content: bytearray) -> Answer:
        odd, stated = self.odd, request.headers.get("Content-Range", "")
        if odd.needs_range and not stated:
            return _error(411, "SIZE_INVALID")
        if odd.needs_range and int(stated.partition("-")[0]) != len(content):
            return _error(416, "RANGE_INVALID")
        length = int(request.headers.get("Content-Length", "0"))
        if stated and length < odd.min_chunk and len(content) + length < odd.total:
            return _error(400, "BLOB_UPLOAD_INVALID")
        for piece in request.pieces():
            self.received += len(piece)
            content += piece
            if odd.cuts and len(content) >= odd.cuts[0]:
                del content[odd.cuts.pop(0) :]
                return RESET
        if odd.patch_answers:
            return _error(odd.patch_answers.pop(0), "UNAVAILABLE")
        return Answer(odd.patch_status, {**self._location(name), "Range": f"0-{len(content) - 1}"})

    def _complete(self, request: ServerRequest, name: str, content: bytearray, digest: str) -> Answer:
        content += _read(request)
        del self.uploads[name]
        if self.odd.corrupted or f"sha256:{hashlib.sha256(content).hexdigest()}" != digest:
            self.odd.corrupted -= 1
            return _error(400, "DIGEST_INVALID")
        self.blobs[digest] = bytes(content)
        if self.odd.lost_put_answers:
            self.odd.lost_put_answers -= 1
            return RESET
        return Answer(self.odd.put_status, self._digest_header(digest))

    def _digest_header(self, digest: str) -> dict[str, str]:
        return {} if self.odd.no_digest else {"Docker-Content-Digest": self.odd.lie or digest}

    def _blob(self, request: ServerRequest, digest: str) -> Answer:
        if request.method == "HEAD" and self.odd.no_head:
            return Answer(405)
        if digest not in self.blobs:
            return _error(404, "BLOB_UNKNOWN")
        start = 0 if self.odd.no_ranges else int(request.headers.get("Range", "bytes=0-")[6:-1])
        cut = self.odd.get_cuts.pop(0) if request.method == "GET" and self.odd.get_cuts else None
        return Answer(206 if start else 200, {}, self.blobs[digest][start:], length=cut)

    def _manifest(self, request: ServerRequest, target: str) -> Answer:
        if request.method == "PUT":
            content = _read(request)
            self.manifests[target] = (content, request.headers["Content-Type"])
            return Answer(self.odd.put_status, self._digest_header(str(Digest.of(content))))
        if target not in self.manifests:
            return _error(404, "MANIFEST_UNKNOWN")
        if request.method == "HEAD" and self.odd.no_head:
            return Answer(405)
        content, media_type = self.manifests[target]
        return Answer(200, {"Content-Type": media_type, **self._digest_header(str(Digest.of(content)))}, content)


def _read(request: ServerRequest) -> bytes:
    return b"".join(request.pieces())


def _error(status: int, code: str) -> Answer:
    body = json.dumps({"errors": [{"code": code, "message": code.lower()}]}).encode()
    return Answer(status, {}, body, end="close")


@contextlib.contextmanager
def serve_odd(odd: Odd) -> Iterator[OddRegistry]:
    """The registry, running."""
    registry = OddRegistry(odd)
    with serve(registry.answer, streams=True) as server:
        registry.port = server.port
        yield registry


@contextlib.contextmanager
def open_repository(server: OddRegistry | Server, *, user: str = "") -> Iterator[RemoteRepository]:
    """A client of its repository."""
    credential = Credential(user, "secret", "a test") if user else None
    client = Client(lambda _host, _path: credential, lambda _host: HostSettings(), retry_policy=QUICK)
    remote = RemoteRepository(client, locate(Repository.parse(f"127.0.0.1:{server.port}/app"), None), QUICK)
    try:
        yield remote
    finally:
        remote.close()
        client.close()


class RandomBlob:
    """A blob of `size` bytes in chunks; `reads` is how often it was begun."""

    media_type = media.OCI_LAYER_GZIP

    def __init__(self, size: int, chunk: int = 256 * 1024) -> None:
        self.content = random.Random(size).randbytes(size)
        self.chunk = chunk
        self.reads = 0

    def chunks(self) -> Iterator[bytes]:
        self.reads += 1
        return (self.content[start : start + self.chunk] for start in range(0, len(self.content), self.chunk))

    def descriptor(self) -> Descriptor:
        return Descriptor(self.media_type, Digest.of(self.content), len(self.content))
