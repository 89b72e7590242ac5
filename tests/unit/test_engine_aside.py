"""Work aside: what an interrupt waits for, and what a deadline doesn't."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from publisher.threads import finished, within

if TYPE_CHECKING:
    from collections.abc import Iterator


class Stop(BaseException):
    """What a signal raises."""


@contextmanager
def interrupted_after(*seconds: float) -> Iterator[None]:
    """SIGINT raises Stop, in the main thread, once after each of `seconds`."""

    def stop(_number: int, _frame: object) -> None:
        raise Stop

    before = signal.signal(signal.SIGINT, stop)
    timers = [threading.Timer(after, os.kill, (os.getpid(), signal.SIGINT)) for after in seconds]
    try:
        for timer in timers:
            timer.start()
        yield
    finally:
        for timer in timers:
            timer.join()
        signal.signal(signal.SIGINT, before)


def test_results_and_errors() -> None:
    """They are the work's own."""
    assert finished(lambda: 7) == 7
    assert within(lambda: 7, 5) == 7
    with pytest.raises(ZeroDivisionError):
        finished(lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        within(lambda: 1 // 0, 5)


@pytest.mark.parametrize("seconds", [(0.05,), (0.05, 0.1)], ids=["once", "twice"])
def test_an_interrupt_waits_for_the_end(seconds: tuple[float, ...]) -> None:
    """It is raised once what was begun is done, however often it comes."""
    done = threading.Event()

    def work() -> None:
        time.sleep(0.4)
        done.set()

    with interrupted_after(*seconds), pytest.raises(Stop):
        finished(work)
    assert done.is_set()


def test_a_deadline_does_not_wait() -> None:
    """What takes longer is None, and goes on by itself."""
    done = threading.Event()
    began = time.monotonic()
    assert within(lambda: done.wait(20), 0.1) is None
    assert time.monotonic() - began < 10
    done.set()
