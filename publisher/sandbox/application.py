"""The application, in layers: host, log, faults, then registry, token service and the sandbox's own pages."""

from __future__ import annotations

import asyncio
import json
import logging
import struct
from pathlib import Path
from socket import SO_LINGER, SOL_SOCKET
from typing import TYPE_CHECKING, Any, Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from uvicorn.protocols.http.h11_impl import H11Protocol

from publisher.http.origin import is_loopback_header
from publisher.sandbox.auth import Authenticator
from publisher.sandbox.http import Refusal, fault_response
from publisher.sandbox.hub import HubApi, is_hub
from publisher.sandbox.page import Page
from publisher.sandbox.registry import RegistryApi
from publisher.sandbox.sigstore import PREFIX, SigstoreLookAlike

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from starlette.types import Receive, Scope, Send

    from publisher.sandbox.faults import Faults
    from publisher.sandbox.options import Options
    from publisher.sandbox.page import RunHistory
    from publisher.sandbox.store import Store


class Connection(H11Protocol):
    """HTTP/1.1 that hands its transport to the application: uvicorn itself knows no way to end without an answer."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """Keep the transport where each request's scope has it."""
        self.app_state = {**self.app_state, "transport": transport}
        super().connection_made(transport)


async def hang_up(request: Request) -> None:
    """Reset the connection, and wait until uvicorn knows: then it asks for no answer any more."""
    transport: asyncio.Transport = request.scope["state"]["transport"]
    transport.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
    while (await request.receive())["type"] != "http.disconnect":
        pass


_LONGEST_LOG: Final = 100_000
_LOOKED_BACK: Final = 2_000
_PAGE: Final = Path(__file__).with_name("page.html")
_POLICY: Final = "default-src 'self'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; frame-ancestors 'none'"
_log = logging.getLogger(__name__)


class Application:
    """An ASGI application. `requests`: what was asked; each is there before its answer's first byte."""

    def __init__(
        self, url: str, store: Store, options: Options, faults: Faults, history: RunHistory | None = None
    ) -> None:
        self._page = Page(store, history)
        self.requests: list[dict[str, Any]] = []
        self._store, self._faults = store, faults
        self._authenticator = Authenticator(url, options)
        self._registry = RegistryApi(store, options, self._authenticator)
        self._hub = HubApi(store, options, self._authenticator)
        self.sigstore = SigstoreLookAlike(url)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        entry: dict[str, Any] = {
            "method": scope["method"],
            "path": _target(scope),
            "status": 0,
            "received": 0,
            "sent": 0,
        }

        async def counted_receive() -> MutableMapping[str, Any]:
            message = await receive()
            entry["received"] += len(message.get("body", b""))
            return message

        async def counted_send(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                entry["status"] = message["status"]
                self._note(entry)
            entry["sent"] += len(message.get("body", b""))
            await send(message)

        request = Request(scope, counted_receive)
        response = await self._answer(request, entry)
        if response is None:
            self._note(entry)
            await hang_up(request)
        else:
            await response(scope, counted_receive, counted_send)

    async def _answer(self, request: Request, entry: dict[str, Any]) -> Response | None:
        """The answer; None for hanging up."""
        if not is_loopback_header(request.headers.get("host", "")):
            return PlainTextResponse("only loopback names are answered\n", 403)
        if _is_foreign(request):
            return PlainTextResponse("no page of another site is answered\n", 403)
        path: str = request.scope["path"]
        if path == "/" or path.startswith("/_sandbox/"):
            return await asyncio.to_thread(self._own_page, path)
        fault = self._faults.strike(request.method, entry["path"])
        if fault is None:
            return await self._serve(request)
        if fault.kind == "status":
            return fault_response(fault.status, fault.seconds)
        if fault.kind == "reset":
            return None
        await asyncio.sleep(fault.seconds)
        response = await self._serve(request)
        return None if fault.kind == "lost" else response

    async def _serve(self, request: Request) -> Response | None:
        path: str = request.scope["path"]
        try:
            if path == "/token":
                return await self._authenticator.issue(request)
            if is_hub(request.method, path):
                return await self._hub.answer(request)
            if path.startswith(f"{PREFIX}/"):
                return await self.sigstore.answer(request)
            if path == "/v2" or path.startswith("/v2/"):
                return await self._registry.answer(request)
        except Refusal as refusal:
            return refusal.response()
        except ClientDisconnect:
            return None
        except Exception as error:  # noqa: BLE001 - the last door: a fault of ours is told, and is no hang-up
            _log.exception("the sandbox failed at %s %s", request.method, path)
            return Refusal(500, "UNKNOWN", f"the sandbox failed: {error}").response()
        return PlainTextResponse("there is no such page\n", 404)

    def _own_page(self, path: str) -> Response:
        if path == "/":
            return HTMLResponse(_PAGE.read_bytes(), headers={"Content-Security-Policy": _POLICY})
        if path == "/_sandbox/state":
            return JSONResponse(self._store.state())
        if path == "/_sandbox/requests":
            return PlainTextResponse("".join(json.dumps(entry) + "\n" for entry in tuple(self.requests)))
        if path == "/_sandbox/page":
            return JSONResponse(self._page.repositories())
        if path == "/_sandbox/last":
            return JSONResponse(self._page.last(tuple(self.requests[-_LOOKED_BACK:])))
        if path == "/_sandbox/history.svg":
            return Response(self._page.picture(), media_type="image/svg+xml", headers={"Cache-Control": "no-store"})
        return PlainTextResponse("there is no such page\n", 404)

    def _note(self, entry: dict[str, Any]) -> None:
        self.requests.append(entry)
        if len(self.requests) > _LONGEST_LOG:
            del self.requests[: _LONGEST_LOG // 2]


def _is_foreign(request: Request) -> bool:
    """Whether a page of another site asks, from a browser: any page may send writes to this machine, unseen."""
    origin = request.headers.get("origin")
    own = f"{request.url.scheme}://{request.headers.get('host', '')}"
    return origin not in {None, own} or request.headers.get("sec-fetch-site") == "cross-site"


def _target(scope: Scope) -> str:
    query = scope["query_string"].decode("latin-1")
    return f"{scope['path']}?{query}" if query else str(scope["path"])
