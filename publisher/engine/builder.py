"""Build an image with docker-py, and read what the builder says of each step."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec
from docker.utils.build import exclude_paths

from publisher.engine.refusal import spoken
from publisher.model.errors import BuildFailed, ConfigError
from publisher.model.printable import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    import docker

_STEP: Final = re.compile(r"Step (\d+)/(\d+) : (.*)", re.DOTALL)
_BUILT: Final = re.compile(r"Successfully built ([0-9a-f]+)")
_SHOWN: Final = 20


class BuildStep(msgspec.Struct, frozen=True, kw_only=True):
    """One step: whether it came from the cache, and how long it took in seconds."""

    number: int
    instruction: str
    cached: bool
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRequest:
    """What to build: a context folder, the Dockerfile within it, and docker's own options."""

    context: Path
    dockerfile: str
    names: tuple[str, ...]
    args: Mapping[str, str]
    labels: Mapping[str, str]
    target: str | None = None
    platform: str | None = None
    pull: bool = False
    cache: bool = True


@dataclass(frozen=True, slots=True)
class Built:
    """The image's id and the steps that made it."""

    id: str
    steps: tuple[BuildStep, ...]


def context_files(context: Path) -> tuple[str, ...]:
    """What the context ships by its .dockerignore: paths relative to it, folders among them."""
    ignore = context / ".dockerignore"
    patterns = ignore.read_text().splitlines() if ignore.is_file() else []
    return tuple(sorted(exclude_paths(str(context), [line for line in patterns if line and not line.startswith("#")])))


def build(api: docker.APIClient, request: BuildRequest, tell: Callable[[str], None]) -> Built:
    """Build and name an image; `tell` gets one line a step. Raises BuildFailed with the builder's last words."""
    if not (request.context / request.dockerfile).is_file():
        raise ConfigError(
            f"there is no {request.dockerfile} in {request.context}",
            reference=request.context / request.dockerfile,
            hint="[build] context and dockerfile say where it is",
        )
    untyped: Any = api
    with spoken(str(request.context)):
        events = untyped.build(
            path=str(request.context),
            dockerfile=request.dockerfile,
            tag=request.names[0],
            buildargs=dict(request.args),
            labels=dict(request.labels),
            target=request.target,
            platform=request.platform,
            pull=request.pull,
            nocache=not request.cache,
            rm=True,
            forcerm=True,
            decode=True,
        )
        reader = _Reader(tell)
        reader.read(events)
        for name in request.names[1:]:
            repository, _, tag = name.rpartition(":")
            untyped.tag(reader.image, repository, tag)
        return Built(str(untyped.inspect_image(reader.image)["Id"]), tuple(reader.steps))


class _Reader:
    """Puts the builder's stream together into steps."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._open: tuple[int, int, str] | None = None
        self._cached = False
        self._began = time.monotonic()
        self._said: list[str] = []
        self.steps: list[BuildStep] = []
        self.image = ""

    def read(self, events: Iterable[Mapping[str, Any]]) -> None:
        for event in events:
            if error := event.get("error"):
                raise self._failed(str(error))
            if identity := (event.get("aux") or {}).get("ID"):
                self.image = str(identity)
            self._line(str(event.get("stream") or ""))
        self._close()
        if not self.image:
            raise self._failed("the builder ended without an image")

    def _line(self, text: str) -> None:
        if found := _STEP.match(text.strip()):
            self._close()
            self._open = (int(found[1]), int(found[2]), found[3].strip())
        elif "Using cache" in text:
            self._cached = True
        elif built := _BUILT.search(text):
            self.image = self.image or built[1]
        elif text.strip():
            self._said.append(printable(text.rstrip()))

    def _close(self) -> None:
        """The step that was going on has ended."""
        if self._open:
            number, total, instruction = self._open
            seconds = round(time.monotonic() - self._began, 2)
            self.steps.append(BuildStep(number=number, instruction=instruction, cached=self._cached, seconds=seconds))
            how = "cached" if self._cached else f"{seconds:.1f} s"
            self._tell(f"build    {number}/{total} {printable(instruction[:100])} ({how})")
        self._open, self._cached, self._began = None, False, time.monotonic()

    def _failed(self, error: str) -> BuildFailed:
        at = f" at step {self._open[0]} ({self._open[2]})" if self._open else ""
        for line in self._said[-_SHOWN:]:
            self._tell(f"  {line}")
        return BuildFailed(f"the build failed{at}: {error.strip()}")


def first_miss(steps: Iterable[BuildStep]) -> str:
    """Why the cache was left, in a sentence; "" where all came from it, or nothing could."""
    made = [step for step in steps if not step.instruction.upper().startswith(("FROM", "ARG"))]
    missed = next((step for step in made if not step.cached), None)
    if missed is None or missed is made[0]:
        return ""
    why = (
        "the files that it copies have changed"
        if missed.instruction.upper().startswith(("COPY", "ADD"))
        else ("the instruction, an argument or the labels have changed")
    )
    where = f"step {missed.number}, {printable(missed.instruction[:80])}"
    return f"the cache ends at {where}: {why}; all after it is made anew"
