"""Build an image with docker-py, and read what the builder says of each step."""

from __future__ import annotations

import os
import re
import time
from typing import TYPE_CHECKING, Any, Final, Self

import msgspec
from docker.utils.build import exclude_paths
from msgspec.structs import replace

from publisher.engine.errors import bad_request_as, translated_errors
from publisher.model.errors import BuildFailed, ConfigError
from publisher.model.manifest import Platform
from publisher.model.printable import printable
from publisher.model.value import Value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    import docker

    from publisher.engine.connection import Engine
    from publisher.model.build_values import BuildCache, BuildContext, BuildSecret

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
    """One step: whether it came from the cache, and how long it took in seconds.

    stage: which of several it belongs to, with its platform where several are built; "" where there is one.
    """

    number: int
    instruction: str
    cached: bool
    seconds: float
    stage: str = ""

    def line(self, total: int) -> str:
        """It in a line, as one of `total`."""
        how = "cached" if self.cached else f"{self.seconds:.1f} s"
        stage = f"{self.stage} " if self.stage else ""
        return f"build    {stage}{self.number}/{total} {printable(self.instruction[:100])} ({how})"


class BuildRequest(Value, frozen=True, kw_only=True):
    """What to build: a context folder, the Dockerfile within it, and docker's own options.

    What only BuildKit can do stands behind `cache`, in the spelling of buildx.
    """

    context: Path
    dockerfile: str
    names: tuple[str, ...]
    args: Mapping[str, str]
    labels: Mapping[str, str]
    target: str | None = None
    platforms: tuple[str, ...] = ()
    network: str | None = None
    shm_size: str | None = None
    pull: bool = False
    cache: bool = True
    secrets: tuple[BuildSecret, ...] = ()
    ssh: tuple[str, ...] = ()
    cache_from: tuple[BuildCache, ...] = ()
    cache_to: tuple[BuildCache, ...] = ()
    contexts: tuple[BuildContext, ...] = ()
    provenance: str | None = None
    sbom: str | None = None
    builder: str | None = None
    ulimits: tuple[str, ...] = ()

    @property
    def platform(self) -> str | None:
        """The one platform that is asked for."""
        return self.platforms[0] if len(self.platforms) == 1 else None

    @property
    def text(self) -> str:
        """What the Dockerfile says."""
        return (self.context / self.dockerfile).read_text(errors="replace")

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
        document: Mapping[str, Any],
        platform: str | None,
        steps: Iterable[BuildStep],
        warnings: Iterable[str] = (),
    ) -> Self:
        """From what the engine says of the image; raises BuildFailed for one of another platform than `platform`."""
        if not is_for(document, platform):
            actual = f"{document.get('Os')}/{document.get('Architecture')}"
            hint = f"pass --platform {actual} if that is what you want"
            raise BuildFailed(f"the builder made an image for {actual}, not for {platform}", hint=hint)
        config = document.get("Config") or {}
        ports = (name.partition("/")[0] for name in config.get("ExposedPorts") or ())
        return cls(
            str(document["Id"]),
            tuple(steps),
            tuple(warnings),
            str(config.get("WorkingDir") or ""),
            tuple(map(int, ports)),
        )


def is_for(document: Mapping[str, Any], platform: str | None) -> bool:
    """Whether the engine's description of an image says this platform; None is any."""
    wanted = Platform.parse(platform) if platform else None
    actual = (str(document.get("Os")), str(document.get("Architecture")))
    return wanted is None or (wanted.os, wanted.architecture) == actual


def context_files(context: Path, dockerfile: str) -> tuple[str, ...]:
    """What the context ships by its .dockerignore: paths relative to it, folders among them."""
    ignore = context / f"{dockerfile}.dockerignore"
    if not ignore.is_file():
        ignore = context / ".dockerignore"
    patterns = ignore.read_text().splitlines() if ignore.is_file() else []
    patterns = [line for line in patterns if line and not line.startswith("#")]
    # docker-py looks at each file as if something might be ignored, which takes several times as long.
    return tuple(sorted(exclude_paths(str(context), patterns) if patterns else _all_files(str(context), "")))


def _all_files(folder: str, prefix: str) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            yield prefix + entry.name
            if entry.is_dir(follow_symlinks=False):
                yield from _all_files(entry.path, f"{prefix}{entry.name}/")


def build(engine: Engine, request: BuildRequest, show: Callable[[str], None]) -> BuildResult:
    """Build by the engine's own builder; `show` gets one line a step. Raises BuildFailed with the builder's last words.

    The image is named at the end, when it is known to be the right one: podman's cache knows no platforms, so that it
    may give an image of another one.
    """
    platform = request.platform or (str(engine.platform) if engine.is_podman else None)
    document, reader = _build_once(engine.api, request, show)
    if engine.is_podman and request.cache and not is_for(document, platform):
        show(f"build    the cache held an image for {document.get('Architecture')}: again without it")
        document, reader = _build_once(engine.api, replace(request, cache=False), show)
    built = BuildResult.of(document, platform, reader.steps, reader.warnings)
    with translated_errors(request.names[0]):
        name_also(engine.api, built.id, request.names)
    return built


def _build_once(
    api: docker.APIClient, request: BuildRequest, show: Callable[[str], None]
) -> tuple[Mapping[str, Any], _EventReader]:
    """Build without a name; what the engine says of the image."""
    untyped: Any = api
    with translated_errors(str(request.context)), bad_request_as(_refused_build):
        events = untyped.build(
            path=str(request.context),
            dockerfile=request.dockerfile,
            buildargs=dict(request.args),
            labels=dict(request.labels),
            target=request.target,
            platform=request.platform,
            network_mode=request.network,
            shmsize=request.shm_size,
            cache_from=[cache.reference for cache in request.cache_from],
            pull=request.pull,
            nocache=not request.cache,
            rm=True,
            forcerm=True,
            decode=True,
        )
        reader = _EventReader(show)
        reader.read(events)
        document: Mapping[str, Any] = untyped.inspect_image(reader.image)
    return document, reader


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
