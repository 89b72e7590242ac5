"""What everything is measured on, and what a piece of work costs there."""

from __future__ import annotations

import os
import resource
import shutil
import statistics
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.support.command import Publish
    from tests.support.engine import EngineProcess
    from tests.support.registry import RegistryProcess

OPTIONS = ("--version=1.0.0", "--verify=digest", "--no-smoke", "-y", "--format=json")
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Cost:
    """One piece of work: seconds on the wall, seconds of processors (the client's and the engine's), requests to the
    registry, bytes that it stores since."""

    wall: float
    processor: float
    requests: int
    stored: int

    @classmethod
    def median(cls, costs: Sequence[Self]) -> Self:
        """Of each figure."""
        return cls(
            statistics.median(cost.wall for cost in costs),
            statistics.median(cost.processor for cost in costs),
            round(statistics.median(cost.requests for cost in costs)),
            round(statistics.median(cost.stored for cost in costs)),
        )

    def __str__(self) -> str:
        return f"{self.wall:.2f} s, cpu {self.processor:.2f} s, {self.requests} requests, {self.stored / 1e6:.1f} MB"


@dataclass(frozen=True)
class Machine:
    """An engine, a registry, and `publish` with the first at hand."""

    engine: EngineProcess
    registry: RegistryProcess
    publish: Publish
    folder: Path

    def release(self, source: str, image: str, *words: str) -> None:
        """One release, verified by digest."""
        self.run("release", source, "--image", image, *OPTIONS, *words)

    def push(self, source: str, repository: str, *tags: str) -> None:
        """docker push of each tag."""
        for tag in tags:
            self.engine.docker("tag", source, f"{repository}:{tag}")
            self.engine.docker("push", "-q", f"{repository}:{tag}")

    def run(self, *words: str) -> None:
        """publish, which must succeed: a failure that is quick is no result."""
        done = self.publish(*words)
        if done.code:
            raise SystemExit(done.stderr)

    def cost(self, work: Callable[[], object]) -> Cost:
        """Do it; what an image made just before left to be written to disk is not part of it."""
        os.sync()
        requests, stored = len(self.registry.requests()), self._stored()
        processor, began = self._processor(), time.perf_counter()
        work()
        wall = time.perf_counter() - began
        return Cost(
            wall, self._processor() - processor, len(self.registry.requests()) - requests, self._stored() - stored
        )

    def _processor(self) -> float:
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        pid = Path(self.engine.host.removeprefix("unix://")).with_name("pid").read_text().strip()
        engine = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return children.ru_utime + children.ru_stime + (int(engine[11]) + int(engine[12])) / _TICKS

    def _stored(self) -> int:
        blobs = self.registry.log.parent / "data" / "docker" / "registry" / "v2" / "blobs"
        return sum(file.stat().st_size for file in blobs.rglob("data"))


def alternately(times: int, *works: Callable[[int], Cost]) -> list[Cost]:
    """The median cost of each, measured in turn, each as often the first as it can be: a slow moment meets all."""
    costs: list[list[Cost]] = [[] for _ in works]
    for number in range(times):
        for index in range(len(works)):
            place = (index + number) % len(works)
            costs[place].append(works[place](number))
    return [Cost.median(cost) for cost in costs]


def skopeo(*words: str) -> None:
    """An independent tool, which must succeed."""
    subprocess.run(["skopeo", "--insecure-policy", *words], check=True, capture_output=True)


CRANE = shutil.which("crane")
