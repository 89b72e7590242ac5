"""Signals that wait until they may be raised."""

from __future__ import annotations

import signal
import threading
import time
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
    from concurrent.futures import Future
    from types import FrameType

    Handler = Callable[[int, FrameType | None], Any]
    from collections.abc import Callable


Item = TypeVar("Item")
Made = TypeVar("Made")

_PATIENCE: Final = 60.0
"""Seconds that an interrupt waits for an engine that doesn't answer."""


def finished(work: Callable[[], Made]) -> Made:
    """Do `work`; an interrupt is raised only once it has ended.

    A request that makes something goes on in the engine when its connection is cut: what nobody waited for is made
    after it was looked for.
    """
    job = _Job(work)
    deadline = float("inf")
    with postponed() as signals:
        job.start()
        while not job.done.wait(LOOK) and time.monotonic() < deadline:
            if signals.asked is not None:
                deadline = min(deadline, time.monotonic() + _PATIENCE)
    made: Made = job.result()
    return made


def within(work: Callable[[], Made], seconds: float) -> Made | None:
    """What `work` gives within that time; None where it hasn't ended by then, and it is left to itself."""
    job = _Job(work)
    end = time.monotonic() + seconds
    with postponed() as signals:
        job.start()
        while not job.done.wait(max(0.0, min(LOOK, end - time.monotonic()))) and time.monotonic() < end:
            signals.check()
    return job.result() if job.done.is_set() else None


class _Job(threading.Thread):
    """A thread with a result; as a daemon, since the program may end before it.

    done: its end. A join that a signal breaks off takes the thread for ended (Python before 3.13), so nobody joins it.
    """

    def __init__(self, work: Callable[[], Any]) -> None:
        super().__init__(daemon=True, name="aside")
        self.done = threading.Event()
        self._work = work
        self._made: Any = None
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            self._made = self._work()
        except BaseException as error:  # noqa: BLE001 - raised where the result is asked for
            self._error = error
        finally:
            self.done.set()

    def result(self) -> Any:
        if self._error is not None:
            raise self._error
        return self._made


_ASKING: Final = (signal.SIGINT, signal.SIGTERM)
LOOK: Final = 0.1
"""Seconds between two looks whether a signal asked the run to end."""


class Postponed:
    """Signals held back; `asked` is the first of them, None where none came."""

    def __init__(self) -> None:
        self.asked: int | None = None
        self._before: dict[int, Handler] = {}

    def hold(self) -> None:
        """From now on signals are noted; what the process ignores, or dies of at once, stays as it is."""
        for number in _ASKING:
            before = signal.getsignal(number)
            if callable(before):
                self._before[number] = before
                signal.signal(number, self._note)

    def release(self) -> None:
        """From now on signals do what they did before."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def check(self) -> None:
        """Do what the signal that came does: it raises, as a rule."""
        if self.asked is not None:
            number, self.asked = self.asked, None
            self._before[number](number, None)

    def wait(self, jobs: Sequence[Future[Any]]) -> None:
        """Wait for all, however they end; a signal is raised while they go on."""
        while wait(jobs, LOOK).not_done:
            self.check()
        self.check()

    def results(self, jobs: Sequence[Future[Made]]) -> list[Made]:
        """Wait for all, results in order; the first that fails, or a signal, is raised while the others go on."""
        left: Collection[Future[Made]] = jobs
        while left:
            done, left = wait(left, LOOK, FIRST_EXCEPTION)
            self.check()
            for job in done:
                job.result()
        return [job.result() for job in jobs]

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if self.asked is None:
            self.asked = number


@contextmanager
def postponed() -> Iterator[Postponed]:
    """Hold back what a signal raises until the block looks, or ends; in other threads than the main one nothing is.

    A signal is raised between any two steps of the main thread, also between those of a lock: what waits with
    threading's means then fails with another error, or leaves the lock to nobody and the next waits for ever.
    """
    signals = Postponed()
    if threading.current_thread() is not threading.main_thread():
        yield signals
        return
    try:
        signals.hold()
        yield signals
    finally:
        signals.release()
        signals.check()


def side_by_side(threads: int, name: str, work: Callable[[Item], Made], items: Iterable[Item]) -> list[Made]:
    """Do `work` on each item, results in order; after a failure, or a signal, what hasn't begun doesn't."""
    with postponed() as signals, ThreadPoolExecutor(threads, name) as pool:
        try:
            return signals.results([pool.submit(work, item) for item in items])
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
