"""Programs that build: started without a shell, ended by an interrupt."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_PATIENCE: Final = 10
"""Seconds."""


@contextmanager
def started(words: Sequence[str], environ: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A process whose output is read, stdout and stderr in one; an interrupt ends it."""
    process = subprocess.Popen(  # noqa: S603 - an argument list of our own, no shell
        words, env=dict(environ), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        errors="replace",
    )  # fmt: skip
    with process:
        try:
            yield process
        except BaseException:
            _end(process)
            raise


def _end(process: subprocess.Popen[str]) -> None:
    """A builder told to stop cancels what it has begun; one that doesn't is not waited for."""
    process.terminate()
    try:
        process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
