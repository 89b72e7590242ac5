"""Measures, prints one table, exits 1 when a goal is missed."""

from __future__ import annotations

import io
import itertools
import os
import statistics
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import uuid
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.builds import build_rows
from tests.bench.link import slow_link
from tests.bench.row import Row, timed
from tests.bench.starts import start_rows
from tests.parts.command import Publish
from tests.parts.engine import Engine, run_engine
from tests.parts.registry import Registry, run_registry

if TYPE_CHECKING:
    from collections.abc import Sequence

_RUNS = 3
_OPTIONS = ("--version=1.0.0", "--via=direct", "--verify=digest", "--no-smoke", "-y", "--format=json")


@dataclass(frozen=True)
class Bench:
    """The parts that everything is measured on."""

    engine: Engine
    registry: Registry
    publish: Publish
    folder: Path

    def release(self, source: str, repository: str) -> None:
        """One release, direct and verified by digest."""
        self.run("release", f"docker-daemon:{source}", "--image", repository, *_OPTIONS)

    def push(self, source: str, repository: str, tags: Sequence[str]) -> None:
        """docker push of each tag."""
        for tag in tags:
            self.engine.docker("tag", source, f"{repository}:{tag}")
            self.engine.docker("push", "-q", f"{repository}:{tag}")

    def run(self, *words: str) -> None:
        """publish, which must succeed: a failure that is quick is no result."""
        done = self.publish(*words)
        if done.code:
            raise SystemExit(done.stderr)


def make_tree(bench: Bench, name: str, size: int) -> None:
    """Copies of Python's own library, `size` bytes of source files as they come, as an image of one layer."""
    files = sorted(Path(sysconfig.get_path("stdlib")).rglob("*.py"))
    with tarfile.open(bench.folder / f"{name}.tar", "w") as archive:
        for number, file in enumerate(itertools.cycle(files)):
            content = file.read_bytes()[:size]
            _add(archive, f"tree/{number // 200:04}/{number % 200:03}.py", content)
            size -= len(content)
            if not size:
                break
    make_again(bench, name)


def make_again(bench: Bench, name: str) -> None:
    """Another layer of the same kind, so that no run profits from the one before."""
    path = bench.folder / f"{name}.tar"
    with tarfile.open(path, "a") as archive:
        _add(archive, f"tree/{uuid.uuid4()}.py", b"# new\n")
    # An import takes a third of the time of a build, where there are so many files.
    bench.engine.docker("import", "--change", 'CMD ["/none"]', str(path), name)


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


def against_push(bench: Bench) -> Row:
    """A release of one layer of 340 MB against docker push of one tag; who comes first alternates."""
    ours: list[float] = []
    theirs: list[float] = []
    for number in range(_RUNS):
        pushed, released = (f"{bench.registry.host}/{side}{number}/a" for side in ("push", "ours"))
        sides = [
            (theirs, partial(bench.push, "tree", pushed, ["1.0.0"])),
            (ours, partial(bench.release, "tree", released)),
        ]
        for figures, work in sides if number % 2 else reversed(sides):
            figures.append(timed(work))
            # Without its name the engine no longer tells where the layer can be found already.
            bench.engine.docker("image", "rm", f"{pushed}:1.0.0", check=False)
        make_again(bench, "tree")
    fast, slow = statistics.median(ours), statistics.median(theirs)
    return Row("340 MB, one layer: docker push / release", slow / fast, 2.5, True, f"{slow:.2f} s / {fast:.2f} s")


def requests_for_four_tags(bench: Bench) -> tuple[Row, Row]:
    """One release of four tags against four pushes, in HTTP requests; and blobs touched once the first tag is there."""
    host = bench.registry.host
    make_again(bench, "tree")
    start = len(bench.registry.requests())
    bench.push("tree", f"{host}/four/push", ["1.0.0", "1.0", "1", "latest"])
    theirs = len(bench.registry.requests()) - start
    make_again(bench, "tree")
    start = len(bench.registry.requests())
    bench.release("tree", f"{host}/four/ours")
    asked = bench.registry.requests()[start:]
    first = next(n for n, one in enumerate(asked) if one.method == "PUT" and one.path.endswith("/manifests/1.0.0"))
    blobs = sum("/blobs/" in one.path for one in asked[first:])
    return (
        Row(
            "four tags: requests, release / docker push x 4",
            len(asked) / theirs,
            1.0,
            False,
            f"{len(asked)} / {theirs}",
        ),
        Row("four tags: blob requests after the first tag", blobs, 0, False, ""),
    )


def retag_over_a_slow_link(bench: Bench) -> Row:
    """publish retag of three tags against three pushes of new tags, 50 ms round trips."""
    ours, theirs = [], []
    with slow_link(bench.registry.host, 0.05) as host:
        bench.release("tree", f"{host}/slow/a")
        bench.push("tree", f"{host}/slow/b", ["1.0.0"])
        for number in range(_RUNS):
            tags = [f"t{number}-{letter}" for letter in "abc"]
            theirs.append(timed(partial(bench.push, "tree", f"{host}/slow/b", tags)))
            targets = [f":{tag}" for tag in tags]
            ours.append(timed(partial(bench.run, "retag", f"{host}/slow/a:1.0.0", *targets)))
    fast, slow = statistics.median(ours), statistics.median(theirs)
    return Row(
        "retag of 3 tags, 50 ms link: docker push x 3 / retag", slow / fast, 3.0, True, f"{slow:.2f} s / {fast:.2f} s"
    )


def peak_memory(bench: Bench, source: str) -> Row:
    """Peak resident memory, in MiB, of a release whose layer no registry and no cache knows."""
    words = [bench.publish.program, "release", f"docker-daemon:{source}", *_OPTIONS]
    words += ["--image", f"{bench.registry.host}/memory/{source}"]
    # A child's peak starts at its parent's size (exec keeps it), so the parent must be a small process.
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE, *words],
        env=bench.publish.environ,
        cwd=bench.folder,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    peak = int(done.stdout.splitlines()[-1]) / 1024
    return Row(f"peak memory in MiB, image '{source}'", peak, 128, False, "")


_MEASURE = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def main() -> int:
    """Measure everything; the exit code."""
    with tempfile.TemporaryDirectory(prefix="publish-bench-") as name:
        folder = Path(name)
        (folder / "home").mkdir()
        with run_engine(7) as engine, run_registry(folder / "registry") as registry:
            publish = Publish(folder / "home", {"DOCKER_HOST": engine.host})
            bench = Bench(engine, registry, publish, folder)
            make_tree(bench, "tree", 340 * 1000 * 1000)
            rows = [against_push(bench), *requests_for_four_tags(bench), retag_over_a_slow_link(bench)]
            make_again(bench, "tree")
            rows.append(peak_memory(bench, "tree"))
            make_tree(bench, "large", 1 << 30)
            rows += [peak_memory(bench, "large"), *start_rows(publish, folder)]
            rows += build_rows(engine, publish, folder)
    print(f"{os.cpu_count()} processors, median of {_RUNS}")
    for row in rows:
        print(row)
    return 0 if all(row.met for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
