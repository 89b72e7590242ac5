"""The registry's API below /v2/ (distribution-spec 1.1)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from starlette.responses import JSONResponse, Response

from publisher.http.headers import read_number
from publisher.model import media
from publisher.sandbox.blobs import Blobs, Uploads
from publisher.sandbox.http import Refusal
from publisher.sandbox.manifests import Manifests
from publisher.sandbox.routes import ApiRoute, digest_of

if TYPE_CHECKING:
    from starlette.requests import Request

    from publisher.sandbox.auth import Authenticator
    from publisher.sandbox.options import Options
    from publisher.sandbox.store import Store


class RegistryApi:
    """Answers requests below /v2/ that may be answered."""

    def __init__(self, store: Store, options: Options, authenticator: Authenticator) -> None:
        self._store, self._options, self._authenticator = store, options, authenticator
        self._manifests = Manifests(store, options)
        self._blobs = Blobs(store)
        self._uploads = Uploads(store)

    async def answer(self, request: Request) -> Response:
        """Find the route and run it; every answer says which API this is, as docker's engine asks for."""
        try:
            response = await self._route(request)
        except Refusal as refusal:
            response = refusal.response()
        response.headers["Docker-Distribution-Api-Version"] = "registry/2.0"
        return response

    async def _route(self, request: Request) -> Response:
        path = request.scope["path"]
        if path in {"/v2", "/v2/"}:
            self._authenticator.check(request, None)
            return JSONResponse({})
        route = ApiRoute.parse(path)
        self._authenticator.check(request, route)
        if route.kind == "manifests":
            return await self._manifests.answer(request, route)
        if route.kind == "blobs":
            return await self._blobs.answer(request, route)
        if route.kind == "uploads":
            return await self._uploads.answer(request, route)
        if request.method != "GET":
            raise Refusal(405, "UNSUPPORTED", f"{request.method} is not for lists")
        return await asyncio.to_thread(self._tags if route.kind == "tags" else self._referrers, request, route)

    def _tags(self, request: Request, route: ApiRoute) -> Response:
        if not self._store.had_tags(route.name):
            raise Refusal(404, "NAME_UNKNOWN", f"there is no repository {route.name}", detail={"name": route.name})
        last = request.query_params.get("last", "")
        tags = [tag for tag in self._store.tags(route.name) if tag > last]
        limit = self._limit(request.query_params.get("n", ""))
        page = tags if limit is None else tags[:limit]
        headers = {}
        if page and len(page) < len(tags):
            query = urlencode({"n": len(page), "last": page[-1]})
            headers["Link"] = f'</v2/{route.name}/tags/list?{query}>; rel="next"'
        return JSONResponse({"name": route.name, "tags": page}, headers=headers)

    def _limit(self, text: str) -> int | None:
        number = read_number(text)
        if text and number is None:
            raise Refusal(400, "PAGINATION_NUMBER_INVALID", f"n is '{text[:40]}', which is no number")
        limits = [limit for limit in (number, self._options.page or None) if limit is not None]
        return min(limits, default=None)

    def _referrers(self, request: Request, route: ApiRoute) -> Response:
        if not self._options.referrers:
            raise Refusal(404, "NOT_FOUND", "there is no such route")
        kind = request.query_params.get("artifactType")
        manifests = self._store.referrers(route.name, digest_of(route.item), kind)
        index: dict[str, Any] = {"schemaVersion": 2, "mediaType": media.OCI_INDEX, "manifests": manifests}
        headers = {"OCI-Filters-Applied": "artifactType"} if kind else {}
        return JSONResponse(index, headers=headers, media_type=media.OCI_INDEX)
