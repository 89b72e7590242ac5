"""Threads: what an interrupt waits for, what a deadline doesn't, and signals that wait until they may be raised."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from publisher.model.errors import Interrupted
from publisher.threads import TimeLimit, Turns, deferred_signals, run_beside, run_parallel, run_to_end, run_within

if TYPE_CHECKING:
    from collections.abc import Iterator


def _kill(number: signal.Signals = signal.SIGINT) -> None:
    os.kill(os.getpid(), number)


@pytest.fixture(autouse=True)
def _obeyed() -> Iterator[None]:
    """Signals raise, as in a run of the program."""

    def interrupt(number: int, _frame: object) -> None:
        raise Interrupted(number)

    before = [(number, signal.signal(number, interrupt)) for number in (signal.SIGINT, signal.SIGTERM)]
    yield
    for number, handler in before:
        signal.signal(number, handler)


def test_a_signal_waits_for_the_end() -> None:
    """It is noted, and raised once the block has ended, whatever else came of it."""
    done = False
    with pytest.raises(Interrupted) as raised, deferred_signals() as signals:  # noqa: PT012 - the block is what is tested
        _kill(signal.SIGTERM)
        assert signals.pending == signal.SIGTERM
        done = True
        raise ValueError
    assert done
    assert raised.value.signal == signal.SIGTERM
    with pytest.raises(Interrupted):
        _kill()


def test_a_signal_is_raised_where_the_block_looks() -> None:
    """Once, and not again at the end."""
    with deferred_signals() as signals:
        signals.check()
        _kill()
        with pytest.raises(Interrupted):
            signals.check()
        signals.check()


def test_the_first_signal_counts() -> None:
    """SIGTERM after Ctrl-C ends the run as Ctrl-C does."""
    with pytest.raises(Interrupted) as raised, deferred_signals():  # noqa: PT012 - the block is what is tested
        _kill(signal.SIGINT)
        _kill(signal.SIGTERM)
    assert raised.value.signal == signal.SIGINT


def test_blocks_within_blocks() -> None:
    """The inner one hands its signal to the outer one."""
    reached = False
    with pytest.raises(Interrupted), deferred_signals():  # noqa: PT012 - the block is what is tested
        with deferred_signals():
            _kill()
        reached = True
    assert reached


def test_what_is_ignored_stays_ignored() -> None:
    """As in a background job of a shell."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with deferred_signals() as signals:
        _kill()
        assert signals.pending is None


def test_other_threads_defer_nothing() -> None:
    """Python runs handlers in the main thread alone."""
    seen = list[int | None]()

    def work() -> None:
        with deferred_signals() as signals:
            seen.append(signals.pending)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [None]


def test_results_and_errors_of_many() -> None:
    """Results in the order of the items; after the first error nothing new begins."""
    begun = list[int]()

    def work(item: int) -> int:
        begun.append(item)
        time.sleep(0.002 * (3 - item))
        return 12 // item

    assert run_parallel(work, (1, 2, 3), threads=3, name="test") == [12, 6, 4]
    begun.clear()
    with pytest.raises(ZeroDivisionError):
        run_parallel(work, (0, 1, 2, 3, 4, 5), threads=1, name="test")
    assert len(begun) <= 2


def test_signals_at_any_moment() -> None:
    """A wait that a signal meets fails with nothing else, and no lock is left to nobody."""
    ends, moments = Counter[str](), random.Random(2026)

    def work(delay: float) -> None:
        time.sleep(delay)
        _kill()

    for _ in range(1_000):
        try:
            run_parallel(work, (moments.uniform(0, 3e-4), 0, 1e-5), threads=3, name="test")
        except Interrupted:
            ends["interrupted"] += 1
    assert ends == {"interrupted": 1_000}


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
    assert run_to_end(lambda: 7) == 7
    assert run_within(lambda: 7, 5) == 7
    with pytest.raises(ZeroDivisionError):
        run_to_end(lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        run_within(lambda: 1 // 0, 5)


def test_work_beside_other_work() -> None:
    """Both go on at once, and both results come back; whoever fails, its error is raised."""
    begun, ended = threading.Event(), threading.Event()

    def main() -> str:
        assert begun.wait(20)
        ended.set()
        return "main"

    def beside() -> str:
        begun.set()
        assert ended.wait(20)
        return "beside"

    assert run_beside(beside, main) == ("beside", "main")
    with pytest.raises(ZeroDivisionError):
        run_beside(lambda: 1 // 0, lambda: 7)
    with pytest.raises(ZeroDivisionError):
        run_beside(lambda: ended.wait(20), lambda: 1 // 0)


def test_an_interrupt_waits_for_neither() -> None:
    """The main work ends by it, or the wait for the other, which is left to itself."""
    done = threading.Event()
    for main in (lambda: time.sleep(20), lambda: None):
        began = time.monotonic()
        with interrupted_after(0.05), pytest.raises(Stop):
            run_beside(lambda: done.wait(20), main)
        assert time.monotonic() - began < 10
    done.set()


def test_what_is_done_beside_failed_work_begins_nothing_more() -> None:
    """Its parts side by side end with the error of the main work."""
    begun, failed, ended = list[int](), threading.Event(), threading.Event()

    def part(number: int) -> None:
        begun.append(number)
        failed.wait(20)
        time.sleep(0.3)

    def beside() -> None:
        try:
            run_parallel(part, range(100), threads=1, name="part")
        finally:
            ended.set()

    def main() -> None:
        while not begun:
            time.sleep(0.01)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_beside(beside, main)
    failed.set()
    assert ended.wait(20)
    assert len(begun) <= 2


@pytest.mark.parametrize("seconds", [(0.05,), (0.05, 0.1)], ids=["once", "twice"])
def test_an_interrupt_waits_for_the_end(seconds: tuple[float, ...]) -> None:
    """It is raised once what was begun is done, however often it comes."""
    done = threading.Event()

    def work() -> None:
        time.sleep(0.4)
        done.set()

    with interrupted_after(*seconds), pytest.raises(Stop):
        run_to_end(work)
    assert done.is_set()


def test_a_deadline_does_not_wait() -> None:
    """What takes longer is None, and goes on by itself."""
    done = threading.Event()
    began = time.monotonic()
    assert run_within(lambda: done.wait(20), 0.1) is None
    assert time.monotonic() - began < 10
    done.set()


def test_a_signal_ends_what_is_done_side_by_side_within() -> None:
    """The threads of work within work have no signals of their own, and begin nothing more all the same."""
    begun, killed = list[int](), threading.Event()

    def inner(number: int) -> None:
        begun.append(number)
        killed.wait(5)
        time.sleep(0.3)

    def outer(_number: int) -> None:
        run_parallel(inner, range(100), threads=1, name="inner", finish_all=True)

    def kill() -> None:
        while len(begun) < 2:
            time.sleep(0.01)
        _kill()
        killed.set()

    thread = threading.Thread(target=kill)
    thread.start()
    with pytest.raises(Interrupted):
        run_parallel(outer, range(2), threads=2, name="outer", finish_all=True)
    thread.join()
    assert len(begun) <= 4


def test_turns_are_taken_by_one_at_a_time() -> None:
    """Several keys in any order: no two hold one at once, and nobody waits for ever."""
    turns, held = Turns(), Counter[str]()

    def work(keys: tuple[str, ...]) -> None:
        with turns.take(keys):
            held.update(keys)
            assert all(held[key] == 1 for key in keys)
            time.sleep(0.001)
            held.subtract(keys)

    run_parallel(work, [("a", "b"), ("b", "a"), ("a",), ("c", "b")] * 10, threads=8, name="turn")
    assert set(held.values()) == {0}


def test_the_time_of_a_run() -> None:
    """The alarm comes first, then everything is cut, again and again, until it is stopped."""
    alarms: list[float] = []
    cuts: list[float] = []
    limit = TimeLimit(60, lambda: cuts.append(1), alarms.append)
    limit.start()
    with limit.suspend():
        assert alarms == [60, 0]
    assert alarms == [60, 0, 60], "after a build the time begins anew"
    limit.stop()
    assert alarms == [60, 0, 60, 0]
    assert cuts == []


def test_time_without_signals() -> None:
    """A program that has its own signals is cut at once; none is without a limit."""
    cuts: list[float] = []
    limit = TimeLimit(0.01, lambda: cuts.append(time.monotonic()))
    limit.start()
    deadline = time.monotonic() + 10
    while len(cuts) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    limit.stop()
    assert len(cuts) >= 2
    endless = TimeLimit(0, lambda: cuts.append(0), lambda _seconds: cuts.append(0))
    endless.start()
    endless.stop()
    assert 0 not in cuts
