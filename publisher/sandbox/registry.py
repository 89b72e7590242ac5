"""The registry's HTTP routes (distribution-spec 1.1)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from anyio import to_thread
from starlette.responses import FileResponse, JSONResponse, Response

from publisher.model import media
from publisher.model.digest import Digest
from publisher.model.errors import BadManifest, BadReference
from publisher.model.manifest import LARGEST, parse_manifest
from publisher.model.reference import Repository, Tag

if TYPE_CHECKING:
    from starlette.requests import Request

    from publisher.sandbox.store import Session, Store

_ROUTE = re.compile(r"/v2/(?P<name>.+?)/(?P<kind>manifests|blobs/uploads|blobs|tags|referrers)/(?P<rest>[^/]*)")
_BUFFER = 1 << 20


class Refusal(Exception):
    """An error answer in the specification's form."""

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.headers = status, code, message, headers

    def response(self) -> Response:
        """The answer."""
        errors = [{"code": self.code, "message": self.message, "detail": None}]
        return JSONResponse({"errors": errors}, self.status, headers=self.headers)


class Registry:
    """Answers requests below /v2/."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def answer(self, request: Request) -> Response:
        """Find the route and run it."""
        path = request.url.path
        if path.rstrip("/") == "/v2":
            return JSONResponse({}, headers={"Docker-Distribution-Api-Version": "registry/2.0"})
        match = _ROUTE.fullmatch(path)
        if not match:
            raise Refusal(404, "NAME_UNKNOWN", "there is no such route")
        name = _name(match["name"])
        if match["kind"] == "blobs/uploads":
            return await self._uploads(request, name, match["rest"])
        if match["kind"] == "manifests":
            return await self._manifests(request, name, match["rest"])
        if match["kind"] == "blobs":
            return self._blobs(request, name, match["rest"])
        if request.method != "GET":
            raise Refusal(405, "UNSUPPORTED", f"{request.method} is not for this")
        return self._tags(request, name) if match["kind"] == "tags" else self._referrers(request, name, match["rest"])

    # Manifests.

    async def _manifests(self, request: Request, name: str, reference: str) -> Response:
        if request.method == "PUT":
            return await self._put_manifest(request, name, reference)
        digest = self._store.resolve(name, reference)
        if digest is None:
            code = "MANIFEST_UNKNOWN" if self._store.knows(name) else "NAME_UNKNOWN"
            raise Refusal(404, code, f"{name} has no manifest {reference}")
        if request.method == "DELETE":
            self._store.delete(name, reference)
            return Response(status_code=202)
        content = self._store.manifest(name, digest)
        headers = {"Docker-Content-Digest": str(digest), "Content-Length": str(len(content.content))}
        body = b"" if request.method == "HEAD" else content.content
        return Response(body, 200, headers, media_type=content.media_type)

    async def _put_manifest(self, request: Request, name: str, reference: str) -> Response:
        body = await _body(request)
        try:
            content = parse_manifest(body, request.headers.get("content-type"))
        except BadManifest as error:
            raise Refusal(400, "MANIFEST_INVALID", error.message) from error
        if ":" in reference and Digest.parse(reference) != content.digest:
            raise Refusal(400, "DIGEST_INVALID", f"the bytes have the digest {content.digest}")
        if missing := self._store.missing(name, content):
            raise Refusal(404, "MANIFEST_BLOB_UNKNOWN", f"{missing} is not in {name}")
        tags = [value for key, value in parse_qsl(request.url.query) if key == "tag"] if ":" in reference else []
        named = [_tag(tag) for tag in (tags if ":" in reference else [reference])]
        self._store.put_manifest(name, content, named)
        headers = {"Location": f"/v2/{name}/manifests/{content.digest}", "Docker-Content-Digest": str(content.digest)}
        if tags:
            headers["OCI-Tag"] = ", ".join(tags)
        if content.subject:
            headers["OCI-Subject"] = str(content.subject.digest)
        return Response(status_code=201, headers=headers)

    # Blobs.

    def _blobs(self, request: Request, name: str, text: str) -> Response:
        digest = _digest(text)
        if not self._store.has_blob(name, digest):
            raise Refusal(404, "BLOB_UNKNOWN", f"{name} has no blob {digest}")
        if request.method == "DELETE":
            self._store.drop_blob(name, digest)
            return Response(status_code=202)
        headers = {"Docker-Content-Digest": str(digest)}
        return FileResponse(self._store.path(digest), headers=headers, media_type="application/octet-stream")

    async def _uploads(self, request: Request, name: str, upload: str) -> Response:
        if not upload:
            return await self._begin(request, name)
        session = self._store.sessions.get(upload)
        if session is None:
            raise Refusal(404, "BLOB_UPLOAD_UNKNOWN", "there is no such upload")
        if request.method == "DELETE":
            self._store.cancel(upload)
            return Response(status_code=204)
        if request.method == "GET":
            return Response(status_code=204, headers=_progress(name, upload, session))
        if request.method not in {"PATCH", "PUT"}:
            raise Refusal(405, "UNSUPPORTED", f"{request.method} is not for uploads")
        _check_range(request, name, upload, session)
        await _receive(request, session)
        if request.method == "PATCH":
            return Response(status_code=202, headers=_progress(name, upload, session))
        return self._finish(name, upload, request.query_params.get("digest", ""))

    async def _begin(self, request: Request, name: str) -> Response:
        if request.method != "POST":
            raise Refusal(405, "UNSUPPORTED", f"{request.method} is not for uploads")
        query = request.query_params
        if (mount := query.get("mount")) and (origin := query.get("from")):
            digest = _digest(mount)
            if self._store.has_blob(_name(origin), digest):
                self._store.add_blob(name, digest)
                return _created(name, digest)
        upload = self._store.begin()
        if text := query.get("digest"):
            await _receive(request, self._store.sessions[upload])
            return self._finish(name, upload, text)
        return Response(status_code=202, headers=_progress(name, upload, self._store.sessions[upload]))

    def _finish(self, name: str, upload: str, text: str) -> Response:
        digest = _digest(text)
        if not self._store.finish(name, upload, digest):
            raise Refusal(400, "DIGEST_INVALID", f"the bytes don't have the digest {digest}")
        return _created(name, digest)

    # Lists.

    def _tags(self, request: Request, name: str) -> Response:
        if not self._store.knows(name):
            raise Refusal(404, "NAME_UNKNOWN", f"there is no repository {name}")
        last = request.query_params.get("last", "")
        tags = [tag for tag in self._store.tags(name) if tag > last]
        limit = request.query_params.get("n", "")
        headers = {}
        if limit.isdigit() and int(limit) < len(tags):
            tags = tags[: int(limit)]
            end = tags[-1] if tags else last
            headers["Link"] = f'</v2/{name}/tags/list?n={limit}&last={end}>; rel="next"'
        return JSONResponse({"name": name, "tags": tags}, headers=headers)

    def _referrers(self, request: Request, name: str, text: str) -> Response:
        kind = request.query_params.get("artifactType")
        found = self._store.referrers(name, _digest(text), kind)
        index: dict[str, Any] = {"schemaVersion": 2, "mediaType": media.OCI_INDEX, "manifests": found}
        headers = {"OCI-Filters-Applied": "artifactType"} if kind else {}
        return JSONResponse(index, headers=headers, media_type=media.OCI_INDEX)


async def _body(request: Request) -> bytes:
    pieces: list[bytes] = []
    length = 0
    async for piece in request.stream():
        pieces.append(piece)
        length += len(piece)
        if length > LARGEST:
            raise Refusal(413, "SIZE_INVALID", f"a manifest may have {LARGEST:,} bytes")
    return b"".join(pieces)


async def _receive(request: Request, session: Session) -> None:
    """Take a body into an upload, in a thread: the disk mustn't hold up other requests."""
    gathered = bytearray()
    async for piece in request.stream():
        gathered += piece
        if len(gathered) >= _BUFFER:
            await to_thread.run_sync(session.append, bytes(gathered))
            gathered.clear()
    if gathered:
        await to_thread.run_sync(session.append, bytes(gathered))


def _check_range(request: Request, name: str, upload: str, session: Session) -> None:
    stated = request.headers.get("content-range", "").removeprefix("bytes ").partition("-")[0]
    if stated.isdigit() and int(stated) != session.size:
        headers = _progress(name, upload, session)
        raise Refusal(416, "BLOB_UPLOAD_INVALID", f"the upload goes on at {session.size}", headers)


def _progress(name: str, upload: str, session: Session) -> dict[str, str]:
    return {
        "Location": f"/v2/{name}/blobs/uploads/{upload}",
        "Range": f"0-{max(session.size - 1, 0)}",
        "Docker-Upload-UUID": upload,
    }


def _created(name: str, digest: Digest) -> Response:
    headers = {"Location": f"/v2/{name}/blobs/{digest}", "Docker-Content-Digest": str(digest)}
    return Response(status_code=201, headers=headers)


def _name(text: str) -> str:
    try:
        return Repository.parse(f"localhost/{text}").name
    except BadReference as error:
        raise Refusal(400, "NAME_INVALID", error.message) from error


def _digest(text: str) -> Digest:
    try:
        return Digest.parse(text)
    except BadReference as error:
        raise Refusal(400, "DIGEST_INVALID", error.message) from error


def _tag(text: str) -> str:
    try:
        return Tag.parse(text)
    except BadReference as error:
        raise Refusal(400, "TAG_INVALID", error.message) from error
