"""Signals that wait: nothing is broken off in the midst of a lock, and each is raised in the end."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from publisher.model.errors import Interrupted
from publisher.threads import postponed, side_by_side

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
    with pytest.raises(Interrupted) as raised, postponed() as signals:  # noqa: PT012 - the block is what is tested
        _kill(signal.SIGTERM)
        assert signals.asked == signal.SIGTERM
        done = True
        raise ValueError
    assert done
    assert raised.value.signal == signal.SIGTERM
    with pytest.raises(Interrupted):
        _kill()


def test_a_signal_is_raised_where_the_block_looks() -> None:
    """Once, and not again at the end."""
    with postponed() as signals:
        signals.check()
        _kill()
        with pytest.raises(Interrupted):
            signals.check()
        signals.check()


def test_the_first_signal_counts() -> None:
    """SIGTERM after Ctrl-C ends the run as Ctrl-C does."""
    with pytest.raises(Interrupted) as raised, postponed():  # noqa: PT012 - the block is what is tested
        _kill(signal.SIGINT)
        _kill(signal.SIGTERM)
    assert raised.value.signal == signal.SIGINT


def test_blocks_within_blocks() -> None:
    """The inner one hands its signal to the outer one."""
    reached = False
    with pytest.raises(Interrupted), postponed():  # noqa: PT012 - the block is what is tested
        with postponed():
            _kill()
        reached = True
    assert reached


def test_what_is_ignored_stays_ignored() -> None:
    """As in a background job of a shell."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with postponed() as signals:
        _kill()
        assert signals.asked is None


def test_other_threads_postpone_nothing() -> None:
    """Python runs handlers in the main thread alone."""
    seen = list[int | None]()

    def work() -> None:
        with postponed() as signals:
            seen.append(signals.asked)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [None]


def test_results_and_errors() -> None:
    """Results in the order of the items; after the first error nothing new begins."""
    begun = list[int]()

    def work(item: int) -> int:
        begun.append(item)
        time.sleep(0.002 * (3 - item))
        return 12 // item

    assert side_by_side(3, "test", work, (1, 2, 3)) == [12, 6, 4]
    begun.clear()
    with pytest.raises(ZeroDivisionError):
        side_by_side(1, "test", work, (0, 1, 2, 3, 4, 5))
    assert len(begun) <= 2


def test_signals_at_any_moment() -> None:
    """A wait that a signal meets fails with nothing else, and no lock is left to nobody."""
    ends, moments = Counter[str](), random.Random(2026)

    def work(delay: float) -> None:
        time.sleep(delay)
        _kill()

    for _ in range(1_000):
        try:
            side_by_side(3, "test", work, (moments.uniform(0, 3e-4), 0, 1e-5))
        except Interrupted:
            ends["interrupted"] += 1
    assert ends == {"interrupted": 1_000}
