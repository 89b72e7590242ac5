"""Backoff, waits that servers ask for, and gates."""

from __future__ import annotations

from dataclasses import dataclass, field
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from publisher.http.retry import TEMPORARY, HostPauses, RetryPolicy, asked_wait

NOW = 1_700_000_000.0


@dataclass
class Clock:
    """Time that passes only by sleeping."""

    time: float = 0.0
    slept: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        """Pass the time."""
        self.slept.append(seconds)
        self.time += seconds

    def retry_policy(self) -> RetryPolicy:
        """RetryPolicy by this clock."""
        return RetryPolicy(sleep=self.sleep, clock=lambda: self.time, now=lambda: NOW + self.time)


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
    assert asked_wait(headers, NOW) == wait


def test_a_huge_wait_stays_a_number() -> None:
    """So that it can be compared, and refused."""
    found = asked_wait({"Retry-After": "9" * 5000}, NOW)
    assert found is not None
    assert found > RetryPolicy().total


@given(st.text(max_size=40))
def test_any_text_is_read_or_ignored(text: str) -> None:
    """No server can make it raise, or wait a negative time."""
    for name in ("Retry-After", "X-Retry-After"):
        found = asked_wait({name: text}, NOW)
        assert found is None or found >= 0


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


def test_a_closed_gate_holds_for_as_long_as_was_asked() -> None:
    """And no other host waits for it."""
    clock = Clock()
    gates = HostPauses(clock.retry_policy())
    gates.close("a", 7)
    gates.wait("b")
    assert clock.slept == []
    gates.wait("a")
    assert clock.time == 7
    gates.wait("a")
    assert clock.slept == [7]


def test_a_shorter_wait_does_not_open_a_gate() -> None:
    """The longest of several answers counts."""
    clock = Clock()
    gates = HostPauses(clock.retry_policy())
    gates.close("a", 7)
    gates.close("a", 1)
    gates.wait("a")
    assert clock.time == 7


def test_a_gate_that_is_closed_again_meanwhile_is_waited_for() -> None:
    """Another thread may hear of a longer wait while this one sleeps."""
    clock = Clock()
    later = [5.0]

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        if later:
            gates.close("a", later.pop())

    gates = HostPauses(RetryPolicy(sleep=sleep, clock=lambda: clock.time))
    gates.close("a", 2)
    gates.wait("a")
    assert clock.time == 7
