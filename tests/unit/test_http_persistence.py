"""Trying again: how often, how long, and when not; with a clock that only a sleep moves."""

from __future__ import annotations

import itertools
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import pytest

from publisher.http.errors import NoAnswer, NoListener
from publisher.http.message import ConnectionLost, Response
from publisher.http.retry import Retrier, RetryPolicy
from publisher.model.errors import QuotaUsedUp, TlsFailed, Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

HOST = "registry.example"


@dataclass
class Clock:
    """Time that passes by sleeping."""

    time: float = 1000.0
    slept: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds

    def retry_policy(self, **changes: float) -> RetryPolicy:
        tries = int(changes.pop("tries", 9))
        return RetryPolicy(tries=tries, sleep=self.sleep, clock=lambda: self.time, now=lambda: self.time, **changes)


@dataclass
class Answer:
    """As much of a response as is looked at."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes = b""
    closed: bool = False

    def close(self) -> None:
        self.closed = True


def script(*steps: Answer | Exception) -> tuple[Callable[[], Response], list[int]]:
    """A sender that gives the next step at each call, the last one for ever; and its count of calls."""
    left, calls = list(steps), list[int]()

    def once() -> Response:
        calls.append(1)
        step = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(step, Exception):
            raise step
        return cast("Response", step)

    return once, calls


@pytest.mark.parametrize("failure", [Answer(503), Answer(429), NoAnswer("x"), ConnectionLost("x")], ids=str)
def test_six_failures_in_a_row_are_survived(failure: Answer | Exception) -> None:
    """The seventh try gets the answer, within half a minute."""
    clock = Clock()
    once, calls = script(*[failure] * 6, Answer(200))
    assert Retrier(clock.retry_policy()).send(HOST, once, repeatable=True).status == 200
    assert len(calls) == 7
    assert sum(clock.slept) < 30


def test_a_failure_that_stays_is_returned_in_the_end() -> None:
    """The caller says what it was."""
    clock = Clock()
    once, calls = script(Answer(503))
    assert Retrier(clock.retry_policy()).send(HOST, once, repeatable=True).status == 503
    assert len(calls) == 9


def test_a_silence_that_stays_is_raised_in_the_end() -> None:
    """As it came."""
    once, calls = script(NoAnswer("silence"))
    with pytest.raises(NoAnswer, match="silence"):
        Retrier(Clock().retry_policy()).send(HOST, once, repeatable=True)
    assert len(calls) == 9


def test_nobody_listening_is_given_up_soon() -> None:
    """A host that never answered is more likely misspelt than busy."""
    once, calls = script(NoListener("refused"))
    with pytest.raises(NoListener):
        Retrier(Clock().retry_policy()).send(HOST, once, repeatable=True)
    assert len(calls) == 3


def test_a_host_that_answered_before_is_waited_for() -> None:
    """It may be starting again."""
    persistence = Retrier(Clock().retry_policy())
    persistence.send(HOST, script(Answer(200))[0], repeatable=True)
    assert persistence.knows(HOST)
    once, calls = script(NoListener("refused"))
    with pytest.raises(NoListener):
        persistence.send(HOST, once, repeatable=True)
    assert len(calls) == 9


@pytest.mark.parametrize("error", [TlsFailed("no"), Unreachable("no"), ValueError("no")], ids=repr)
def test_other_errors_are_final(error: Exception) -> None:
    """A certificate doesn't get better, and a defect is no network."""
    once, calls = script(error)
    with pytest.raises(type(error)):
        Retrier(Clock().retry_policy()).send(HOST, once, repeatable=True)
    assert len(calls) == 1


@pytest.mark.parametrize("failure", [Answer(503), ConnectionLost("x")], ids=str)
def test_what_can_be_sent_only_once_is_sent_once(failure: Answer | Exception) -> None:
    """Its sender goes on from there."""
    once, calls = script(failure)
    if isinstance(failure, Answer):
        assert Retrier(Clock().retry_policy()).send(HOST, once, repeatable=False).status == 503
    else:
        with pytest.raises(ConnectionLost):
            Retrier(Clock().retry_policy()).send(HOST, once, repeatable=False)
    assert len(calls) == 1


def test_the_gate_is_closed_for_what_can_be_sent_only_once_too() -> None:
    """The next request to that host waits, whatever it is; one to another host doesn't."""
    clock = Clock()
    persistence = Retrier(clock.retry_policy())
    persistence.send(HOST, script(Answer(429, {"Retry-After": "40"}))[0], repeatable=False)
    persistence.send("other.example", script(Answer())[0], repeatable=True)
    assert clock.time == 1000
    persistence.send(HOST, script(Answer())[0], repeatable=True)
    assert clock.time == 1040


def test_nothing_is_sent_inside_a_window() -> None:
    """Retry-After is obeyed to the second."""
    clock = Clock()
    sent: list[float] = []

    def once() -> Response:
        sent.append(clock.time)
        return cast("Response", Answer(429, {"Retry-After": "4"}) if len(sent) < 3 else Answer())

    Retrier(clock.retry_policy()).send(HOST, once, repeatable=True)
    assert [later - earlier >= 4 for earlier, later in itertools.pairwise(sent)] == [True, True]


@pytest.mark.parametrize(("status", "kind"), [(429, QuotaUsedUp), (503, Unreachable)])
def test_a_wait_that_is_too_long_is_an_error(status: int, kind: type[Unreachable]) -> None:
    """It says how long, and what to do; nothing more is sent."""
    once, calls = script(answer := Answer(status, {"Retry-After": "301"}))
    with pytest.raises(kind, match="301 seconds") as caught:
        Retrier(Clock().retry_policy()).send(HOST, once, repeatable=True)
    assert (len(calls), answer.closed) == (1, True)
    assert HOST in caught.value.message


def test_all_waits_together_have_an_end() -> None:
    """Fifteen minutes, by waits of five."""
    clock = Clock()
    once, calls = script(Answer(429, {"Retry-After": "300"}))
    assert Retrier(clock.retry_policy(tries=100)).send(HOST, once, repeatable=True).status == 429
    assert clock.time - 1000 <= 900 + 300
    assert len(calls) <= 5


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(Answer(429, {}, b"You have reached your pull rate limit."), id="text"),
        pytest.param(
            Answer(
                429,
                {"Retry-After": "1"},
                b'{"errors":[{"code":"TOOMANYREQUESTS","message":"unauthenticated pull rate limit"}]}',
            ),
            id="json",
        ),
        pytest.param(Answer(429, {"ratelimit-remaining": "0;w=21600"}), id="head"),
    ],
)
def test_a_used_up_pull_quota_is_not_waited_for(answer: Answer) -> None:
    """It comes back in hours."""
    once, calls = script(answer)
    with pytest.raises(QuotaUsedUp, match="pull quota"):
        Retrier(Clock().retry_policy()).send(HOST, once, repeatable=True)
    assert len(calls) == 1


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(Answer(429, {"Retry-After": "60"}, b"Too Many Requests (HAP429).\n"), id="abuse-limit"),
        pytest.param(Answer(400, {}, b'{"errors":[{"code":"TOOMANYREQUESTS"}]}'), id="code"),
        pytest.param(Answer(429, {"ratelimit-remaining": "76;w=21600"}), id="pulls-left"),
    ],
)
def test_other_limits_are_waited_for(answer: Answer) -> None:
    """They pass soon."""
    once, calls = script(answer, Answer(200))
    assert Retrier(Clock().retry_policy()).send(HOST, once, repeatable=True).status == 200
    assert len(calls) == 2


@pytest.mark.parametrize(
    "status", [200, 201, 202, 204, 206, 301, 307, 400, 401, 403, 404, 405, 409, 412, 413, 416, 501]
)
def test_final_answers_are_final(status: int) -> None:
    """One request, whatever it says."""
    once, calls = script(Answer(status))
    assert Retrier(Clock().retry_policy()).send(HOST, once, repeatable=True).status == status
    assert len(calls) == 1


def test_one_threads_wait_is_every_threads() -> None:
    """After the first 429 nobody sends before its end."""
    persistence = Retrier(RetryPolicy(tries=9, first=0.001))
    refused, early, lock = list[float](), list[float](), threading.Lock()
    import time

    def once() -> Response:
        with lock:
            if not refused:
                refused.append(time.monotonic())
                return cast("Response", Answer(429, {"Retry-After": "0.2"}))
            if time.monotonic() - refused[0] < 0.2:
                early.append(time.monotonic())
        return cast("Response", Answer())

    persistence.send(HOST, once, repeatable=False)
    threads = [
        threading.Thread(target=persistence.send, args=(HOST, once), kwargs={"repeatable": True}) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert early == []
