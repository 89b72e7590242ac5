"""Work done in a thread of its own: an interrupt waits for its end, and a deadline does not."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Final

from publisher.model.interruption import LOOK, postponed

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

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
