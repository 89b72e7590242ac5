"""Builds for another platform than the engine's, by buildx or buildah: the engine's own builder can't."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from publisher.engine.builder import BuildResult, StepReader, name_also
from publisher.engine.dockerfile import read_dockerfile
from publisher.engine.errors import translated_errors
from publisher.model.environment import clean_environment
from publisher.model.errors import BuildFailed, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import docker

    from publisher.engine.builder import BuildRequest, BuildStep


def other_builder(environ: Mapping[str, str]) -> str | None:
    """`buildx` or `buildah`, where one is installed."""
    path = environ.get("PATH")
    if shutil.which("docker", path=path) and _runs(["docker", "buildx", "version"], environ):
        return "buildx"
    return "buildah" if shutil.which("buildah", path=path) else None


def _runs(words: list[str], environ: Mapping[str, str]) -> bool:
    result = subprocess.run(words, env=clean_environment(environ), capture_output=True, check=False)  # noqa: S603 - fixed words
    return result.returncode == 0


def need_builder(request: BuildRequest, platform: str, environ: Mapping[str, str]) -> str:
    """As `other_builder`; none is a UsageError that says what to do."""
    builder = other_builder(environ)
    if builder is None:
        raise UsageError(
            f"the engine's own builder makes images for {platform} only, and neither buildx nor buildah is here",
            reference=request.platform,
            hint="install docker's buildx plugin or buildah; a RUN for another machine needs qemu-user-static too",
        )
    return builder


def build_elsewhere(
    api: docker.APIClient, request: BuildRequest, builder: str, environ: Mapping[str, str], show: Callable[[str], None]
) -> BuildResult:
    """Build with `builder`, and leave the image in the engine under its names; raises BuildFailed."""
    untyped: Any = api
    if builder == "buildx":
        words = ["docker", "buildx", "build", "--load", "--progress", "plain", "--tag", request.names[0]]
        steps = _run([*words, *_common(request)], environ, show)
    else:
        steps = _through_archive(untyped, request, environ, show)
    with translated_errors(request.names[0]):
        document = untyped.inspect_image(request.names[0])
        name_also(untyped, document["Id"], request.names[1:])
    return BuildResult.of(request, document, steps)


def _through_archive(
    api: Any, request: BuildRequest, environ: Mapping[str, str], show: Callable[[str], None]
) -> tuple[BuildStep, ...]:
    """The images of buildah are in a store of its own: what it made is loaded into the engine."""
    name = request.names[0]
    epoch = environ.get("SOURCE_DATE_EPOCH")
    # With a time for everything it uses no cache.
    cache_options = ["--timestamp", epoch] if epoch else ["--layers"]
    kind = "oci" if epoch and not _needs_docker(request) else "docker"
    words = ["buildah", "build", "--format", kind, "--tag", name, *cache_options, *_common(request)]
    steps = _run(words, environ, show)
    with tempfile.TemporaryDirectory(prefix="publish-build-") as folder:
        archive = Path(folder) / "image.tar"
        # Nobody is asked for a login, and a configuration that isn't there would be an error.
        without_login = {key: value for key, value in environ.items() if key != "DOCKER_CONFIG"}
        _run(["buildah", "push", "--quiet", name, f"docker-archive:{archive}:{name}"], without_login, show)
        with archive.open("rb") as file, translated_errors(name):
            for event in api.load_image(file):
                if error := event.get("error"):
                    raise BuildFailed(f"the engine can't load what buildah made: {error}")
    return steps


def _needs_docker(request: BuildRequest) -> bool:
    """Whether only docker's form of a config holds it all; into that one buildah writes a new host name each time."""
    text = (request.context / request.dockerfile).read_text(errors="replace")
    return any(instruction.word in {"HEALTHCHECK", "SHELL", "ONBUILD"} for instruction in read_dockerfile(text))


def _common(request: BuildRequest) -> list[str]:
    """The options that both take in the same words."""
    words = ["--platform", request.platform or "", "--file", str(request.context / request.dockerfile)]
    for key, value in request.args.items():
        words += ["--build-arg", f"{key}={value}"]
    for key, value in request.labels.items():
        words += ["--label", f"{key}={value}"]
    words += ["--target", request.target] if request.target else []
    words += ["--pull"] if request.pull else []
    words += [] if request.cache else ["--no-cache"]
    return [*words, str(request.context)]


def _run(words: list[str], environ: Mapping[str, str], show: Callable[[str], None]) -> tuple[BuildStep, ...]:
    with _open_process(words, environ) as process:
        assert process.stdout is not None  # noqa: S101 - a pipe was asked for
        reader = StepReader(show)
        for line in process.stdout:
            if not reader.read(line):
                reader.keep(line)
        reader.close()
    if process.returncode:
        reader.show_output()
        last = reader.output[-1] if reader.output else f"exit code {process.returncode}"
        raise BuildFailed(f"{words[0] if words[0] != 'docker' else 'buildx'} failed: {last}")
    return tuple(reader.steps)


@contextmanager
def _open_process(words: list[str], environ: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A process whose output is read; an interrupt ends it."""
    clean = clean_environment(environ)
    process = subprocess.Popen(  # noqa: S603 - an argument list of our own, no shell
        words, env=clean, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        errors="replace",
    )  # fmt: skip
    try:
        with process:
            yield process
    except BaseException:
        process.terminate()
        process.wait()
        raise
