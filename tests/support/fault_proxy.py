"""A proxy before a real registry that makes chosen requests fail."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Literal

from tests.support.http_server import RESET, Answer, serve
from tests.support.order import LoggedRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.http_server import ServerRequest

ProxyFault = Literal["reset", "lost", "cut", "busy", "forbidden", "hold", "held", "stall", "stalled"]
TransientFault = Literal[
    "408", "429", "429-seconds", "429-date", "500", "502", "503", "504", "reset", "broken", "lost", "cut", "slow",
    "garbage"
]  # fmt: skip
_STATUSES = {
    "busy": 503, "forbidden": 403,
    "408": 408, "429": 429, "429-seconds": 429, "429-date": 429, "500": 500, "502": 502, "503": 503, "504": 504,
}  # fmt: skip


@dataclass
class FaultProxy:
    """A running proxy: `host` is host:port, `requests` what came so far, `trace` what the registry behind it answered.

    reset: the connection breaks before anything is done; lost: after it is done; cut: within the answer's body;
    busy: 503; forbidden: 403. hold: nothing is done; held: it is done; with both `struck` is set, and the connection
    breaks once `go` is. stall, stalled: the same, but the request goes on, or its answer comes, once `go` is set.
    A number: that status, 429 with Retry-After as it says; broken: the connection breaks behind the answer's header;
    slow: the answer comes byte by byte; garbage: another protocol answers.
    """

    target: str
    host: str = ""
    requests: list[tuple[str, str]] = field(default_factory=list)
    trace: list[LoggedRequest] = field(default_factory=list)
    struck: threading.Event = field(default_factory=threading.Event)
    go: threading.Event = field(default_factory=threading.Event)
    _fault: ProxyFault | TransientFault | None = None
    _nth: int = 0
    _last: int | None = 0
    _flip: tuple[Literal["up", "down"], int] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def inject(
        self, fault: ProxyFault | TransientFault | None, nth: int = 0, *, rest: bool = False, times: int = 1
    ) -> None:
        """Fail the `nth` request from now on (1 is the next), and the `times` - 1 after it; None fails none.

        rest: fail all after it too.
        """
        with self._lock:
            self.requests.clear()
            self.trace.clear()
            self.struck.clear()
            self.go.clear()
            self._fault, self._nth, self._last = fault, nth, None if rest else nth + times - 1

    def flip(self, way: Literal["up", "down"] | None, offset: int = 0) -> None:
        """Change the byte at `offset` of all that goes this way from now on, headers apart; once."""
        with self._lock:
            self._flip = None if way is None else (way, offset)

    def carry(self, way: Literal["up", "down"], content: bytes) -> bytes:
        """What comes out of the link of a body that goes into it."""
        with self._lock:
            if self._flip is None or self._flip[0] != way:
                return content
            offset = self._flip[1]
            self._flip = None if offset < len(content) else (way, offset - len(content))
        return (
            content[:offset] + bytes([content[offset] ^ 1]) + content[offset + 1 :] if self._flip is None else content
        )

    def count(self, method: str, path: str) -> ProxyFault | TransientFault | None:
        """Count a request; returns how it has to fail."""
        with self._lock:
            self.requests.append((method, path))
            count = len(self.requests)
            return self._fault if self._nth <= count and (self._last is None or count <= self._last) else None

    def answer(self, request: ServerRequest) -> Answer:
        """Answer one request, or fail it."""
        fault = self.count(request.method, request.path)
        if fault in {"hold", "stall"}:
            self._wait()
        if fault in {"reset", "hold"}:
            return RESET
        body = b"".join(request.pieces())
        if fault in _STATUSES:
            return Answer(_STATUSES[fault], _retry_after(fault))
        answer = self._forward(request, self.carry("up", body))
        self.trace.append(LoggedRequest(request.method, request.path, answer.status))
        answer = replace(answer, body=self.carry("down", answer.body))
        if fault in {"held", "stalled"}:
            self._wait()
        return _spoil(answer, fault)

    def _forward(self, request: ServerRequest, body: bytes) -> Answer:
        headers = {name: value for name, value in request.headers.items() if name.lower() != "transfer-encoding"}
        connection = HTTPConnection(self.target, timeout=60)
        try:
            connection.request(request.method, request.path, body, {**headers, "Content-Length": str(len(body))})
            response = connection.getresponse()
            stated = {name: value for name, value in response.getheaders() if name.lower() != "transfer-encoding"}
            return Answer(response.status, stated, response.read())
        finally:
            connection.close()

    def _wait(self) -> None:
        self.struck.set()
        self.go.wait(30)


@contextmanager
def run_fault_proxy(target: str) -> Iterator[FaultProxy]:
    """Start one before the registry at `target`, a host:port."""
    proxy = FaultProxy(target)
    with serve(proxy.answer, streams=True) as server:
        proxy.host = server.host
        yield proxy


def _spoil(answer: Answer, fault: ProxyFault | TransientFault | None) -> Answer:
    """What comes of an answer on its way."""
    match fault:
        case "lost" | "held":
            return RESET
        case "broken":
            return replace(answer, length=0, end="reset")
        case "cut" if answer.body:
            return replace(answer, length=len(answer.body) // 2, end="reset")
        case "garbage":
            return Answer(0, {}, b"SSH-2.0-OpenSSH_9.2\r\n\r\n", end="reset")
        case "slow":
            return replace(answer, pause=0.002)
    return answer


def _retry_after(fault: str | None) -> dict[str, str]:
    """In one second, as seconds or as a date, which counts whole ones."""
    later = formatdate(time.time() + 2, usegmt=True)
    return {"429-seconds": {"Retry-After": "1"}, "429-date": {"Retry-After": later}}.get(fault or "", {})
