"""The command line: parse, call one workflow, render."""

from __future__ import annotations

import gc
import sys
from typing import TYPE_CHECKING, Final, NoReturn

if TYPE_CHECKING:
    from collections.abc import Sequence

_THRESHOLD: Final = 100_000
"""Objects made and not yet gone before Python looks for cycles: some ten megabytes."""


def main() -> None:
    """Run `publish` on its command line."""
    start(sys.argv[1:])


def start(arguments: Sequence[str], name: str = "publish") -> NoReturn:
    """Run `publish` and end the process. name: what it was called by."""
    # Imports make much that stays: looking through it for cycles would take as long as the work of a small command.
    gc.set_threshold(_THRESHOLD)
    from publisher.cli.process import ignore_signals, open_streams, settle_home
    from publisher.cli.program import run

    open_streams()
    settle_home()
    code = run(arguments, name)
    ignore_signals()
    # Nor is there anything to be found at the end.
    gc.freeze()
    sys.exit(code)
