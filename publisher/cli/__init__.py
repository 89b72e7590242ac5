"""The command line: parse, call one workflow, render."""

from __future__ import annotations

import sys


def main() -> None:
    """Run `publish`; the only place that ends the process."""
    from publisher.cli.program import run

    sys.exit(run(sys.argv[1:]))
