"""The process itself: its signals and its streams, from the first moment to the last."""

from __future__ import annotations

import io
import os
import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from publisher.model.environment import NOWHERE, home_folder
from publisher.model.errors import Interrupted

if TYPE_CHECKING:
    from collections.abc import Iterator

_STDOUT: Final = 1
_STDERR: Final = 2
_END_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


def obey_signals() -> None:
    """SIGINT and SIGTERM end a run as errors do: what is open is closed, the receipt is written.

    A background job of a shell ignores SIGINT, and goes on doing so; SIGTERM is always heard.
    """
    for number in _END_SIGNALS:
        if number is signal.SIGTERM or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)


def _interrupt(number: int, _frame: object) -> None:
    raise Interrupted(number)


def limit_time(seconds: float) -> None:
    """The run ends as by a signal once the time is over; 0: never."""
    signal.signal(signal.SIGALRM, _interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds)


@contextmanager
def ending() -> Iterator[None]:
    """While the end is told no signal may begin it anew: one ends the process at once, by its code."""
    signal.setitimer(signal.ITIMER_REAL, 0)
    former = {number: signal.getsignal(number) for number in _END_SIGNALS}
    heard = [number for number, handler in former.items() if handler is not signal.SIG_IGN]
    try:
        for number in heard:
            signal.signal(number, _leave)
        yield
    finally:
        for number in heard:
            signal.signal(number, former[number])


def _leave(number: int, _frame: object) -> None:
    os._exit(128 + number)


def ignore_signals() -> None:
    """The exit code is settled, and only Python's own end is to come."""
    for number in _END_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def open_streams() -> None:
    """Streams that the caller has closed are opened on nothing: a file of ours must not get their numbers.

    What is written to a closed stdout fails, as it should; stderr's messages go nowhere.
    """
    for number in (0, _STDOUT, _STDERR):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_WRONLY if number == _STDERR else os.O_RDONLY)
    if sys.stdin is None:
        sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)), encoding="utf-8")
    if sys.stdout is None:
        sys.stdout = io.TextIOWrapper(io.BufferedWriter(io.FileIO(_STDOUT, "w", closefd=False)), encoding="utf-8")
    if sys.stderr is None:
        sys.stderr = io.TextIOWrapper(io.BufferedWriter(io.FileIO(_STDERR, "w", closefd=False)), encoding="utf-8")


def settle_home() -> None:
    """A user whom the system doesn't know gets a home where nothing is: others' code asks for one, or raises."""
    home = home_folder(os.environ)
    if home == NOWHERE:
        os.environ["HOME"] = str(home)


def forget_stdout() -> None:
    """Nobody takes our output: Python must not complain of it once more at its end."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, _STDOUT)
    os.close(nothing)
