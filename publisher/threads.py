"""Threads, signals and time: work that is waited for, signals that wait meanwhile, the time that a run has."""

from __future__ import annotations

import signal
import threading
import time
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar, copy_context
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Sequence
    from concurrent.futures import Future
    from types import FrameType

    Handler = Callable[[int, FrameType | None], Any]

Item = TypeVar("Item")
Result = TypeVar("Result")

POLL_SECONDS: Final = 0.1
"""Between two looks whether a signal asked the run to end."""
_INTERRUPT_GRACE: Final = 60.0
"""Seconds that an interrupt waits for an engine that doesn't answer."""
_END_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)
"""What asks a run to end; the alarm is the end of its time."""


class _Stop:
    """Whether the work that a thread has a part of is to end: `error` is what ended it."""

    error: BaseException | None = None


_STOP: Final[ContextVar[_Stop | None]] = ContextVar("stop", default=None)
"""Of the work side by side that this thread belongs to; None in the main thread."""


def run_to_end(work: Callable[[], Result]) -> Result:
    """Do `work`; an interrupt is raised only once it has ended.

    A request that makes something goes on in the engine when its connection is cut: what nobody waited for is made
    after it was looked for.
    """
    job = _Job(work)
    deadline = float("inf")
    with deferred_signals() as signals:
        job.start()
        while not job.done.wait(POLL_SECONDS) and time.monotonic() < deadline:
            if signals.pending is not None:
                deadline = min(deadline, time.monotonic() + _INTERRUPT_GRACE)
    result: Result = job.result()
    return result


def run_within(work: Callable[[], Result], seconds: float) -> Result | None:
    """The result of `work` within that time; None where it hasn't ended by then, and it is left to itself."""
    job = _Job(work)
    deadline = time.monotonic() + seconds
    with deferred_signals() as signals:
        job.start()
        while not job.done.wait(_poll_seconds(deadline)) and time.monotonic() < deadline:
            signals.check()
    return job.result() if job.done.is_set() else None


def run_beside(work: Callable[[], Item], main: Callable[[], Result]) -> tuple[Item, Result]:
    """The results of both; `work` goes on in a thread beside `main`.

    Where `main`, or the wait for `work`, raises, `work` begins nothing more side by side, and is left to itself.
    """
    stop = _Stop()

    def part() -> Item:
        _STOP.set(stop)
        return work()

    job = _Job(part)
    try:
        with deferred_signals():
            job.start()
        result = main()
        with deferred_signals() as signals:
            while not job.done.wait(POLL_SECONDS):
                signals.check()
    except BaseException as error:
        stop.error = error
        raise
    return job.result(), result


def _poll_seconds(deadline: float) -> float:
    return max(0.0, min(POLL_SECONDS, deadline - time.monotonic()))


def run_parallel(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    threads: int,
    name: str,
    finish_all: bool = False,
    on_stop: Callable[[BaseException], None] | None = None,
) -> list[Result]:
    """Do `work` on each item side by side; results in order.

    After a failure, or a signal, what hasn't begun doesn't; a signal is raised in what is done side by side within
    `work` too. finish_all: failures stop nothing, and the first in the order of the items is raised once all have
    ended. on_stop: takes what is raised, while other threads still work.
    """
    waiting, stop = list(items), _Stop()
    if not waiting:
        return []

    def part(item: Item) -> Result:
        _STOP.set(stop)
        return work(item)

    with deferred_signals() as signals, ThreadPoolExecutor(min(threads, len(waiting)), name) as pool:
        try:
            signals.check()
            # What the thread says of itself, such as the image that it works on, its parts say too.
            jobs = [pool.submit(copy_context().run, part, item) for item in waiting]
            if not finish_all:
                return signals.results(jobs)
            signals.wait(jobs)
            return [job.result() for job in jobs]
        except BaseException as error:
            if error is signals.raised or not isinstance(error, Exception):
                stop.error = error
            if on_stop:
                on_stop(error)
            pool.shutdown(wait=False, cancel_futures=True)
            raise


class Turns:
    """A lock for each key; who takes several waits for all."""

    def __init__(self) -> None:
        self._locks: dict[Hashable, threading.Lock] = {}
        self._changes = threading.Lock()

    @contextmanager
    def take(self, keys: Iterable[Hashable], check: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Wait until nobody else has any of the keys. check: raises where the wait is to end."""
        with ExitStack() as held:
            # All take them in one order, so that no two wait for each other.
            for key in sorted(set(keys), key=repr):
                with self._changes:
                    lock = self._locks.setdefault(key, threading.Lock())
                _acquire(lock, check)
                held.callback(lock.release)
            yield


def _acquire(lock: threading.Lock, check: Callable[[], None]) -> None:
    with deferred_signals() as signals:
        while not lock.acquire(timeout=POLL_SECONDS):
            signals.check()
            check()


class _Job(threading.Thread):
    """A thread with a result; as a daemon, since the program may end before it.

    done: its end. A join that a signal breaks off takes the thread for ended (Python before 3.13), so nobody joins it.
    """

    def __init__(self, work: Callable[[], Any]) -> None:
        super().__init__(daemon=True, name="job")
        self.done = threading.Event()
        self._context = copy_context()
        self._work = work
        self._result: Any = None
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            self._result = self._context.run(self._work)
        except BaseException as error:  # noqa: BLE001 - raised where the result is asked for
            self._error = error
        finally:
            self.done.set()

    def result(self) -> Any:
        if self._error is not None:
            raise self._error
        return self._result


class DeferredSignals:
    """Signals that are noted instead of handled; `pending` is the first of them, None where none came.

    In a thread that has a part of some work: the signal that ended that work.
    """

    def __init__(self) -> None:
        self.pending: int | None = None
        self.raised: BaseException | None = None
        """What a signal raised, once it has."""
        self._stop = _STOP.get()
        self._handlers: dict[int, Handler] = {}

    def install(self) -> None:
        """From now on signals are noted; what the process ignores, or dies of at once, stays as it is."""
        for number in _END_SIGNALS:
            handler = signal.getsignal(number)
            if callable(handler):
                self._handlers[number] = handler
                signal.signal(number, self._note)

    def restore(self) -> None:
        """From now on signals do what they did before."""
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def check(self) -> None:
        """Do what the signal that came does: it raises, as a rule."""
        if self._stop is not None and self._stop.error is not None:
            self.raised = self._stop.error
            raise self.raised
        if self.pending is not None:
            number, self.pending = self.pending, None
            try:
                self._handlers[number](number, None)
            except BaseException as error:
                self.raised = error
                raise

    def wait(self, jobs: Sequence[Future[Any]]) -> None:
        """Wait for all, however they end; a signal is raised while they go on."""
        while wait(jobs, POLL_SECONDS).not_done:
            self.check()
        self.check()

    def results(self, jobs: Sequence[Future[Result]]) -> list[Result]:
        """Wait for all, results in order; the first that fails, or a signal, is raised while the others go on."""
        not_done: Collection[Future[Result]] = jobs
        while not_done:
            done, not_done = wait(not_done, POLL_SECONDS, FIRST_EXCEPTION)
            self.check()
            for job in done:
                job.result()
        return [job.result() for job in jobs]

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if self.pending is None:
            self.pending = number


@contextmanager
def deferred_signals() -> Iterator[DeferredSignals]:
    """Note what signals come until the block checks, or ends; in other threads than the main one nothing is deferred.

    A signal is raised between any two steps of the main thread, also between those of a lock: what waits with
    threading's means then fails with another error, or leaves the lock to nobody and the next waits for ever.
    """
    signals = DeferredSignals()
    if threading.current_thread() is not threading.main_thread():
        yield signals
        return
    try:
        signals.install()
        yield signals
    finally:
        signals.restore()
        signals.check()


_GRACE: Final = 5.0
"""Seconds after the alarm for the requests under way, and for a look at what they did."""
_AGAIN: Final = 1.0
"""Seconds between two cuts, after the first: what was opened meanwhile is cut too."""
_LONGEST: Final = 1e8
"""Three years; timers take no number of seconds."""


class TimeLimit:
    """After `seconds` the alarm is raised, and what goes on then is cut; 0: no limit.

    cut: ends the connections, whatever they wait for. alarm: asks for a signal in so many seconds, 0: for none; a
    program that uses the library has its own signals, and there everything is cut at once.
    """

    def __init__(self, seconds: float, cut: Callable[[], None], alarm: Callable[[float], None] | None = None) -> None:
        self._seconds = min(seconds, _LONGEST)
        self._cut = cut
        self._alarm = alarm
        self._is_over = threading.Event()

    def start(self) -> None:
        """Count from now."""
        if not self._seconds:
            return
        self._is_over = threading.Event()
        if self._alarm:
            self._alarm(self._seconds)
        threading.Thread(target=self._watch, args=(self._is_over,), name="time limit", daemon=True).start()

    def stop(self) -> None:
        """Count no more."""
        self._is_over.set()
        if self._seconds and self._alarm:
            self._alarm(0)

    @contextmanager
    def suspend(self) -> Iterator[None]:
        """What the block does counts for nothing; then the time begins anew."""
        self.stop()
        yield
        self.start()

    def _watch(self, is_over: threading.Event) -> None:
        seconds = self._seconds + (_GRACE if self._alarm else 0)
        while not is_over.wait(seconds):
            self._cut()
            seconds = _AGAIN
