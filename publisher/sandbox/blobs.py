"""Blobs: read, deleted, and the uploads that bring them."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Final

from starlette.requests import ClientDisconnect
from starlette.responses import Response, StreamingResponse

from publisher.http.headers import content_length, read_number
from publisher.sandbox.http import Refusal, created_response, receive, requested_range, send
from publisher.sandbox.routes import digest_of, name_of
from publisher.sandbox.store import TooManyUploads

if TYPE_CHECKING:
    from starlette.requests import Request

    from publisher.model.digest import Digest
    from publisher.sandbox.routes import ApiRoute
    from publisher.sandbox.store import Store, UploadSession

_STATE: Final = "_state"
_CONTENT_RANGE: Final = re.compile(r"(?:bytes )?([0-9]{1,18})-([0-9]{1,18})(?:/(?:[0-9]+|\*))?")


class Blobs:
    """`/v2/NAME/blobs/DIGEST`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def answer(self, request: Request, route: ApiRoute) -> Response:
        """Answer a request; raises Refusal."""
        if request.method not in {"GET", "HEAD", "DELETE"}:
            raise Refusal(405, "UNSUPPORTED", f"{request.method} is not for blobs")
        digest = digest_of(route.item)
        if not self._store.has_blob(route.name, digest):
            raise Refusal(404, "BLOB_UNKNOWN", f"{route.name} has no blob {digest}", detail={"digest": str(digest)})
        if request.method == "DELETE":
            await asyncio.to_thread(self._store.drop_blob, route.name, digest)
            return Response(status_code=202)
        blob_store = self._store.blob_store
        size = await asyncio.to_thread(blob_store.size, digest)
        part = requested_range(request.headers.get("range", ""), size) if request.method == "GET" else None
        headers = {"Docker-Content-Digest": str(digest), "Accept-Ranges": "bytes", "Content-Length": str(size)}
        if part:
            headers["Content-Length"] = str(len(part))
            headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{size}"
        if request.method == "HEAD":
            return Response(b"", 200, headers, media_type="application/octet-stream")
        body = send(blob_store, digest, part or range(size))
        return StreamingResponse(body, 206 if part else 200, headers, media_type="application/octet-stream")


class Uploads:
    """`/v2/NAME/blobs/uploads/[ID]`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def answer(self, request: Request, route: ApiRoute) -> Response:
        """Answer a request; raises Refusal."""
        if not route.item:
            return await self._begin(request, route.name)
        session = self._session(route)
        if request.method == "DELETE":
            async with session.turn:
                await asyncio.to_thread(self._store.cancel, route.item)
            return Response(status_code=204)
        if request.method == "GET":
            return Response(status_code=204, headers=_progress(route.item, session))
        if request.method not in {"PATCH", "PUT"}:
            raise Refusal(405, "UNSUPPORTED", f"{request.method} is not for uploads")
        digest = digest_of(request.query_params.get("digest", "")) if request.method == "PUT" else None
        async with session.turn:
            self._session(route)  # another request may have ended it while this one waited
            _check_place(request, route.item, session)
            _check_range(request, route.item, session)
            await receive(request, session.blob)
            if digest:
                return await asyncio.to_thread(self._finish, route.name, route.item, digest)
        return Response(status_code=202, headers=_progress(route.item, session))

    def _session(self, route: ApiRoute) -> UploadSession:
        session = self._store.session(route.name, route.item)
        if session is None:
            raise Refusal(404, "BLOB_UPLOAD_UNKNOWN", "there is no such upload")
        return session

    async def _begin(self, request: Request, name: str) -> Response:
        if request.method != "POST":
            raise Refusal(405, "UNSUPPORTED", f"{request.method} is not for uploads")
        if response := await asyncio.to_thread(self._mount, request, name):
            return response
        text = request.query_params.get("digest", "")
        digest = digest_of(text) if text else None
        try:
            upload = await asyncio.to_thread(self._store.begin, name)
        except TooManyUploads as error:
            raise Refusal(429, "TOOMANYREQUESTS", str(error), headers={"Retry-After": "5"}) from error
        session = self._store.session(name, upload)
        assert session is not None  # noqa: S101 - nobody else knows its id yet
        if digest is None:
            return Response(status_code=202, headers=_progress(upload, session))
        try:
            await receive(request, session.blob)
        except ClientDisconnect:
            self._store.cancel(upload)  # nobody knows its id, so nobody could go on
            raise
        return await asyncio.to_thread(self._finish, name, upload, digest)

    def _mount(self, request: Request, name: str) -> Response | None:
        """Share a blob; where that can't be, an ordinary upload begins."""
        try:
            digest = digest_of(request.query_params.get("mount", ""))
            origin = name_of(request.query_params.get("from", ""))
        except Refusal:
            return None
        if not self._store.has_blob(origin, digest):
            return None
        self._store.add_blob(name, digest)
        return created_response(f"/v2/{name}/blobs/{digest}", digest)

    def _finish(self, name: str, upload: str, digest: Digest) -> Response:
        if not self._store.finish(upload, digest):
            raise Refusal(400, "DIGEST_INVALID", f"the bytes don't have the digest {digest}")
        return created_response(f"/v2/{name}/blobs/{digest}", digest)


def _check_place(request: Request, upload: str, session: UploadSession) -> None:
    """Bytes go to the newest Location only, as distribution has it; and they are nothing but bytes."""
    kind = request.headers.get("content-type", "")
    if request.method == "PATCH" and kind not in {"", "application/octet-stream"}:
        raise Refusal(400, "BLOB_UPLOAD_INVALID", f"'{kind[:100]}' is no Content-Type of bytes")
    if read_number(request.query_params.get(_STATE, "")) != session.size:
        message = "this is not the upload's newest Location"
        raise Refusal(416, "RANGE_INVALID", message, headers=_progress(upload, session))


def _check_range(request: Request, upload: str, session: UploadSession) -> None:
    """A piece has to begin where the last one ended (416)."""
    content_range = request.headers.get("content-range")
    if content_range is None:
        return
    match = _CONTENT_RANGE.fullmatch(content_range.strip())
    length = content_length(request.headers)
    fits = match and int(match[1]) == session.size and int(match[1]) <= int(match[2]) + 1
    if match and fits and length is not None:
        fits = int(match[2]) - int(match[1]) + 1 == length
    if not fits:
        message = f"'{content_range}' doesn't go on at {session.size}"
        raise Refusal(416, "BLOB_UPLOAD_INVALID", message, headers=_progress(upload, session))


def _progress(upload: str, session: UploadSession) -> dict[str, str]:
    return {
        "Location": f"/v2/{session.name}/blobs/uploads/{upload}?{_STATE}={session.size}",
        "Range": f"0-{max(session.size - 1, 0)}",
        "Docker-Upload-UUID": upload,
    }
