"""The sandbox as a server: in a thread, or until it is told to stop."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from publisher.model.errors import Unreachable, UsageError
from publisher.sandbox.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

_STARTING = 10.0
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})


class Sandbox:
    """A registry on 127.0.0.1 that runs in a thread.

    store: a folder that is kept; without one a temporary folder, deleted at the end. faults: see Fault.
    """

    def __init__(self, *, port: int = 0, store: Path | None = None, faults: Sequence[str] = ()) -> None:
        try:
            import starlette  # noqa: F401 - only to say it in time
            import uvicorn
        except ImportError as error:
            raise UsageError(
                "the sandbox needs starlette and uvicorn", hint="pip install 'publish[sandbox]'"
            ) from error
        from publisher.sandbox.store import Store

        self._faults = [Fault.parse(rule) for rule in faults]
        self._temporary = None if store else tempfile.TemporaryDirectory(prefix="publish-sandbox-")
        self.folder = store or Path(self._temporary.name if self._temporary else "")
        self.store = Store(self.folder)
        self.requests: list[dict[str, Any]] = []
        self._socket = _listen(port)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        config = uvicorn.Config(
            self._application(),
            log_config=None,
            access_log=False,
            log_level="critical",  # engines try TLS first; that is no news
            lifespan="off",
            http="h11",
            loop="asyncio",
            ws="none",
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, name="sandbox", daemon=True)

    def _run(self) -> None:
        self._server.run(sockets=[self._socket])

    def _application(self) -> Callable[..., Awaitable[None]]:
        from starlette.requests import Request
        from starlette.responses import JSONResponse, PlainTextResponse

        from publisher.sandbox.registry import Refusal, Registry

        registry = Registry(self.store)

        async def answer(request: Request) -> Response:
            if request.headers.get("host", "").rpartition(":")[0] not in _LOOPBACK:
                return PlainTextResponse("only loopback names are answered\n", 403)
            if request.url.path == "/_sandbox/state":
                return JSONResponse(self.store.state())
            if request.url.path == "/_sandbox/requests":
                return PlainTextResponse("".join(json.dumps(entry) + "\n" for entry in self.requests))
            try:
                return await registry.answer(request)
            except Refusal as refusal:
                return refusal.response()

        async def application(scope: Any, receive: Any, send: Any) -> None:
            await self._serve(answer, Request(scope, receive), send)

        return application

    async def _serve(self, answer: Callable[[Request], Awaitable[Response]], request: Request, send: Any) -> None:
        from starlette.responses import Response

        kind = next((fault.kind for fault in self._faults if fault.strikes(request.method, request.url.path)), "")
        if kind == "reset":
            self._log(request, 0)
            return _hang_up(request)
        response = await answer(request) if kind in {"", "lost"} else _failing(kind)
        self._log(request, response.status_code)
        if kind == "lost":
            return _hang_up(request)
        if not isinstance(response, Response):
            raise TypeError(response)
        await response(request.scope, request.receive, send)
        return None

    def _log(self, request: Request, status: int) -> None:
        query = f"?{request.url.query}" if request.url.query else ""
        self.requests.append({"method": request.method, "path": request.url.path + query, "status": status})

    def start(self) -> Self:
        """Start, and wait until requests are answered."""
        self._thread.start()
        deadline = time.monotonic() + _STARTING
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                raise Unreachable("the sandbox did not start", reference=self.url)
            time.sleep(0.005)
        return self

    def close(self) -> None:
        """Stop, and delete what was temporary."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._server.force_exit = True
            self._thread.join(5)
        self._socket.close()
        if self._temporary:
            self._temporary.cleanup()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_error: object) -> None:
        self.close()


def _listen(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        listener.close()
        raise UsageError(
            f"port {port} can't be used: {error.strerror}", hint="leave --port out for a free one"
        ) from error
    return listener


def _failing(kind: str) -> Response:
    from starlette.responses import JSONResponse

    status, _, seconds = kind.partition(":")
    headers = {"Retry-After": seconds} if seconds else None
    return JSONResponse({"errors": [{"code": "UNKNOWN", "message": "ordered fault"}]}, int(status), headers=headers)


def _hang_up(request: Request) -> None:
    """Close the connection without an answer; uvicorn's own way out would be a 500."""
    transport = getattr(getattr(request.receive, "__self__", None), "transport", None)
    if transport is not None:
        transport.abort()


def serve(*, port: int, store: Path | None, faults: Sequence[str], ready: Callable[[str], None]) -> None:
    """Run a sandbox until SIGINT or SIGTERM; `ready` gets its URL."""
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    with Sandbox(port=port, store=store, faults=faults) as sandbox:
        ready(sandbox.url)
        ended.wait()


def execute(
    command: Sequence[str], environ: Mapping[str, str], *, port: int, store: Path | None, faults: Sequence[str]
) -> int:
    """Run `command` with everything redirected to a sandbox of its own; returns its exit code, 128+N for signal N."""
    with Sandbox(port=port, store=store, faults=faults) as sandbox, tempfile.TemporaryDirectory() as folder:
        changed = {"PUBLISH_SANDBOX": sandbox.url, "PUBLISH_SANDBOX_STATE": str(sandbox.folder / "receipts")}
        changed["DOCKER_CONFIG"] = folder  # docker's CLI must not meet the user's credentials in a rehearsal
        host = _engine_address(environ)
        try:
            child = subprocess.Popen(list(command), env={**environ, **changed, **host})  # noqa: S603 - what the user asked for
        except FileNotFoundError as error:
            raise UsageError(f"there is no command '{command[0]}'") from error
        with contextlib.ExitStack() as undo:
            for number in (signal.SIGINT, signal.SIGTERM):
                before = signal.signal(number, lambda given, _frame: child.send_signal(given))
                undo.callback(signal.signal, number, before)
            code = child.wait()
        return code if code >= 0 else 128 - code


def _engine_address(environ: Mapping[str, str]) -> dict[str, str]:
    """The current docker context stays in force though its file is out of the child's sight."""
    if environ.get("DOCKER_HOST") or environ.get("DOCKER_CONTEXT"):
        return {}
    folder = Path(environ.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker"))  # noqa: PTH111 - Path.home raises
    try:
        name = json.loads((folder / "config.json").read_text()).get("currentContext", "default")
        if name in {"", "default"}:
            return {}
        from publisher.model.digest import Digest

        meta = folder / "contexts" / "meta" / Digest.of(name.encode()).hex / "meta.json"
        return {"DOCKER_HOST": str(json.loads(meta.read_text())["Endpoints"]["docker"]["Host"])}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
