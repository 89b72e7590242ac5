"""Programs that build: started without a shell, ended by an interrupt."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


@contextmanager
def started(words: Sequence[str], environ: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A process whose output is read, stdout and stderr in one; an interrupt ends it."""
    process = subprocess.Popen(  # noqa: S603 - an argument list of our own, no shell
        words, env=dict(environ), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        errors="replace",
    )  # fmt: skip
    try:
        with process:
            yield process
    except BaseException:
        process.terminate()
        process.wait()
        raise
