"""The engine's requests to the relay, as HTTP."""

from __future__ import annotations

import json
import re
import socket
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import parse_qs, urlsplit

from publisher.http.headers import read_number
from publisher.http.origin import is_loopback_header
from publisher.model.digest import Digest
from publisher.model.errors import BadReference, PublishError
from publisher.model.manifest import LARGEST
from publisher.registry.relay.uploads import RelayClosed, StreamLost, UnknownUpload

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BufferedIOBase

    from publisher.model.manifest import Content
    from publisher.registry.relay.uploads import RelayedUpload


class ImagePush(Protocol):
    """What becomes of a push, request by request."""

    name: str
    was_reached: bool

    def note_failure(self, error: PublishError) -> None:
        """Keep what went wrong."""

    def blob_size(self, digest: Digest) -> int | None:
        """The size of a blob that the engine needn't send."""

    def initiate_upload(self) -> RelayedUpload:
        """Open a session."""

    def upload(self, name: str) -> RelayedUpload:
        """A session; raises UnknownUpload."""

    def commit_upload(self, name: str, digest: str) -> Digest:
        """Complete a session."""

    def cancel_upload(self, name: str) -> None:
        """Forget a session."""

    def stream_blob(self, name: str, digest: str, length: int, body: BufferedIOBase) -> Digest | None:
        """Send a blob on that comes in one request; None where it is to be taken piece by piece."""

    def put_manifest(self, target: str, body: bytes, media_type: str) -> Digest:
        """Take a manifest."""

    def manifest(self, target: str) -> Content | None:
        """What was put."""


_PIECE: Final = 256 * 1024
_LINGER_SECONDS: Final = 3.0
_ROUTE: Final = re.compile(r"/v2/(?P<name>.+?)/(?P<kind>manifests|blobs)/(?P<rest>(?:uploads/)?[^/]*)")
_UPLOADS: Final = "uploads/"
_TLS: Final = b"\x16"
"""The first byte of a ClientHello. Source: RFC 8446, 5.1."""
_NO_TLS: Final = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class RelayHandler(BaseHTTPRequestHandler):
    """Answers one connection of the engine's."""

    protocol_version = "HTTP/1.1"
    server_version = "publish-relay"
    sys_version = ""
    timeout = 600
    # An answer leaves at once and in one piece: the engine waits for each before it goes on.
    disable_nagle_algorithm = True
    wbufsize = -1

    _unread = False
    """Whether a part of this request's body was not read."""

    def handle(self) -> None:
        """Answer what this connection asks, but not a client that begins with TLS.

        A containerd store tries TLS first, and plain HTTP after it only where the answer begins as HTTP does.
        """
        if self.connection.recv(1, socket.MSG_PEEK) == _TLS:
            self.connection.recv(_PIECE)
            self.connection.sendall(_NO_TLS)
        else:
            super().handle()

    def do_GET(self) -> None:
        """Answer a request; every method comes here."""
        self._unread = "chunked" in self.headers.get("Transfer-Encoding", "") or bool(self._length())
        try:
            self._route()
        except UnknownUpload as error:
            self._refuse(404, "BLOB_UPLOAD_UNKNOWN", error.message)
        except (StreamLost, RelayClosed) as error:
            self._push.note_failure(error)
            self._refuse(503, "UNAVAILABLE", error.message)
        except PublishError as error:
            self._push.note_failure(error)
            # The one code that engines neither try again nor take for something else: the words are what counts.
            self._refuse(403, "DENIED", error.message)
        except OSError:
            raise
        except Exception as error:  # noqa: BLE001 - the workflow is to hear of it, not only this thread
            self._push.note_failure(PublishError(f"the relay failed: {error!r}"))
            self._refuse(500, "UNKNOWN", repr(error))

    do_HEAD = do_POST = do_PATCH = do_PUT = do_DELETE = do_GET  # noqa: N815 - the base class names them so

    def log_message(self, *_arguments: object) -> None:
        """Say nothing: the push is told by the engine's own events."""

    @property
    def _push(self) -> ImagePush:
        push: ImagePush = self.server.push  # type: ignore[attr-defined]  # the relay's own server made this
        return push

    def _length(self) -> int:
        return read_number(self.headers.get("Content-Length", "0")) or 0

    def _route(self) -> None:
        if not is_loopback_header(self.headers.get("Host", "")):
            return self._refuse(403, "DENIED", "only this machine may use the relay")
        self._push.was_reached = True
        address = urlsplit(self.path)
        if address.path.rstrip("/") == "/v2":
            return self._answer(200, {"Docker-Distribution-Api-Version": "registry/2.0"}, b"{}")
        route = _ROUTE.fullmatch(address.path)
        if not route or route["name"] != self._push.name:
            return self._refuse(404, "NAME_UNKNOWN", "the relay knows one repository only")
        query = {key: values[0] for key, values in parse_qs(address.query).items()}
        if route["kind"] == "manifests":
            return self._manifest(route["rest"])
        if route["rest"].startswith(_UPLOADS):
            return self._upload(route["rest"].removeprefix(_UPLOADS), query)
        return self._blob(route["rest"])

    # Blobs.

    def _blob(self, text: str) -> None:
        if self.command != "HEAD":
            return self._refuse(405, "UNSUPPORTED", "the relay gives no blobs")
        size = self._push.blob_size(Digest.parse(text))
        if size is None:
            return self._refuse(404, "BLOB_UNKNOWN", "blob unknown")
        headers = {"Docker-Content-Digest": text, "Content-Type": "application/octet-stream"}
        return self._answer(200, headers, length=size)

    def _upload(self, name: str, query: dict[str, str]) -> None:
        if self.command == "POST" and not name:
            return self._initiate_upload(query)
        upload = self._push.upload(name)
        if self.command == "PATCH":
            start = self.headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
            if read_number(start) not in {None, upload.blob.received}:
                return self._refuse(416, "RANGE_INVALID", f"the upload is at {upload.blob.received}")
            self._write_body(name)
            return self._answer(202, self._upload_headers(name))
        if self.command == "PUT":
            if sent := self._streamed(name, query.get("digest", "")):
                return self._created(f"blobs/{sent}", sent)
            self._write_body(name)
            digest = self._push.commit_upload(name, query.get("digest", ""))
            return self._created(f"blobs/{digest}", digest)
        if self.command == "DELETE":
            self._push.cancel_upload(name)
        return self._answer(204, self._upload_headers(name) if self.command == "GET" else {})

    def _initiate_upload(self, query: dict[str, str]) -> None:
        """A mount comes true where the target holds the blob; what the engine calls its origin means nothing there."""
        if "mount" in query and self._push.blob_size(digest := Digest.parse(query["mount"])) is not None:
            return self._created(f"blobs/{digest}", digest)
        return self._answer(202, self._upload_headers(self._push.initiate_upload().name))

    def _upload_headers(self, name: str) -> dict[str, str]:
        received = self._push.upload(name).blob.received
        return {
            "Location": f"/v2/{self._push.name}/blobs/{_UPLOADS}{name}",
            "Docker-Upload-UUID": name,
            "Range": f"0-{max(received - 1, 0)}",
        }

    def _streamed(self, name: str, digest: str) -> Digest | None:
        """The blob that this request holds whole, sent on as it comes; None where it doesn't, or can't be."""
        length = self._length()
        if not length or self._push.upload(name).blob.received:
            return None
        sent = self._push.stream_blob(name, digest, length, self.rfile)
        self._unread = self._unread and sent is None
        return sent

    def _write_body(self, name: str) -> None:
        """Pass this request's body on; a connection that breaks ends the upload."""
        upload = self._push.upload(name)
        try:
            for piece in self._body():
                upload.write(piece)
        except BaseException:
            self._push.cancel_upload(name)
            raise

    # Manifests.

    def _manifest(self, target: str) -> None:
        if self.command == "PUT":
            body = self._whole_body()
            if b'"schemaVersion": 1' in body[:200]:
                # What engines try after any refusal of the manifest proper, whose reason is the one to tell.
                return self._refuse(400, "MANIFEST_INVALID", "only manifests of schema 2 are taken")
            digest = self._push.put_manifest(target, body, self.headers.get("Content-Type", ""))
            return self._created(f"manifests/{digest}", digest)
        content = self._push.manifest(target)
        if content is None or self.command not in {"GET", "HEAD"}:
            return self._refuse(404, "MANIFEST_UNKNOWN", "manifest unknown")
        headers = {"Content-Type": content.media_type, "Docker-Content-Digest": str(content.digest)}
        return self._answer(200, headers, content.content)

    def _whole_body(self) -> bytes:
        body = bytearray()
        for piece in self._body():
            body += piece
            if len(body) > LARGEST:
                raise BadReference(f"the manifest has more than {LARGEST:,} bytes")
        return bytes(body)

    # HTTP itself.

    def _body(self) -> Iterator[bytes]:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            yield from self._chunked_body()
        else:
            yield from self._exactly(self._length())
        self._unread = False

    def _chunked_body(self) -> Iterator[bytes]:
        while size := int(self._line().partition(b";")[0], 16):
            yield from self._exactly(size)
            self._line()
        while self._line():
            pass

    def _line(self) -> bytes:
        line = self.rfile.readline(8192)
        if not line.endswith(b"\n"):
            raise ConnectionResetError("the engine hung up")
        return line.strip()

    def _exactly(self, length: int) -> Iterator[bytes]:
        while length:
            piece = self.rfile.read(min(length, _PIECE))
            if not piece:
                raise ConnectionResetError("the engine hung up")
            length -= len(piece)
            yield piece

    def _created(self, path: str, digest: Digest) -> None:
        self._answer(201, {"Location": f"/v2/{self._push.name}/{path}", "Docker-Content-Digest": str(digest)})

    def _refuse(self, status: int, code: str, message: str) -> None:
        document = {"errors": [{"code": code, "message": message}]}
        self._answer(status, {"Content-Type": "application/json"}, json.dumps(document).encode())

    def _answer(self, status: int, headers: dict[str, str], body: bytes = b"", *, length: int | None = None) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 204:  # noqa: PLR2004 - has no body by definition
            self.send_header("Content-Length", str(len(body) if length is None else length))
        if self._unread:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        if self._unread:
            self._linger()

    def _linger(self) -> None:
        """Let an engine that is still sending read the answer: closing at once would reset the connection under it."""
        self.close_connection = True
        self.wfile.flush()
        self.connection.settimeout(_LINGER_SECONDS)
        try:
            while self.rfile.read1(_PIECE):
                pass
        except OSError:
            return
