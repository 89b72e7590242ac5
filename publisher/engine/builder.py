"""Build an image with docker-py, and read what the builder says of each step."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any, Final, Self

import msgspec
from docker.utils.build import exclude_paths

from publisher.engine.errors import bad_request_as, translated_errors
from publisher.model.errors import BuildFailed, ConfigError
from publisher.model.manifest import Platform
from publisher.model.printable import printable
from publisher.model.value import Value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    import docker

# "Step 2/3 : COPY …" is docker's, "[1/2] STEP 2/3: COPY …" podman's and buildah's, "#6 [stage 2/3] COPY …" buildx's.
_STEP: Final = re.compile(
    r"(?:(?:\[\d+/\d+\] )?(?:Step|STEP) |#\d+ \[(?:[^\]]* )?)(?P<number>\d+)/(?P<total>\d+)(?: ?: |\] )"
    r"(?P<instruction>.+)",
    re.DOTALL,
)
_CACHED: Final = re.compile(r" ?--+> Using cache\b|#\d+ CACHED")
_SUCCESS: Final = re.compile(r"Successfully built ([0-9a-f]+)")
_SHOWN: Final = 20


class BuildStep(msgspec.Struct, frozen=True, kw_only=True):
    """One step: whether it came from the cache, and how long it took in seconds."""

    number: int
    instruction: str
    cached: bool
    seconds: float

    def line(self, total: int) -> str:
        """It in a line, as one of `total`."""
        how = "cached" if self.cached else f"{self.seconds:.1f} s"
        return f"build    {self.number}/{total} {printable(self.instruction[:100])} ({how})"


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


class BuildResult(Value, frozen=True):
    """The image's id, the steps that made it, what the builder warned of; its working folder and exposed ports."""

    id: str
    steps: tuple[BuildStep, ...]
    warnings: tuple[str, ...] = ()
    workdir: str = ""
    exposed: tuple[int, ...] = ()

    @classmethod
    def of(
        cls,
        request: BuildRequest,
        document: Mapping[str, Any],
        steps: Iterable[BuildStep],
        warnings: Iterable[str] = (),
    ) -> Self:
        """From what the engine says of the image; raises BuildFailed for one of another platform.

        The classic builder makes images of its own platform, whatever it is asked.
        """
        platform = Platform.parse(request.platform) if request.platform else None
        actual = (str(document.get("Os")), str(document.get("Architecture")))
        if platform and (platform.os, platform.architecture) != actual:
            raise BuildFailed(f"the builder made an image for {'/'.join(actual)}, not for {platform}")
        config = document.get("Config") or {}
        ports = (name.partition("/")[0] for name in config.get("ExposedPorts") or ())
        return cls(
            str(document["Id"]),
            tuple(steps),
            tuple(warnings),
            str(config.get("WorkingDir") or ""),
            tuple(map(int, ports)),
        )


def context_files(context: Path) -> tuple[str, ...]:
    """What the context ships by its .dockerignore: paths relative to it, folders among them."""
    ignore = context / ".dockerignore"
    patterns = ignore.read_text().splitlines() if ignore.is_file() else []
    return tuple(sorted(exclude_paths(str(context), [line for line in patterns if line and not line.startswith("#")])))


def build(api: docker.APIClient, request: BuildRequest, show: Callable[[str], None]) -> BuildResult:
    """Build and name an image; `show` gets one line a step. Raises BuildFailed with the builder's last words."""
    untyped: Any = api
    with translated_errors(str(request.context)), bad_request_as(_refused_build):
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
        reader = _EventReader(show)
        reader.read(events)
        name_also(untyped, reader.image, request.names[1:])
        document = untyped.inspect_image(reader.image)
    return BuildResult.of(request, document, reader.steps, reader.warnings)


def name_also(api: Any, image: str, names: Iterable[str]) -> None:
    """Give an image more names; one without a tag gets `latest`."""
    for name in names:
        repository, colon, tag = name.rpartition(":")
        has_tag = colon and "/" not in tag
        api.tag(image, repository if has_tag else name, tag if has_tag else "latest")


def _refused_build(text: str) -> BuildFailed:
    """A build that the engine refuses to begin: a stage that isn't there, an instruction that it doesn't know."""
    return BuildFailed(f"the engine refuses to build it: {text}")


class StepReader:
    """Puts what a builder prints together into steps, and shows each in a line once it has ended. output: all else."""

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show = show
        self._step: re.Match[str] | None = None
        self._cached = False
        self._start = time.monotonic()
        self.steps: list[BuildStep] = []
        self.output: list[str] = []

    @property
    def position(self) -> str:
        """Where the build is, as in " at step 2 (COPY . .)"."""
        return f" at step {self._step['number']} ({self._step['instruction'].strip()})" if self._step else ""

    def read(self, text: str) -> bool:
        """Read a line; False for one that says nothing of a step."""
        if step := _STEP.match(text.rstrip()):
            self.close()
            self._step = step
        elif _CACHED.match(text):
            self._cached = True
        else:
            return False
        return True

    def keep(self, text: str) -> None:
        """A line of the output."""
        if text.strip():
            self.output.append(printable(text.rstrip()))

    def close(self) -> None:
        """The step that was going on has ended."""
        if self._step:
            seconds = round(time.monotonic() - self._start, 2)
            number, instruction = int(self._step["number"]), self._step["instruction"].strip()
            self.steps.append(BuildStep(number=number, instruction=instruction, cached=self._cached, seconds=seconds))
            self._show(self.steps[-1].line(int(self._step["total"])))
        self._step, self._cached, self._start = None, False, time.monotonic()

    def show_output(self) -> None:
        """The last lines, of a build that failed."""
        for line in self.output[-_SHOWN:]:
            self._show(f"  {line}")


class _EventReader:
    """Reads the stream of the engine's own builder: the image, its steps and warnings."""

    def __init__(self, show: Callable[[str], None]) -> None:
        self._reader = StepReader(show)
        self.warnings: list[str] = []
        self.image = ""

    @property
    def steps(self) -> list[BuildStep]:
        return self._reader.steps

    def read(self, events: Iterable[Mapping[str, Any]]) -> None:
        for event in events:
            if error := event.get("error"):
                raise self._failure(str(error))
            if identity := (event.get("aux") or {}).get("ID"):
                self.image = str(identity)
            self._read_line(str(event.get("stream") or ""))
        self._reader.close()
        if not self.image:
            raise self._failure("the builder ended without an image")

    def _read_line(self, text: str) -> None:
        if self._reader.read(text):
            return
        if match := _SUCCESS.search(text):
            self.image = self.image or match[1]
        elif text.startswith("[Warning]"):
            self.warnings.append(printable(text.removeprefix("[Warning]").strip()))
        else:
            self._reader.keep(text)

    def _failure(self, error: str) -> BuildFailed:
        self._reader.show_output()
        return BuildFailed(f"the build failed{self._reader.position}: {error.strip()}")
