"""A registry without sockets, in virtual time: all of `publish` above the wire, and the sandbox below it.

Requests reach the sandbox's application in this process; which run's request is next, and how long things take, a seed
decides. Retries, waits and lagging reads cost no real time, so that every request can be made to fail in every way.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from publisher.http.client import Client
from publisher.http.retry import RetryPolicy
from publisher.http.tls import HostSettings
from publisher.model.digest import Digest
from publisher.model.facts import Facts
from publisher.report.progress import Teller
from publisher.sandbox.application import Application
from publisher.sandbox.auth import TokenIssuer
from publisher.sandbox.blob_store import MemoryBlobStore
from publisher.sandbox.faults import Faults
from publisher.sandbox.options import Options
from publisher.sandbox.store import Store
from publisher.workflows.session import Session
from tests.support.answers import make_response
from tests.support.schedule import Schedule

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from typing import Self

    import urllib3

    from publisher.http.message import Body
    from publisher.model.credential import Credential
    from publisher.model.manifest import Content
    from tests.support.answers import MutatedAnswer
    from tests.support.simulated_faults import SimulatedFault

URL = "http://127.0.0.1:5000"


class RunKilled(BaseException):
    """The run is gone, as by SIGKILL: no handler of errors takes notice."""


@dataclass(frozen=True)
class SimulatedRequest:
    """One request as the registry saw it; status 0 where it never got there. struck: what happened to it."""

    run: int
    method: str
    path: str
    status: int
    struck: str = ""

    @property
    def is_done(self) -> bool:
        """Whether the registry has done it."""
        return 200 <= self.status < 300


class World:
    """One registry and the runs that work on it. `trace` is what it was asked; `watch` is called after each request.

    Several registries are one here too: the sandbox keeps `ghcr.io/me/app` beside Docker Hub's `me/app`.
    """

    def __init__(self, seed: int = 0, runs: int = 1, options: Options | None = None) -> None:
        options = options or Options()
        self.schedule = Schedule(seed, runs)
        self.store = Store(
            MemoryBlobStore(), lag=options.lag, list_lag=options.list_lag, collect=options.collect, clock=self.clock
        )
        self.trace: list[SimulatedRequest] = []
        self.watch: Callable[[SimulatedRequest], None] = lambda _asked: None
        self._application = Application(URL, self.store, options, Faults(()))
        self._application._authenticator.issuer = TokenIssuer(options.token_life, self.clock)
        self._loop = asyncio.new_event_loop()
        self._loop.set_default_executor(_Here())

    def clock(self) -> float:
        """Virtual seconds."""
        return self.schedule.now

    def wait(self, seconds: float) -> None:
        """Let time pass when nobody runs."""
        self.schedule.now += seconds

    def more_runs(self, runs: int = 1, seed: int = 0) -> None:
        """The runs so far have ended, and others begin."""
        now = self.schedule.now
        self.schedule = Schedule(seed, runs)
        self.schedule.now = now
        self.trace.clear()

    def tags(self, name: str) -> dict[str, str]:
        """Every tag and its digest, as they are."""
        return self.store.state().get(name, {})

    def put_blob(self, name: str, content: bytes) -> Digest:
        """Have a blob there."""
        draft, digest = self.store.blob_store.begin(), Digest.of(content)
        draft.append(content)
        self.store.blob_store.keep(draft, digest)
        self.store.add_blob(name, digest)
        return digest

    def put(self, name: str, content: Content, *tags: str) -> None:
        """Have a manifest there, under tags."""
        self.store.put_manifest(name, content, list(tags))

    def manifest(self, name: str, digest: str) -> Content:
        """A manifest that is there."""
        return self.store.manifest(name, Digest.parse(digest))

    def contents(self, name: str) -> dict[str, bytes]:
        """Every tag and the bytes under it."""
        return {tag: self.manifest(name, digest).content for tag, digest in self.tags(name).items()}

    def serve(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, Any, bytes]:
        """Ask the sandbox; its status, headers and body."""
        return self._loop.run_until_complete(_ask(self._application, method, url, headers, body))

    def close(self) -> None:
        """Let go of everything."""
        self._loop.close()
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


class _Here(ThreadPoolExecutor):
    """What the sandbox gives to a thread is done at once: there is one request at a time anyway."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - it is the waiter's
            done.set_exception(error)
        return done


async def _ask(
    application: Application, method: str, url: str, headers: Mapping[str, str], body: bytes
) -> tuple[int, Any, bytes]:
    parts = urlsplit(url)
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    raw += [(b"host", parts.netloc.encode()), (b"content-length", str(len(body)).encode())]
    scope = {
        "type": "http", "method": method, "path": unquote(parts.path), "headers": raw, "state": {},
        "query_string": parts.query.encode(), "scheme": "http", "server": ("127.0.0.1", 5000), "root_path": "",
    }  # fmt: skip
    sent: list[Any] = []
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Any:
        if waiting:
            return waiting.pop()
        return await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    await application(scope, receive, send)
    stated = [(name.decode(), value.decode("latin-1")) for name, value in sent[0]["headers"]]
    return sent[0]["status"], stated, b"".join(message.get("body", b"") for message in sent[1:])


def no_fault(_number: int, _method: str, _path: str) -> SimulatedFault | None:
    """Nothing happens to any request."""
    return None


@dataclass
class SimulatedRun:
    """One publisher: its place in the schedule, its machine, and what becomes of its requests.

    fault_of: takes the number of a request (1 is the first), its method and its path.
    """

    world: World
    number: int
    machine: Path
    fault_of: Callable[[int, str, str], SimulatedFault | MutatedAnswer | None] = no_fault
    count: int = 0
    dead: bool = False

    @property
    def trace(self) -> list[SimulatedRequest]:
        """What this run has asked."""
        return [request for request in self.world.trace if request.run == self.number]

    def exchange(self, method: str, url: str, headers: Mapping[str, str], body: Body) -> urllib3.BaseHTTPResponse:
        """One request, when it is its turn; raises what a broken connection raises."""
        payload = body if isinstance(body, bytes) else b"".join(body or ())
        self._live()
        with self.world.schedule.turn(self.number):
            self._live()
            self.count += 1
            path = url.removeprefix(URL)
            fault = self.fault_of(self.count, method, path)
            status, stated, content = 0, [("Content-Length", "0")], b""
            if fault is None or fault.acts:
                status, stated, content = self.world.serve(method, url, headers, payload)
            request = SimulatedRequest(self.number, method, path, status, str(fault or ""))
            self.world.trace.append(request)
            self.world.watch(request)
            if fault is not None and fault.kills:
                self.dead = True
            self._live()
            if fault is not None:
                return fault.respond(method, status, stated, content)
            return make_response(method, status, stated, content)

    def pause(self, seconds: float) -> None:
        """Let virtual time pass."""
        self._live()
        with self.world.schedule.turn(self.number, pause=seconds):
            self._live()

    def _live(self) -> None:
        if self.dead:
            raise RunKilled

    def session(self, folder: Path | None = None) -> SimulatedSession:
        """What its command would open."""
        return SimulatedSession(self, folder)


@dataclass
class _Wire:
    """Connections that lead into the world."""

    run: SimulatedRun

    def send(self, method: str, url: str, headers: dict[str, str], body: Body) -> urllib3.BaseHTTPResponse:
        """As Wire.send."""
        return self.run.exchange(method, url, headers, body)

    def close(self) -> None:
        """Nothing is open."""


class SimulatedSession(Session):
    """A session of a run: the real one, but for its wire and its clock."""

    threads = 1
    engine_at_hand = None
    facts = Facts(now=datetime(2026, 1, 1, tzinfo=UTC))

    def __init__(self, run: SimulatedRun, folder: Path | None = None) -> None:
        home = str(run.machine)
        environ = {"PUBLISH_SANDBOX": URL, "HOME": home, "XDG_STATE_HOME": home, "DOCKER_HOST": "unix:///nowhere"}
        super().__init__(environ, folder or run.machine, Teller(quiet=True))
        self._run = run

    @cached_property
    def _retry_policy(self) -> RetryPolicy:
        return RetryPolicy(sleep=self.pause, clock=self._run.world.clock, now=self._run.world.clock)

    def pause(self, seconds: float) -> None:
        """Virtual."""
        self._run.pause(seconds)

    def client_with(self, find: Callable[[str, str], Credential | None]) -> Client:
        """The real client, on wires that lead into the world."""
        pool: Any = _Wire(self._run)
        return Client(
            find, lambda _host: HostSettings(), retry_policy=self._retry_policy, pools=lambda *_arguments: pool
        )
