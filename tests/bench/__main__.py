"""Measures, prints one table, exits 1 when a goal is missed."""

from __future__ import annotations

import os
import random
import resource
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.link import slow_link
from tests.parts.command import Publish
from tests.parts.engine import Engine, run_engine
from tests.parts.registry import Registry, run_registry

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_RUNS = 3
_MIB = 1024 * 1024


@dataclass(frozen=True)
class Row:
    """One line of the table: `figure` must be at least or at most `goal`."""

    what: str
    figure: float
    goal: float
    at_least: bool
    detail: str

    @property
    def met(self) -> bool:
        """Whether the goal is reached."""
        return self.figure >= self.goal if self.at_least else self.figure <= self.goal

    def __str__(self) -> str:
        sign = ">=" if self.at_least else "<="
        verdict = "ok" if self.met else "MISSED"
        return f"{self.what:<52} {self.figure:>8.2f} {sign} {self.goal:<7.2f} {verdict:<7} {self.detail}"


@dataclass(frozen=True)
class Bench:
    """The parts that everything is measured on."""

    engine: Engine
    registry: Registry
    publish: Publish
    folder: Path

    def release(self, source: str, repository: str) -> None:
        """One release, direct and verified by digest."""
        words = ["release", f"docker-daemon:{source}", "--image", repository, "--version", "1.0.0"]
        self.run(*words, "--via", "direct", "--verify", "digest", "--no-smoke", "-y", "--format", "json")

    def run(self, *words: str) -> None:
        """publish, which must succeed: a failure that is quick is no result."""
        done = self.publish(*words)
        if done.code:
            raise SystemExit(done.stderr)

    def push(self, source: str, repository: str, tags: Sequence[str]) -> None:
        """docker push of each tag."""
        for tag in tags:
            self.engine.docker("tag", source, f"{repository}:{tag}")
            self.engine.docker("push", "-q", f"{repository}:{tag}")


def timed(work: Callable[[], object]) -> float:
    """Wall seconds."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def build_tree(bench: Bench, name: str, size: int) -> None:
    """An image of one layer with `size` bytes of Python sources, which compress as such trees do."""
    context = bench.folder / name
    (context / "tree").mkdir(parents=True)
    sources = sorted(Path(sysconfig.get_path("stdlib")).rglob("*.py"))
    text = b"".join(path.read_bytes() for path in sources)
    chance = random.Random(name)
    for number in range(size // (4 * _MIB)):
        start = chance.randrange(max(1, len(text) - 4 * _MIB))
        piece = text[start : start + 4 * _MIB]
        (context / "tree" / f"{number:04}.py").write_bytes(piece.ljust(4 * _MIB, b"#"))
    (context / "Dockerfile").write_text('FROM scratch\nCOPY tree /tree\nCMD ["/none"]\n')
    bench.engine.docker("build", "-q", "-t", name, str(context))


def against_push(bench: Bench) -> Row:
    """A release of one layer of 340 MB against docker push of one tag."""
    ours, theirs = [], []
    host = bench.registry.host
    for number in range(_RUNS):
        theirs.append(timed(lambda n=number: bench.push("tree", f"{host}/push{n}/a", ["1.0.0"])))  # type: ignore[misc]
        ours.append(timed(lambda n=number: bench.release("tree", f"{host}/ours{n}/a")))  # type: ignore[misc]
        # The engine remembers where it pushed a layer, and would mount it the next time.
        bench.engine.docker("image", "rm", "-f", f"{host}/push{number}/a:1.0.0")
        build_again(bench, number)
    fast, slow = statistics.median(ours), statistics.median(theirs)
    return Row("340 MB, one layer: docker push / release", slow / fast, 2.5, True, f"{slow:.2f} s / {fast:.2f} s")


def build_again(bench: Bench, number: int) -> None:
    """Another layer of the same kind, so that no run profits from the one before."""
    (bench.folder / "tree" / "tree" / "again.py").write_text(f"# {number}\n")
    bench.engine.docker("build", "-q", "-t", "tree", str(bench.folder / "tree"))


def requests_for_four_tags(bench: Bench) -> tuple[Row, Row]:
    """One release of four tags against four pushes, in HTTP requests; and blobs touched once the first tag is there."""
    host = bench.registry.host
    build_again(bench, 100)
    start = len(bench.registry.requests())
    bench.push("tree", f"{host}/four/push", ["1.0.0", "1.0", "1", "latest"])
    theirs = len(bench.registry.requests()) - start
    build_again(bench, 101)
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
            theirs.append(timed(lambda t=tags: bench.push("tree", f"{host}/slow/b", t)))  # type: ignore[misc]
            targets = [f":{tag}" for tag in tags]
            ours.append(timed(lambda t=targets: bench.run("retag", f"{host}/slow/a:1.0.0", *t)))  # type: ignore[misc]
    fast, slow = statistics.median(ours), statistics.median(theirs)
    return Row(
        "retag of 3 tags, 50 ms link: docker push x 3 / retag", slow / fast, 3.0, True, f"{slow:.2f} s / {fast:.2f} s"
    )


def peak_memory(bench: Bench, source: str) -> Row:
    """Peak resident memory of a release, in MiB."""
    words = [sys.executable, "-c", _MEASURE, f"docker-daemon:{source}", f"{bench.registry.host}/memory/{source}"]
    done = subprocess.run(
        words, env=bench.publish.environ, cwd=bench.folder, capture_output=True, text=True, check=True
    )
    peak = int(done.stdout.splitlines()[-1]) / 1024
    return Row(f"peak memory in MiB, image '{source}'", peak, 128, False, "")


_MEASURE = """
import resource, subprocess, sys, pathlib
program = str(pathlib.Path(sys.executable).with_name("publish"))
options = ["--version", "1.0.0", "--via", "direct", "--verify", "digest", "--no-smoke", "-y", "--format", "json"]
subprocess.run([program, "release", sys.argv[1], "--image", sys.argv[2], *options], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def start_up(bench: Bench) -> Row:
    """publish --version against the bare import of click."""
    bare = [timed(lambda: subprocess.run([sys.executable, "-c", "import click"], check=True)) for _ in range(15)]
    ours = [timed(lambda: bench.publish("--version")) for _ in range(15)]
    fast, slow = statistics.median(bare), statistics.median(ours)
    return Row("publish --version / python -c 'import click'", slow / fast, 1.5, False, f"{slow:.3f} s / {fast:.3f} s")


def main() -> int:
    """Measure everything; the exit code."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with tempfile.TemporaryDirectory(prefix="publish-bench-") as name:
        folder = Path(name)
        (folder / "home").mkdir()
        with run_engine(7) as engine, run_registry(folder / "registry") as registry:
            publish = Publish(folder / "home", {"DOCKER_HOST": engine.host})
            bench = Bench(engine, registry, publish, folder)
            build_tree(bench, "tree", 340 * 1000 * 1000)
            rows = [against_push(bench), *requests_for_four_tags(bench), retag_over_a_slow_link(bench)]
            rows += [peak_memory(bench, "tree")]
            if "--large" in sys.argv:
                build_tree(bench, "large", 1024 * _MIB)
                rows.append(peak_memory(bench, "large"))
            rows.append(start_up(bench))
    print(f"{os.cpu_count()} processors, median of {_RUNS}")
    for row in rows:
        print(row)
    return 0 if all(row.met for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
