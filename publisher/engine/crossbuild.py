"""Builds for another platform than the engine's, by buildx or buildah: the engine's own builder can't."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from publisher.engine.builder import BuildStep, Built, name_also
from publisher.engine.dockerfile import read_dockerfile
from publisher.engine.errors import spoken
from publisher.model.environment import clean_environment
from publisher.model.errors import BuildFailed, UsageError
from publisher.model.printable import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    import docker

    from publisher.engine.builder import BuildRequest

# "STEP 2/3: COPY …" is buildah's, "#6 [stage 2/3] COPY …" buildx's.
_STEP: Final = re.compile(r"(?:(?:\[\d+/\d+\] )?STEP (\d+)/(\d+): |#\d+ \[(?:[^\]]* )?(\d+)/(\d+)\] )(.+)")
_CACHED: Final = re.compile(r"--> Using cache |#\d+ CACHED")
_SHOWN: Final = 20


def other_builder(environ: Mapping[str, str]) -> str | None:
    """`buildx` or `buildah`, where one is installed."""
    path = environ.get("PATH")
    if shutil.which("docker", path=path) and _runs(["docker", "buildx", "version"], environ):
        return "buildx"
    return "buildah" if shutil.which("buildah", path=path) else None


def _runs(words: list[str], environ: Mapping[str, str]) -> bool:
    done = subprocess.run(words, env=clean_environment(environ), capture_output=True, check=False)  # noqa: S603 - fixed words
    return done.returncode == 0


def need_builder(request: BuildRequest, own: str, environ: Mapping[str, str]) -> str:
    """As `other_builder`; none is a UsageError that says what to do."""
    found = other_builder(environ)
    if found is None:
        raise UsageError(
            f"the engine's own builder makes images for {own} only, and neither buildx nor buildah is here",
            reference=request.platform,
            hint="install docker's buildx plugin or buildah; a RUN for another machine needs qemu-user-static too",
        )
    return found


def build_elsewhere(
    api: docker.APIClient, request: BuildRequest, builder: str, environ: Mapping[str, str], tell: Callable[[str], None]
) -> Built:
    """Build with `builder`, and leave the image in the engine under its names; raises BuildFailed."""
    untyped: Any = api
    if builder == "buildx":
        words = ["docker", "buildx", "build", "--load", "--progress", "plain", "--tag", request.names[0]]
        steps = _run([*words, *_common(request)], environ, tell)
    else:
        steps = _through_archive(untyped, request, environ, tell)
    with spoken(request.names[0]):
        found = untyped.inspect_image(request.names[0])
        name_also(untyped, found["Id"], request.names[1:])
    return Built.of(request, found, steps)


def _through_archive(
    api: Any, request: BuildRequest, environ: Mapping[str, str], tell: Callable[[str], None]
) -> tuple[BuildStep, ...]:
    """The images of buildah are in a store of its own: what it made is loaded into the engine."""
    name = request.names[0]
    epoch = environ.get("SOURCE_DATE_EPOCH")
    # With a time for everything it uses no cache.
    how = ["--timestamp", epoch] if epoch else ["--layers"]
    kind = "oci" if epoch and not _needs_docker(request) else "docker"
    words = ["buildah", "build", "--format", kind, "--tag", name, *how, *_common(request)]
    steps = _run(words, environ, tell)
    with tempfile.TemporaryDirectory(prefix="publish-build-") as folder:
        archive = Path(folder) / "image.tar"
        # Nobody is asked for a login, and a configuration that isn't there would be an error.
        alone = {key: value for key, value in environ.items() if key != "DOCKER_CONFIG"}
        _run(["buildah", "push", "--quiet", name, f"docker-archive:{archive}:{name}"], alone, tell)
        with archive.open("rb") as file, spoken(name):
            for event in api.load_image(file):
                if error := event.get("error"):
                    raise BuildFailed(f"the engine can't load what buildah made: {error}")
    return steps


def _needs_docker(request: BuildRequest) -> bool:
    """Whether only docker's form of a config holds it all; into that one buildah writes a new host name each time."""
    text = (request.context / request.dockerfile).read_text(errors="replace")
    return any(one.word in {"HEALTHCHECK", "SHELL", "ONBUILD"} for one in read_dockerfile(text))


def _common(request: BuildRequest) -> list[str]:
    """What both are told in the same words."""
    words = ["--platform", request.platform or "", "--file", str(request.context / request.dockerfile)]
    for key, value in request.args.items():
        words += ["--build-arg", f"{key}={value}"]
    for key, value in request.labels.items():
        words += ["--label", f"{key}={value}"]
    words += ["--target", request.target] if request.target else []
    words += ["--pull"] if request.pull else []
    words += [] if request.cache else ["--no-cache"]
    return [*words, str(request.context)]


def _run(words: list[str], environ: Mapping[str, str], tell: Callable[[str], None]) -> tuple[BuildStep, ...]:
    with _started(words, environ) as process:
        assert process.stdout is not None  # noqa: S101 - a pipe was asked for
        reader = _Reader(tell)
        reader.read(process.stdout)
    if process.returncode:
        for line in reader.said[-_SHOWN:]:
            tell(f"  {line}")
        last = reader.said[-1] if reader.said else f"exit code {process.returncode}"
        raise BuildFailed(f"{words[0] if words[0] != 'docker' else 'buildx'} failed: {last}")
    return tuple(reader.steps)


@contextmanager
def _started(words: list[str], environ: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A process whose output is read; an interrupt ends it."""
    given = clean_environment(environ)
    process = subprocess.Popen(  # noqa: S603 - an argument list of our own, no shell
        words, env=given, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        errors="replace",
    )  # fmt: skip
    try:
        with process:
            yield process
    except BaseException:
        process.terminate()
        process.wait()
        raise


class _Reader:
    """Puts lines together into steps."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._began = time.monotonic()
        self._open: tuple[int, int, str] | None = None
        self._cached = False
        self.steps: list[BuildStep] = []
        self.said: list[str] = []

    def read(self, lines: Iterable[str]) -> None:
        for line in lines:
            if found := _STEP.match(line):
                self._close()
                number, total = found[1] or found[3], found[2] or found[4]
                self._open = (int(number), int(total), found[5].strip())
            elif _CACHED.match(line):
                self._cached = True
            elif line.strip():
                self.said.append(printable(line.rstrip()))
        self._close()

    def _close(self) -> None:
        if self._open:
            number, total, instruction = self._open
            seconds = round(time.monotonic() - self._began, 2)
            self.steps.append(BuildStep(number=number, instruction=instruction, cached=self._cached, seconds=seconds))
            self._tell(self.steps[-1].told(total))
        self._open, self._cached, self._began = None, False, time.monotonic()
