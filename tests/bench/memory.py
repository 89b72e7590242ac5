"""How much memory a release takes at its peak."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from tests.bench.images import make_again, make_tree
from tests.bench.machine import OPTIONS
from tests.bench.row import Row

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bench.machine import Machine

# A child's peak starts at its parent's size (exec keeps it), so the parent must be a small process.
MEASURE = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def memory_rows(machine: Machine) -> Iterator[Row]:
    """340 MB, and 1 GiB in one layer."""
    make_again(machine, "tree")
    yield peak(machine, "tree")
    make_tree(machine, "large", 1 << 30)
    yield peak(machine, "large")


def peak(machine: Machine, source: str, via: str = "direct") -> Row:
    """Peak resident memory, in MiB, of a release whose layer no registry and no cache knows."""
    words = [machine.publish.program, "release", f"docker-daemon:{source}", *OPTIONS, "--via", via]
    words += ["--image", f"{machine.registry.host}/memory-{via}/{source}"]
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, *words],
        env=machine.publish.environ,
        cwd=machine.folder,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return Row(f"peak memory in MiB, image '{source}', {via}", int(done.stdout.splitlines()[-1]) / 1024, 128, False, "")
