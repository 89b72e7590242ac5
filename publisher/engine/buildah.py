"""Builds by buildah, for another platform than the engine's own builder makes, where buildx is missing."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from publisher.engine.builder import BuildResult, StepReader, name_also
from publisher.engine.child import started
from publisher.engine.dockerfile import read_dockerfile
from publisher.engine.errors import translated_errors
from publisher.model.environment import clean_environment, find_program
from publisher.model.errors import BuildFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from publisher.engine.builder import BuildRequest, BuildStep
    from publisher.engine.connection import Engine


def find_buildah(environ: Mapping[str, str]) -> bool:
    """Whether it is installed."""
    return find_program("buildah", environ) is not None


def build_by_buildah(
    engine: Engine, request: BuildRequest, environ: Mapping[str, str], show: Callable[[str], None]
) -> BuildResult:
    """Build, and leave the image in the engine under its names; raises BuildFailed."""
    untyped: Any = engine.api
    steps = _through_archive(untyped, request, environ, show)
    with translated_errors(request.names[0]):
        document = untyped.inspect_image(request.names[0])
        name_also(untyped, document["Id"], request.names[1:])
    return BuildResult.of(document, request.platform, steps)


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
    instructions = read_dockerfile(request.text)
    return any(instruction.word in {"HEALTHCHECK", "SHELL", "ONBUILD"} for instruction in instructions)


def _common(request: BuildRequest) -> list[str]:
    """The options that are spelled as docker spells them."""
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
    with started(words, clean_environment(environ)) as process:
        assert process.stdout is not None  # noqa: S101 - a pipe was asked for
        reader = StepReader(show)
        for line in process.stdout:
            if not reader.read(line):
                reader.keep(line)
        reader.close()
    if process.returncode:
        reader.show_output()
        last = reader.output[-1] if reader.output else f"exit code {process.returncode}"
        raise BuildFailed(f"buildah failed: {last}")
    return tuple(reader.steps)
