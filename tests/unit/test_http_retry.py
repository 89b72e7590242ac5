"""Trying again: how often, how long, and when not; with a clock that only a sleep moves."""

from __future__ import annotations

import itertools
import threading
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from publisher.http.errors import NoAnswer, NoListener
from publisher.http.message import ConnectionLost, Response
from publisher.http.retry import TEMPORARY, HostPauses, Retrier, RetryPolicy, retry_after
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
    remaining, calls = list(steps), list[int]()

    def once() -> Response:
        calls.append(1)
        step = remaining.pop(0) if len(remaining) > 1 else remaining[0]
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
    retrier = Retrier(Clock().retry_policy())
    retrier.send(HOST, script(Answer(200))[0], repeatable=True)
    assert retrier.knows(HOST)
    once, calls = script(NoListener("refused"))
    with pytest.raises(NoListener):
        retrier.send(HOST, once, repeatable=True)
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


def test_a_pause_is_kept_after_what_can_be_sent_only_once_too() -> None:
    """The next request to that host waits, whatever it is; one to another host doesn't."""
    clock = Clock()
    retrier = Retrier(clock.retry_policy())
    retrier.send(HOST, script(Answer(429, {"Retry-After": "40"}))[0], repeatable=False)
    retrier.send("other.example", script(Answer())[0], repeatable=True)
    assert clock.time == 1000
    retrier.send(HOST, script(Answer())[0], repeatable=True)
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
    retrier = Retrier(RetryPolicy(tries=9, first=0.001))
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

    retrier.send(HOST, once, repeatable=False)
    threads = [threading.Thread(target=retrier.send, args=(HOST, once), kwargs={"repeatable": True}) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert early == []


NOW = 1_700_000_000.0


WAITS: dict[str, tuple[dict[str, str], float | None]] = {
    "nothing": ({}, None),
    "seconds": ({"Retry-After": "7"}, 7.0),
    "zero": ({"Retry-After": "0"}, 0.0),
    "spaces": ({"Retry-After": " 7 "}, 7.0),
    "date": ({"Retry-After": formatdate(NOW + 30, usegmt=True)}, 30.0),
    "date by the server's own clock": (
        {"Retry-After": formatdate(90, usegmt=True), "Date": formatdate(60, usegmt=True)},
        30.0,
    ),
    "date that is over": ({"Retry-After": formatdate(NOW - 30, usegmt=True)}, 0.0),
    "negative": ({"Retry-After": "-5"}, None),
    "fraction": ({"Retry-After": "1.5"}, 1.5),
    "word": ({"Retry-After": "soon"}, None),
    "empty": ({"Retry-After": ""}, None),
    "other digits": ({"Retry-After": "\u0667"}, None),
    "impossible date": ({"Retry-After": "Tue, 99 Nov 2026 00:00:00 GMT"}, None),
    "unix time": ({"X-Retry-After": str(int(NOW) + 12)}, 12.0),
    "unix time that is over": ({"X-Retry-After": str(int(NOW) - 12)}, 0.0),
    "unix time that is none": ({"X-Retry-After": "later"}, None),
    "unix time in other digits": ({"X-Retry-After": "\u00b2"}, None),
    "the standard first": ({"Retry-After": "3", "X-Retry-After": str(int(NOW) + 12)}, 3.0),
}


@pytest.mark.parametrize(("headers", "wait"), WAITS.values(), ids=WAITS.keys())
def test_a_wait_is_read(headers: dict[str, str], wait: float | None) -> None:
    """Seconds, HTTP date or Docker Hub's unix time; nonsense is as good as nothing."""
    assert retry_after(headers, NOW) == wait


def test_a_huge_wait_stays_a_number() -> None:
    """So that it can be compared, and refused."""
    seconds = retry_after({"Retry-After": "9" * 5000}, NOW)
    assert seconds is not None
    assert seconds > RetryPolicy().total


@given(st.text(max_size=40))
def test_any_text_is_read_or_ignored(text: str) -> None:
    """No server can make it raise, or wait a negative time."""
    for name in ("Retry-After", "X-Retry-After"):
        seconds = retry_after({name: text}, NOW)
        assert seconds is None or seconds >= 0


@given(st.integers(min_value=1, max_value=1000))
def test_the_backoff_doubles_up_to_its_limit(attempt: int) -> None:
    """With jitter above half of it."""
    retry_policy = RetryPolicy()
    ceiling = min(retry_policy.first * 2 ** min(attempt, 20), retry_policy.longest)
    assert ceiling / 2 <= retry_policy.backoff(attempt) <= ceiling


def test_the_backoff_spreads() -> None:
    """Clients that failed together don't come back together."""
    assert len({RetryPolicy().backoff(3) for _ in range(50)}) > 40


@pytest.mark.parametrize("status", [200, 301, 400, 401, 403, 404, 405, 409, 416, 501])
def test_an_answer_that_stays_is_not_asked_for_again(status: int) -> None:
    """Neither success nor a refusal gets better by asking."""
    assert status not in TEMPORARY


@pytest.mark.parametrize("status", [408, 429, 499, 500, 502, 503, 504, 522])
def test_an_answer_that_may_pass_is_asked_for_again(status: int) -> None:
    """Overload, time-outs and proxies' troubles."""
    assert status in TEMPORARY


def test_a_pause_lasts_for_as_long_as_the_host_asks() -> None:
    """And no other host waits for it."""
    clock = Clock(0.0)
    pauses = HostPauses(clock.retry_policy())
    pauses.extend("a", 7)
    pauses.wait("b")
    assert clock.slept == []
    pauses.wait("a")
    assert clock.time == 7
    pauses.wait("a")
    assert clock.slept == [7]


def test_a_shorter_pause_does_not_end_a_longer_one() -> None:
    """The longest of several answers counts."""
    clock = Clock(0.0)
    pauses = HostPauses(clock.retry_policy())
    pauses.extend("a", 7)
    pauses.extend("a", 1)
    pauses.wait("a")
    assert clock.time == 7


def test_a_pause_that_grows_meanwhile_is_waited_for() -> None:
    """Another thread may hear of a longer wait while this one sleeps."""
    clock = Clock(0.0)
    later = [5.0]

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        if later:
            pauses.extend("a", later.pop())

    pauses = HostPauses(RetryPolicy(sleep=sleep, clock=lambda: clock.time))
    pauses.extend("a", 2)
    pauses.wait("a")
    assert clock.time == 7
