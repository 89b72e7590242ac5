"""Who builds: BuildKit where buildx is found, else the engine's own builder, for another platform buildah."""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec.structs import replace

from publisher.credentials.build_config import build_config
from publisher.engine.buildah import build_by_buildah, find_buildah
from publisher.engine.builder import BuildResult, build, name_also
from publisher.engine.buildkit import buildkit_features, named_images, unused_arguments
from publisher.engine.buildx import BuildOutput, Buildx, builder_environment, is_engine_builder
from publisher.engine.dockerfile import read_dockerfile
from publisher.engine.errors import translated_errors
from publisher.model.errors import BuildFailed, UsageError
from publisher.model.manifest import Manifest, Platform
from publisher.workflows.build_request import EPOCH, named_references

if TYPE_CHECKING:
    from collections.abc import Iterator

    from publisher.engine.builder import BuildRequest
    from publisher.engine.buildx import BuildxResult
    from publisher.engine.connection import Engine
    from publisher.model.credential import Credential
    from publisher.workflows.session import Session

INSTALL: Final = "install docker's buildx plugin (docker-buildx), by which BuildKit builds"
_SCANNER: Final = "docker/buildkit-syft-scanner"
_GENERATOR: Final = re.compile(r"(?:^|,)generator=([^,]+)")
_ONLY_BUILDKIT: Final = (
    "secrets", "ssh", "cache_to", "contexts", "provenance", "sbom", "builder", "ulimits",
)  # fmt: skip


def find_buildx(session: Session, request: BuildRequest) -> Buildx | None:
    """The buildx to build by; podman builds by itself, unless a builder is named."""
    engine = session.engine_at_hand
    if engine and engine.is_podman and not request.builder:
        return None
    return Buildx.find(session.environ)


def gives_blobs(session: Session, request: BuildRequest) -> bool:
    """Whether the engine's BuildKit leaves in the engine what it would write into a layout, to the byte.

    The engine then sends the blobs as it holds them, which is quicker than a layout of them. Times are rewritten in
    layouts alone, and what attestations are about has a name there.
    """
    if request.builder or request.sbom not in {None, "false"} or request.provenance not in {None, "false"}:
        return False
    # A layout of several platforms has attestations by default.
    is_attested = len(request.platforms) > 1 and request.provenance is None
    if is_attested or EPOCH in request.args or not is_engine_builder(session.environ):
        return False
    engine = session.engine_at_hand
    return engine is not None and engine.has_containerd_store and engine.loopback_is_ours


def run_build(session: Session, request: BuildRequest, output: BuildOutput) -> BuildResult:
    """Build into `output`; raises UsageError for what the builder that is here can't do, BuildFailed."""
    if buildx := find_buildx(session, request):
        return _by_buildx(session, buildx, request, output)
    if output.path is not None:
        raise UsageError("only BuildKit builds into an OCI layout, and there is no buildx here", hint=INSTALL)
    engine = session.engine
    _refuse_options(request, engine)
    if engine.is_podman:
        return _by_podman(session, engine, request)
    if request.platform and Platform.parse(request.platform) != engine.platform:
        return _by_buildah(session, engine, request)
    if request.platform and EPOCH in request.args and find_buildah(session.environ):
        return _by_buildah(session, engine, request)
    _refuse_features(request)
    return build(engine, request, session.progress.step)


# BuildKit.


def _by_buildx(session: Session, buildx: Buildx, request: BuildRequest, output: BuildOutput) -> BuildResult:
    if output.path is None and EPOCH in request.args and session.engine.has_containerd_store:
        return _by_archive(session, buildx, request)
    environ = builder_environment(session.environ, request)
    with build_config(session.environ, _credentials(session, request)) as variables, _whole(output) as target:
        result = buildx.build(request, target, {**environ, **variables}, session.progress.step)
    if unused := unused_arguments(request.text, request.args):
        # In the words of the engine's own builder: BuildKit doesn't say it.
        session.progress.warn(f"one or more build-args [{' '.join(unused)}] were not consumed")
    if output.path is not None:
        return _of_layout(request, output, result)
    untyped: Any = session.engine.api
    name = result.digest if output.nameless else request.names[0]
    with translated_errors(name):
        document = untyped.inspect_image(name)
    return BuildResult.of(document, request.platform, result.steps, result.warnings)


def _by_archive(session: Session, buildx: Buildx, request: BuildRequest) -> BuildResult:
    """Into the engine by way of an archive: straight into its containerd store BuildKit can't rewrite times."""
    archive = session.temporary_folder() / "image.tar"
    built = _by_buildx(session, buildx, request, BuildOutput(path=archive, archive=True))
    untyped: Any = session.engine.api
    with archive.open("rb") as file, translated_errors(request.names[0]):
        for event in untyped.load_image(file):
            if error := event.get("error"):
                raise BuildFailed(f"the engine can't load what BuildKit made: {error}")
        name_also(untyped, built.id, request.names)
    archive.unlink()
    return built


@contextmanager
def _whole(output: BuildOutput) -> Iterator[BuildOutput]:
    """An archive appears when it is whole."""
    if output.path is None or not output.archive:
        yield output
        return
    beside = output.path.with_name(f".{output.path.name}.{os.getpid()}")
    try:
        yield replace(output, path=beside)
        beside.replace(output.path)
    finally:
        beside.unlink(missing_ok=True)


def _credentials(session: Session, request: BuildRequest) -> dict[str, Credential]:
    """Who the builder is at the registries of what it pulls, and of caches; raises BrokenCredential.

    In a sandbox nobody's: there a run reads no credentials.
    """
    found: dict[str, Credential] = {}
    if session.sandbox:
        return found
    for reference in named_references(_images(request)):
        host = reference.repository.registry
        credential = None if host in found else session.credentials.find(host, reference.repository.name)
        if credential:
            session.learn(credential.secret)
            found[host] = credential
    return found


def _images(request: BuildRequest) -> Iterator[str]:
    yield from named_images(request.text, request.args)
    yield from (cache.reference for cache in (*request.cache_from, *request.cache_to) if cache.reference)
    yield from (context.image for context in request.contexts if context.image)
    if request.sbom not in {None, "false"}:
        own = _GENERATOR.search(str(request.sbom))
        yield own[1] if own else _SCANNER


def _of_layout(request: BuildRequest, output: BuildOutput, result: BuildxResult) -> BuildResult:
    """The image's own folder and ports are in its config."""
    from publisher.archives.oci_layout import open_oci_archive, open_oci_layout

    assert output.path is not None  # noqa: S101 - the caller asked
    opened = open_oci_archive if output.archive else open_oci_layout
    # A layout that was there already may hold other images.
    stored = opened(output.path, result.digest)
    root = stored.root()
    manifest = root if isinstance(root, Manifest) else stored.manifest(root.images[0])
    assert isinstance(manifest, Manifest)  # noqa: S101 - an index lists manifests
    with stored.open_blob(manifest.config) as file:
        config = msgspec.json.decode(file.read(), type=dict[str, Any])
    # In the engine's words, whose description of an image has the same fields.
    described = {"Id": str(root.digest), "Os": config.get("os"), "Architecture": config.get("architecture")}
    return BuildResult.of(
        {**described, "Config": config.get("config")}, request.platform, result.steps, result.warnings
    )


# Other builders.


def _refuse_options(request: BuildRequest, engine: Engine) -> None:
    """What only buildx can be asked for."""
    named = [name.replace("_", "-") for name in _ONLY_BUILDKIT if getattr(request, name)]
    if any(cache.type != "registry" for cache in request.cache_from):
        named.append("cache-from")
    if len(request.platforms) > 1:
        named.append(f"several platforms ({', '.join(request.platforms)})")
    if named:
        who = "podman's API" if engine.is_podman else "the engine's own builder"
        hint = "build with Docker and its buildx plugin" if engine.is_podman else INSTALL
        raise UsageError(f"{who} can't do what [build] or the options ask for: {', '.join(named)}", hint=hint)


def _refuse_features(request: BuildRequest) -> None:
    """What the classic builder would refuse late, or, worse, leave out in silence."""
    features = list(buildkit_features(request.text, request.args))
    if (request.context / f"{request.dockerfile}.dockerignore").is_file():
        features.append(f"{request.dockerfile}.dockerignore")
    if features:
        raise UsageError(
            f"{request.dockerfile} needs BuildKit, and there is no buildx here: {'; '.join(features[:5])}",
            reference=request.context / request.dockerfile,
            hint=INSTALL,
        )


def _by_podman(session: Session, engine: Engine, request: BuildRequest) -> BuildResult:
    built = build(engine, request, session.progress.step)
    asks = any(one.word == "HEALTHCHECK" and one.rest.upper() != "NONE" for one in read_dockerfile(request.text))
    if asks and request.target is None and not engine.podman_healthcheck(built.id):
        session.progress.warn("podman left the HEALTHCHECK out of the image: it keeps none in images of OCI's format")
    return built


def _by_buildah(session: Session, engine: Engine, request: BuildRequest) -> BuildResult:
    if not find_buildah(session.environ):
        raise UsageError(
            f"the engine's own builder makes images for {engine.platform} only, and neither buildx nor buildah is here",
            reference=request.platform,
            hint="install docker's buildx plugin or buildah; a RUN for another machine needs qemu-user-static too",
        )
    session.progress.step(f"build    for {request.platform} by buildah")
    return build_by_buildah(engine, request, session.environ, session.progress.step)
