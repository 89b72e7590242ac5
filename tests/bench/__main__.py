"""Measures, prints one table, exits 1 when a goal is missed.

Words on the command line choose among the parts: store, scale, sending, copying, memory, starts, builds; without any
are measured. store and scale have today's engine, whose images are in containerd; the others have the classic one.
`growth FILE.svg` alone prints how the time of a release grows, and draws it.
"""

from __future__ import annotations

import compileall
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import publisher
from tests.bench.builds import build_rows
from tests.bench.copying import copying_rows
from tests.bench.growth import growth, picture
from tests.bench.images import TREE, make_noise, make_tree
from tests.bench.machine import Machine
from tests.bench.memory import memory_rows
from tests.bench.scale import scale_rows
from tests.bench.sending import sending_rows
from tests.bench.starts import start_rows
from tests.bench.store import store_rows
from tests.support.command import Publish
from tests.support.engine import run_engine
from tests.support.network import live_apart
from tests.support.parts import add_buildx
from tests.support.registry import run_registry

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.bench.row import Row


def rows(machine: Machine, parts: Iterable[str]) -> Iterator[Row]:
    """The rows of the parts, as they are measured."""
    if "sending" in parts:
        yield from sending_rows(machine)
    else:
        make_tree(machine, "tree", TREE)
        make_noise(machine, "noise", 5, 20_000_000)
    if "copying" in parts:
        yield from copying_rows(machine)
    if "memory" in parts:
        yield from memory_rows(machine)
    if "starts" in parts:
        yield from start_rows(machine.publish, machine.folder)
    if "builds" in parts:
        yield from build_rows(machine.engine, machine.publish, machine.folder)


def _measured(folder: Path, parts: set[str]) -> Iterator[Row]:
    print(f"{os.cpu_count()} processors, medians; times are wall clock", flush=True)
    with run_registry(folder / "registry") as registry:
        if parts & {"store", "scale"}:
            with run_engine(8, "containerd") as engine:
                publish = Publish(folder / "home", {"DOCKER_HOST": engine.host})
                add_buildx(folder / "home" / "docker")
                machine = Machine(engine, registry, publish, folder)
                if "scale" in parts:
                    yield from scale_rows(machine)
                if "store" in parts:
                    yield from store_rows(machine)
        if parts - {"store", "scale"}:
            with run_engine(7, "classic") as engine:
                publish = Publish(folder / "home", {"DOCKER_HOST": engine.host})
                yield from rows(Machine(engine, registry, publish, folder), parts)


def _draw_growth(file: Path) -> int:
    """No engine takes part: images come from layouts."""
    with tempfile.TemporaryDirectory(prefix="publish-bench-") as name:
        folder = Path(name)
        (folder / "home").mkdir()
        with run_registry(folder / "registry") as registry:
            publish = Publish(folder / "home", {})
            file.write_text(picture(growth(registry, publish, folder)))
    return 0


def main() -> int:
    """Measure; the exit code."""
    live_apart()
    # As pip leaves a package that it installed; a checkout's bytecode may be stale, or never written.
    compileall.compile_dir(Path(publisher.__file__).parent, quiet=1)
    if sys.argv[1:2] == ["growth"]:
        return _draw_growth(Path(sys.argv[2]))
    parts = set(sys.argv[1:]) or {"store", "scale", "sending", "copying", "memory", "starts", "builds"}
    met = True
    with tempfile.TemporaryDirectory(prefix="publish-bench-") as name:
        folder = Path(name)
        (folder / "home").mkdir()
        for row in _measured(folder, parts):
            print(row, flush=True)
            met = met and row.met
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
