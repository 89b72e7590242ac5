"""Build an image with docker-py, and read what the builder says of each step."""

from __future__ import annotations

import re
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Self

import msgspec
from docker.errors import APIError
from docker.utils.build import exclude_paths

from publisher.engine.errors import spoken
from publisher.model.errors import BuildFailed, ConfigError
from publisher.model.manifest import Platform
from publisher.model.printable import printable
from publisher.model.value import Value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    import docker

# "Step 2/3 : COPY …" is docker's, "[1/2] STEP 2/3: COPY …" podman's.
_STEP: Final = re.compile(r"(?:\[\d+/\d+\] )?(?:Step|STEP) (\d+)/(\d+) ?: (.*)", re.DOTALL)
_BUILT: Final = re.compile(r"Successfully built ([0-9a-f]+)")
_SHOWN: Final = 20
_BAD_REQUEST: Final = 400


class BuildStep(msgspec.Struct, frozen=True, kw_only=True):
    """One step: whether it came from the cache, and how long it took in seconds.

    stage: which of several it belongs to, with its platform where several are built; "" where there is one.
    """

    number: int
    instruction: str
    cached: bool
    seconds: float
    stage: str = ""

    def told(self, total: int) -> str:
        """It in a line, as one of `total`."""
        how = "cached" if self.cached else f"{self.seconds:.1f} s"
        stage = f"{self.stage} " if self.stage else ""
        return f"build    {stage}{self.number}/{total} {printable(self.instruction[:100])} ({how})"


class BuildRequest(Value, frozen=True, kw_only=True):
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

    def check(self) -> None:
        """Raise ConfigError where there is no Dockerfile."""
        if not (self.context / self.dockerfile).is_file():
            raise ConfigError(
                f"there is no {self.dockerfile} in {self.context}",
                reference=self.context / self.dockerfile,
                hint="[build] context and dockerfile say where it is",
            )


class Built(Value, frozen=True):
    """The image's id, the steps that made it, what the builder warned of; its working folder and exposed ports."""

    id: str
    steps: tuple[BuildStep, ...]
    warnings: tuple[str, ...] = ()
    workdir: str = ""
    exposed: tuple[int, ...] = ()

    @classmethod
    def of(
        cls, request: BuildRequest, found: Mapping[str, Any], steps: Iterable[BuildStep], warnings: Iterable[str] = ()
    ) -> Self:
        """From what the engine says of the image; raises BuildFailed for one of another platform.

        The classic builder makes images of its own platform, whatever it is asked.
        """
        asked = Platform.parse(request.platform) if request.platform else None
        made = (str(found.get("Os")), str(found.get("Architecture")))
        if asked and (asked.os, asked.architecture) != made:
            raise BuildFailed(f"the builder made an image for {'/'.join(made)}, not for {asked}")
        config = found.get("Config") or {}
        ports = (name.partition("/")[0] for name in config.get("ExposedPorts") or ())
        return cls(
            str(found["Id"]), tuple(steps), tuple(warnings), str(config.get("WorkingDir") or ""), tuple(map(int, ports))
        )


def context_files(context: Path) -> tuple[str, ...]:
    """What the context ships by its .dockerignore: paths relative to it, folders among them."""
    ignore = context / ".dockerignore"
    patterns = ignore.read_text().splitlines() if ignore.is_file() else []
    return tuple(sorted(exclude_paths(str(context), [line for line in patterns if line and not line.startswith("#")])))


def build(api: docker.APIClient, request: BuildRequest, tell: Callable[[str], None]) -> Built:
    """Build and name an image; `tell` gets one line a step. Raises BuildFailed with the builder's last words."""
    untyped: Any = api
    with spoken(str(request.context)), _refused():
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
        name_also(untyped, reader.image, request.names[1:])
        found = untyped.inspect_image(reader.image)
    return Built.of(request, found, reader.steps, reader.warnings)


def name_also(api: Any, image: str, names: Iterable[str]) -> None:
    """Give an image more names; one without a tag gets `latest`."""
    for name in names:
        repository, colon, tag = name.rpartition(":")
        has_tag = colon and "/" not in tag
        api.tag(image, repository if has_tag else name, tag if has_tag else "latest")


@contextmanager
def _refused() -> Iterator[None]:
    """A build that the engine refuses to begin: a stage that isn't there, an instruction that it doesn't know."""
    try:
        yield
    except APIError as error:
        if error.status_code != _BAD_REQUEST:
            raise
        raise BuildFailed(f"the engine refuses to build it: {error.explanation}") from error


class _Reader:
    """Puts the builder's stream together into steps."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._open: tuple[int, int, str] | None = None
        self._cached = False
        self._began = time.monotonic()
        self._said: list[str] = []
        self.steps: list[BuildStep] = []
        self.warnings: list[str] = []
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
        elif text.startswith("[Warning]"):
            self.warnings.append(printable(text.removeprefix("[Warning]").strip()))
        elif text.strip():
            self._said.append(printable(text.rstrip()))

    def _close(self) -> None:
        """The step that was going on has ended."""
        if self._open:
            number, total, instruction = self._open
            seconds = round(time.monotonic() - self._began, 2)
            self.steps.append(BuildStep(number=number, instruction=instruction, cached=self._cached, seconds=seconds))
            self._tell(self.steps[-1].told(total))
        self._open, self._cached, self._began = None, False, time.monotonic()

    def _failed(self, error: str) -> BuildFailed:
        at = f" at step {self._open[0]} ({self._open[2]})" if self._open else ""
        for line in self._said[-_SHOWN:]:
            self._tell(f"  {line}")
        return BuildFailed(f"the build failed{at}: {error.strip()}")
