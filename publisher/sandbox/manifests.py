"""Manifests: read, written and deleted, by tag or by digest."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from starlette.responses import Response

from publisher.model import media
from publisher.model.errors import BadManifest
from publisher.model.manifest import parse_manifest, read_document
from publisher.model.reference import Tag
from publisher.sandbox.faults import Quota
from publisher.sandbox.http import Refusal, created_response, read_whole
from publisher.sandbox.routes import digest_of, tag_of

if TYPE_CHECKING:
    from starlette.requests import Request

    from publisher.model.digest import Digest
    from publisher.model.manifest import Content
    from publisher.sandbox.options import Options
    from publisher.sandbox.routes import ApiRoute
    from publisher.sandbox.store import Store


# Docker Hub counts manifests, in six hours, and a HEAD for nothing.
_WINDOW: Final = 6 * 3600
_USED_UP: Final = "You have reached your pull rate limit. You may increase the limit by upgrading."


class Manifests:
    """`/v2/NAME/manifests/REFERENCE`."""

    def __init__(self, store: Store, options: Options) -> None:
        self._store, self._options = store, options
        self._pulls = Quota(options.pull_limit, _WINDOW)

    async def answer(self, request: Request, route: ApiRoute) -> Response:
        """Answer a request; raises Refusal. With a limit of pulls every answer says how many are left."""
        if not self._options.pull_limit or request.method not in {"GET", "HEAD"}:
            return await self._act(request, route)
        try:
            self._count(request.method)
            response = await self._act(request, route)
        except Refusal as refusal:
            response = refusal.response()
        for name, count in (("limit", self._pulls.limit), ("remaining", self._pulls.remaining)):
            response.headers[f"ratelimit-{name}"] = f"{count};w={_WINDOW}"
        response.headers["docker-ratelimit-source"] = "127.0.0.1"
        return response

    def _count(self, method: str) -> None:
        if method == "GET" and not self._pulls.take():
            raise Refusal(429, "TOOMANYREQUESTS", _USED_UP)

    async def _act(self, request: Request, route: ApiRoute) -> Response:
        if request.method == "PUT":
            body = await read_whole(request, self._options.manifest_limit)
            return await asyncio.to_thread(self._put, request, route, body)
        if request.method in {"GET", "HEAD", "DELETE"}:
            act = self._delete if request.method == "DELETE" else self._get
            return await asyncio.to_thread(act, request, route)
        raise Refusal(405, "UNSUPPORTED", f"{request.method} is not for manifests")

    def _get(self, request: Request, route: ApiRoute) -> Response:
        digest = self._find(route, _target(route.item))
        content = self._store.manifest(route.name, digest)
        headers = {"Docker-Content-Digest": str(digest), "Content-Length": str(len(content.content))}
        body = b"" if request.method == "HEAD" else content.content
        return Response(body, 200, headers, media_type=content.media_type)

    def _find(self, route: ApiRoute, target: Tag | Digest | None) -> Digest:
        digest = self._store.resolve(route.name, target) if target else None
        if digest is None:
            code = "MANIFEST_UNKNOWN" if self._store.knows(route.name) else "NAME_UNKNOWN"
            raise Refusal(404, code, f"{route.name} has no manifest {route.item}")
        return digest

    def _delete(self, _request: Request, route: ApiRoute) -> Response:
        target = _target(route.item)
        if isinstance(target, Tag) and not self._options.delete_by_tag:
            raise Refusal(405, "UNSUPPORTED", "only digests can be deleted here")
        with self._store.lock:
            digest = self._find(route, target)
            tags = [str(target)] if isinstance(target, Tag) else self._tags_of(route.name, digest)
            self._protect(route.name, tags, None)
            self._store.delete(route.name, target or digest)
        return Response(status_code=202)

    def _tags_of(self, name: str, digest: Digest) -> list[str]:
        return [tag for tag, current in self._store.state()[name].items() if current == str(digest)]

    def _put(self, request: Request, route: ApiRoute, body: bytes) -> Response:
        content = _parse(body, request.headers.get("content-type", ""))
        digest = self._digest_to_write(route, content)
        tags = self._tags_to_write(request, route)
        with self._store.lock:
            self._protect(route.name, tags, digest)
            if missing := self._store.missing(route.name, content):
                message = f"{missing} is not in {route.name}"
                raise Refusal(400, "MANIFEST_BLOB_UNKNOWN", message, detail={"digest": missing})
            self._store.put_manifest(route.name, content, tags, digest)
        return self._response(route, content, digest, tags if ":" in route.item else [])

    def _digest_to_write(self, route: ApiRoute, content: Content) -> Digest:
        """What the manifest is kept under: the digest that the path names, which it must have, else its sha256."""
        if ":" not in route.item:
            return content.digest
        if not self._options.put_by_digest:
            raise Refusal(405, "UNSUPPORTED", "manifests are taken by tag only")
        digest = digest_of(route.item)
        if not digest.matches(content.content):
            raise Refusal(400, "DIGEST_INVALID", f"the bytes have the digest {content.digest}")
        return digest

    def _tags_to_write(self, request: Request, route: ApiRoute) -> list[str]:
        """The tags that a PUT is to write: its own, or those of its query beside a digest."""
        if ":" not in route.item:
            return [tag_of(route.item)]
        tags = [value for key, value in parse_qsl(request.url.query, keep_blank_values=True) if key == "tag"]
        return [tag_of(tag) for tag in tags] if self._options.multi_tag else []

    def _protect(self, name: str, tags: list[str], digest: Digest | None) -> None:
        """Refuse what changes a frozen tag, in the words that Docker Hub has been seen to use."""
        for tag in tags:
            current = self._store.latest(name, tag)
            is_frozen = self._options.freezes(tag) or self._store.details(name).rule_for(tag)
            if current not in {None, digest} and is_frozen:
                words = f"tag {tag} is already assigned to an image in this repository and cannot be updated due to "
                raise Refusal(
                    403, "DENIED", f"requested access to the resource is denied - {words}immutability settings"
                )

    def _response(self, route: ApiRoute, content: Content, digest: Digest, tags: list[str]) -> Response:
        headers = {"OCI-Tag": ", ".join(tags)} if tags else {}
        if content.subject and self._options.referrers:
            headers["OCI-Subject"] = str(content.subject.digest)
        return created_response(f"/v2/{route.name}/manifests/{digest}", digest, headers)


def _parse(body: bytes, content_type: str) -> Content:
    """Read a manifest; registries take none whose Content-Type doesn't say what it is (distribution 3)."""
    kind = content_type.partition(";")[0].strip()
    if kind not in media.INDEXES | media.MANIFESTS:
        raise Refusal(400, "MANIFEST_INVALID", f"'{content_type[:100]}' is the Content-Type of no manifest")
    try:
        content = parse_manifest(body, content_type)
    except BadManifest as error:
        raise Refusal(400, "MANIFEST_INVALID", error.message) from error
    if kind not in {media.OCI_MANIFEST, media.OCI_INDEX} and "mediaType" not in read_document(body):
        raise Refusal(400, "MANIFEST_INVALID", "docker's manifests have a mediaType")
    return content


def _target(item: str) -> Tag | Digest | None:
    """What a path names; None for what can't be the name of anything, which is absent rather than wrong."""
    if ":" in item:
        return digest_of(item)
    try:
        return tag_of(item)
    except Refusal:
        return None
