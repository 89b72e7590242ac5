"""Builds by BuildKit, through docker's buildx."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import msgspec
from msgspec.structs import replace

from publisher.engine.build_progress import BuildProgress, LostSnapshot
from publisher.engine.child import started
from publisher.model.build_values import write_fields
from publisher.model.environment import find_program, home_folder
from publisher.model.value import Value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from publisher.engine.builder import BuildRequest, BuildStep

_PLUGIN: Final = "docker-buildx"
_SYSTEM: Final = tuple(
    Path(prefix, "docker/cli-plugins")
    for prefix in ("/usr/local/lib", "/usr/local/libexec", "/usr/lib", "/usr/libexec")
)
# What a plugin finds when docker has called it, which makes it take docker's words.
_CALLED_BY_DOCKER: Final = "DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND"
_EPOCH: Final = "SOURCE_DATE_EPOCH"
_OF_ENGINE: Final = "default"
# What buildx, its way to the engine and to other builders need; secrets and credentials are not among it.
_PASSED: Final = frozenset(
    {
        "PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "LANG", "LC_ALL", "TERM", "XDG_RUNTIME_DIR", "SSH_AUTH_SOCK",
        "DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "DOCKER_API_VERSION",
        "SSL_CERT_FILE", "SSL_CERT_DIR", "KUBECONFIG", _EPOCH,
        "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
    }
)  # fmt: skip
_PREFIXES: Final = ("BUILDX_", "BUILDKIT_")
# Caches outside registries are reached with what their own services put into the environment.
_OF_CACHE: Final = {
    "gha": ("ACTIONS_CACHE_URL", "ACTIONS_CACHE_SERVICE_V2", "ACTIONS_RESULTS_URL", "ACTIONS_RUNTIME_TOKEN"),
    "s3": ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_PROFILE"),
    "azblob": ("BUILDKIT_AZURE_STORAGE_ACCOUNT_URL", "BUILDKIT_AZURE_STORAGE_SECRET_ACCESS_KEY"),
}


class BuildOutput(Value, frozen=True, kw_only=True):
    """Where the image goes: into an OCI layout, or a tar archive of one; without a path into the engine.

    nameless: whether the engine gets it without a name. compression, level: of its layers; None leaves it to the
    builder.
    """

    path: Path | None = None
    nameless: bool = False
    archive: bool = False
    compression: str | None = None
    level: int = 1

    def attributes(self, *, reproducible: bool) -> str:
        """It as buildx takes it."""
        if self.nameless:
            # As a layout has them.
            return "type=image,oci-mediatypes=true"
        fields = ["type=docker"] if self.path is None else ["type=oci", f"dest={self.path}"]
        if self.path is not None and not self.archive:
            fields.append("tar=false")
        if self.compression:
            fields += [f"compression={self.compression}", f"compression-level={self.level}", "force-compression=true"]
        return write_fields(fields + (["rewrite-timestamp=true"] if reproducible else []))


class BuildxResult(Value, frozen=True):
    """What came of a build. digest: the root's, as far as the builder says it."""

    steps: tuple[BuildStep, ...]
    warnings: tuple[str, ...]
    digest: str


class Buildx(Value, frozen=True):
    """The program, and the words that come before `build`."""

    program: str
    words: tuple[str, ...] = ()

    @classmethod
    def find(cls, environ: Mapping[str, str]) -> Self | None:
        """Docker's plugin, where docker itself is there; else buildx as a program of its own."""
        if find_program("docker", environ):
            for folder in _plugin_folders(environ):
                if os.access(folder / _PLUGIN, os.X_OK):
                    return cls(str(folder / _PLUGIN), ("buildx",))
        alone = find_program(_PLUGIN, environ) or find_program("buildx", environ)
        return cls(alone) if alone else None

    def build(
        self, request: BuildRequest, output: BuildOutput, environ: Mapping[str, str], show: Callable[[str], None]
    ) -> BuildxResult:
        """Build; raises PublishError by what went wrong. environ: all that the builder sees."""
        child = {**environ, _CALLED_BY_DOCKER: "docker"} if self.words else environ
        progress = BuildProgress(show)
        try:
            digest = self._run(request, output, child, progress)
        except LostSnapshot:
            # An image of the same name lost it, and what both stand on was collected too early. Nothing is built anew.
            cached = replace(request, cache=True)
            digest = self._run(cached, output, child, BuildProgress(lambda _line: None))
        # Without a cache BuildKit calls cached what it made itself a moment ago.
        steps = progress.steps if request.cache else [replace(step, cached=False) for step in progress.steps]
        return BuildxResult(tuple(steps), tuple(progress.warnings), digest)

    def _run(
        self, request: BuildRequest, output: BuildOutput, environ: Mapping[str, str], progress: BuildProgress
    ) -> str:
        """Build once; the root's digest."""
        build = replace(request, names=()) if output.nameless else request
        with tempfile.TemporaryDirectory(prefix="publish-build-") as folder:
            metadata = Path(folder) / "metadata.json"
            how = ["--progress", "rawjson", "--metadata-file", str(metadata)]
            reproducible = _EPOCH in request.args
            words = [*how, "--output", output.attributes(reproducible=reproducible), *_options(build)]
            with started([self.program, *self.words, "build", *words, str(request.context)], environ) as process:
                assert process.stdout is not None  # noqa: S101 - a pipe was asked for
                progress.read(process.stdout)
            if process.returncode:
                raise progress.failure()
            return _digest(metadata)


def is_engine_builder(environ: Mapping[str, str]) -> bool:
    """Whether the engine itself builds where no builder is named: the user may have chosen another one for all."""
    if builder := environ.get("BUILDX_BUILDER"):
        return builder == _OF_ENGINE
    folder = environ.get("BUILDX_CONFIG") or Path(
        environ.get("DOCKER_CONFIG") or home_folder(environ) / ".docker", "buildx"
    )
    try:
        document = msgspec.json.decode(Path(folder, "current").read_bytes(), type=dict[str, Any])
    except FileNotFoundError:
        return True
    except (OSError, msgspec.MsgspecError):
        return False
    return document.get("Name") in {"", _OF_ENGINE}


def builder_environment(environ: Mapping[str, str], request: BuildRequest) -> dict[str, str]:
    """What of this run's variables the builder gets: how it is reached, and what the request's secrets name."""
    variables = {secret.variable for secret in request.secrets}
    variables |= {name for cache in (*request.cache_from, *request.cache_to) for name in _OF_CACHE.get(cache.type, ())}
    return {
        name: value
        for name, value in environ.items()
        if name in _PASSED or name in variables or name.startswith(_PREFIXES)
    }


def _plugin_folders(environ: Mapping[str, str]) -> Iterator[Path]:
    """Where docker looks for its plugins, in its order."""
    home = home_folder(environ)
    own = Path(environ.get("DOCKER_CONFIG") or home / ".docker")
    yield from _extra_folders(own / "config.json")
    yield own / "cli-plugins"
    yield from _SYSTEM


def _extra_folders(file: Path) -> Iterator[Path]:
    with suppress(OSError, msgspec.MsgspecError):
        found = msgspec.json.decode(file.read_bytes(), type=dict[str, Any]).get("cliPluginsExtraDirs")
        yield from map(Path, found if isinstance(found, list) else ())


def _options(request: BuildRequest) -> list[str]:
    """The request in buildx's words."""
    pairs: list[tuple[str, Iterable[object]]] = [
        ("--file", [request.context / request.dockerfile]),
        ("--tag", request.names),
        ("--platform", [",".join(request.platforms)] if request.platforms else []),
        ("--build-arg", [f"{key}={value}" for key, value in request.args.items()]),
        ("--label", [f"{key}={value}" for key, value in request.labels.items()]),
        ("--target", [request.target]),
        ("--secret", request.secrets),
        ("--ssh", request.ssh),
        ("--cache-from", request.cache_from),
        ("--cache-to", request.cache_to),
        ("--build-context", request.contexts),
        ("--provenance", [request.provenance]),
        ("--sbom", [request.sbom]),
        ("--builder", [request.builder]),
        ("--network", [request.network]),
        ("--shm-size", [request.shm_size]),
        ("--ulimit", request.ulimits),
    ]
    words = [word for option, values in pairs for value in values if value for word in (option, str(value))]
    return words + (["--pull"] if request.pull else []) + ([] if request.cache else ["--no-cache"])


def _digest(metadata: Path) -> str:
    with suppress(OSError, msgspec.MsgspecError):
        return str(msgspec.json.decode(metadata.read_bytes(), type=dict[str, Any]).get("containerimage.digest", ""))
    return ""
