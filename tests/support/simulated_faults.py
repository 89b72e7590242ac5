"""What can become of a request in the simulation."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import urllib3

from tests.support.answers import make_response

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@dataclass(frozen=True)
class SimulatedFault:
    """One kind of failure. acts: whether the registry has done what was asked. status: the answer's, 0 for none.

    code: what a run that changed nothing has to end with, where this fault is for good. message: the registry's words.
    """

    name: str
    acts: bool = False
    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    error: str = "UNKNOWN"
    breaks: Callable[[], Exception] | None = None
    cuts: bool = False
    kills: bool = False
    code: int = 6
    message: str = "this was ordered"

    def respond(
        self, method: str, status: int, headers: Sequence[tuple[str, str]], body: bytes
    ) -> urllib3.BaseHTTPResponse:
        """What comes back in place of the registry's answer; raises where nothing does."""
        if self.breaks:
            raise self.breaks()
        if self.cuts:
            return make_response(method, status, headers, body[: len(body) // 2])
        message = json.dumps({"errors": [{"code": self.error, "message": self.message}]}).encode()
        stated = [*self.headers, ("Content-Length", str(len(message)))]
        return make_response(method, self.status, stated, message)

    def __str__(self) -> str:
        return self.name


def _reset() -> Exception:
    broken = ConnectionResetError(104, "Connection reset by peer")
    return urllib3.exceptions.ProtocolError("Connection aborted.", broken)


def _refused() -> Exception:
    return urllib3.exceptions.ProtocolError("Connection aborted.", ConnectionRefusedError(111, "Connection refused"))


def _silent() -> Exception:
    return urllib3.exceptions.ReadTimeoutError(None, None, "Read timed out.")  # type: ignore[arg-type]


RESET: Final = SimulatedFault("reset", breaks=_reset)
LOST: Final = SimulatedFault("lost", acts=True, breaks=_reset)
SILENT: Final = SimulatedFault("silent", acts=True, breaks=_silent)
REFUSED: Final = SimulatedFault("connection refused", breaks=_refused)
CUT: Final = SimulatedFault("cut", acts=True, cuts=True)
BUSY: Final = SimulatedFault("503", status=503)
BROKEN: Final = SimulatedFault("500", status=500)
BAD_GATEWAY: Final = SimulatedFault("502 after the act", acts=True, status=502)
SLOW_DOWN: Final = SimulatedFault("429", status=429, headers=(("Retry-After", "2"),), error="TOOMANYREQUESTS")
USED_UP: Final = SimulatedFault(
    "429 for a day", status=429, headers=(("Retry-After", "86400"),), error="TOOMANYREQUESTS"
)
TOO_LATE: Final = SimulatedFault("408", status=408)
FORBIDDEN: Final = SimulatedFault("403", status=403, error="DENIED", code=3)
UNAUTHORIZED: Final = SimulatedFault("401", status=401, error="UNAUTHORIZED", code=3)
KILLED: Final = SimulatedFault("killed before", kills=True)
KILLED_AFTER: Final = SimulatedFault("killed after", acts=True, kills=True)

TRANSIENT: Final = (RESET, LOST, SILENT, CUT, BUSY, BROKEN, BAD_GATEWAY, SLOW_DOWN, TOO_LATE)
"""What a run gets over when it happens now and then."""
PERMANENT: Final = (FORBIDDEN, UNAUTHORIZED, BUSY, BROKEN, USED_UP, RESET, LOST, SILENT, REFUSED, BAD_GATEWAY)
"""What a run can't get over when it doesn't end."""
