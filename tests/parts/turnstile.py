"""A seeded scheduler: of several runs in one process, one at a time may send its next request."""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING, Any

from publisher.workflows.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from publisher.http.client import Client
    from publisher.http.message import Request, Response
    from publisher.model.credential import Credential
    from publisher.model.protocols import Progress


class Turnstile:
    """Lets the next request through once every run waits at it, and picks whose by the seed: a seed replays a race."""

    def __init__(self, seed: int, runs: int) -> None:
        self._random = random.Random(seed)
        self._busy = set(range(runs))
        self._waiting: list[int] = []
        self._turn: int | None = None
        self._changed = threading.Condition()

    def enter(self, run: int) -> None:
        """Wait for the turn of `run`."""
        with self._changed:
            self._waiting.append(run)
            self._busy.discard(run)
            self._pick()
            self._changed.wait_for(lambda: self._turn == run)
            self._turn = None
            self._waiting.remove(run)
            self._busy.add(run)
            # Where a run has other threads at the turnstile, it can't be waited for.
            self._pick()

    def leave(self, run: int) -> None:
        """The run has ended."""
        with self._changed:
            self._busy.discard(run)
            self._pick()

    def _pick(self) -> None:
        if self._turn is None and self._waiting and not self._busy - set(self._waiting):
            self._turn = self._random.choice(sorted(self._waiting))
            self._changed.notify_all()


class _TurningClient:
    """A client whose every request waits for its turn."""

    def __init__(self, inner: Client, wait: Callable[[], None]) -> None:
        self._inner, self._wait = inner, wait

    def send(self, request: Request) -> Response:
        """Send when it is our turn."""
        self._wait()
        return self._inner.send(request)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class TurningSession(Session):
    """A session whose requests go one by one, each when the turnstile lets it."""

    threads = 1
    engine_at_hand = None

    def __init__(
        self, environ: Mapping[str, str], directory: Path, progress: Progress, turnstile: Turnstile, run: int
    ) -> None:
        super().__init__(environ, directory, progress)
        self._turnstile, self._run = turnstile, run

    def client_with(self, find: Callable[[str, str], Credential | None]) -> Client:
        """The client, at the turnstile."""
        made: Any = _TurningClient(super().client_with(find), lambda: self._turnstile.enter(self._run))
        client: Client = made
        return client
