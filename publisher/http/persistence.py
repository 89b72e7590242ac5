"""Trying again, until an answer is final or time is up."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from publisher.http.failure import NoAnswer, NoListener
from publisher.http.message import ConnectionLost
from publisher.http.retry import Gates, asked_wait, is_pull_limit, is_temporary
from publisher.model.errors import QuotaUsedUp, Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable

    from publisher.http.message import Response
    from publisher.http.retry import Patience

# A host where nobody listens is more likely down or misspelt than busy, unless it has answered before.
_TRIES_AT_A_STRANGER = 3
_TOO_MANY = 429


class Persistence:
    """Sends until there is a final answer; one for all threads, so that each obeys what a host asked of another."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._gates = Gates(patience)
        self._answered: set[str] = set()

    def knows(self, host: str) -> bool:
        """Whether `host` ever answered."""
        return host in self._answered

    def send(self, host: str, once: Callable[[], Response], *, repeatable: bool) -> Response:
        """The first final answer of `once`, or the last temporary one.

        Raises what `once` raises when it can't be tried again, and QuotaUsedUp or Unreachable where the server asks
        for a longer wait than a job has.
        """
        began = self._patience.clock()
        for attempt in count(1):
            self._gates.wait(host)
            try:
                response = once()
            except (NoAnswer, NoListener, ConnectionLost) as error:
                pause = self._patience.backoff(attempt)
                if not repeatable or attempt >= self._tries(host, error) or self._is_late(began, pause):
                    raise
            else:
                self._answered.add(host)
                if not is_temporary(response.status, response.content):
                    return response
                pause = self._pause(response, host, attempt)
                if not repeatable or attempt >= self._patience.tries or self._is_late(began, pause):
                    return response
                response.close()
            self._patience.sleep(pause)
        raise AssertionError  # pragma: no cover - count() doesn't end

    def _tries(self, host: str, error: Unreachable) -> int:
        stranger = isinstance(error, NoListener) and host not in self._answered
        return _TRIES_AT_A_STRANGER if stranger else self._patience.tries

    def _is_late(self, began: float, pause: float) -> bool:
        return self._patience.clock() + pause - began > self._patience.total

    def _pause(self, response: Response, host: str, attempt: int) -> float:
        """Seconds to wait on top of the gate, which is closed for as long as the server asks."""
        if is_pull_limit(response.status, response.headers, response.content):
            raise _used_up(response, host)
        backoff = self._patience.backoff(attempt)
        asked = asked_wait(response.headers, self._patience.now())
        if asked is None:
            return backoff
        if asked > self._patience.longest_wait:
            raise _asks_too_much(response, host, asked)
        self._gates.close(host, asked)
        return max(0.0, backoff - asked)


def _used_up(response: Response, host: str) -> QuotaUsedUp:
    response.close()
    return QuotaUsedUp(
        f"the pull quota at {host} is used up",
        reference=host,
        hint="log in for a larger quota, or try again in some hours; 'publish hub limits' shows what is left",
    )


def _asks_too_much(response: Response, host: str, asked: float) -> Unreachable:
    response.close()
    kind = QuotaUsedUp if response.status == _TOO_MANY else Unreachable
    return kind(
        f"{host} asks to wait {asked:,.0f} seconds (HTTP {response.status})",
        reference=host,
        hint="that is longer than a run waits: run the same command again later",
    )
