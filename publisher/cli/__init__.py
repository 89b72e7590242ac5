"""The command line: parse, call one workflow, render."""

from __future__ import annotations

import gc
import sys


def main() -> None:
    """Run `publish`; the only place that ends the process."""
    from publisher.cli.program import run

    code = run(sys.argv[1:])
    # The interpreter's last look for cycles would take as long as a small command: all of it goes with the process.
    gc.freeze()
    sys.exit(code)
