"""What must hold of `[build]`: buildx's spelling, and that nothing outside the source repository is read or written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from publisher.facts.config_errors import InvalidSetting, Key, show
from publisher.facts.git import read_root
from publisher.model.build_values import BuildCache, BuildContext, BuildSecret
from publisher.model.errors import BadReference
from publisher.model.manifest import Platform

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from publisher.model.settings import BuildSettings, Settings

_NETWORKS: Final = ("default", "none", "host")
_Read = TypeVar("_Read")


def check_build(at: Key, build: BuildSettings) -> None:
    """Check the values that stand in buildx's spelling; raises InvalidSetting."""
    for number, text in enumerate(build.platforms):
        _read((*at, "platforms", f"[{number}]"), text, Platform.parse)
    for number, text in enumerate((build.ssh,) if isinstance(build.ssh, str) else build.ssh):
        if text != "default":
            key = (*at, "ssh") if isinstance(build.ssh, str) else (*at, "ssh", f"[{number}]")
            raise InvalidSetting(key, show(text), "only 'default', the agent of this run: --ssh names others")
    if build.network is not None and build.network not in _NETWORKS:
        raise InvalidSetting((*at, "network"), show(build.network), " or ".join(map(show, _NETWORKS)))
    for _ in _paths(at, build):
        pass


def check_build_paths(settings: Settings, folder: Path, environ: Mapping[str, str]) -> None:
    """Check that all paths of `[build]` lie inside the source repository, links followed; raises InvalidSetting.

    What stands in a file that came with the sources must not send this machine's other files into an image.
    """
    builds = tuple(_builds(settings))
    root = source_root(folder, environ).resolve() if builds else folder
    for at, build in builds:
        for key, path in _paths(at, build):
            if not (folder / path).resolve().is_relative_to(root):
                raise InvalidSetting(key, show(path), f"a path inside {root}, links followed")


def source_root(folder: Path, environ: Mapping[str, str]) -> Path:
    """The repository that holds the configuration, as git gives it; without one the working directory around it."""
    here = Path.cwd()
    return read_root(folder, environ) or (here if folder.resolve().is_relative_to(here) else folder)


def _builds(settings: Settings) -> Iterator[tuple[Key, BuildSettings]]:
    if settings.build:
        yield ("build",), settings.build
    if isinstance(settings.images, dict):
        for name, image in settings.images.items():
            if image.build:
                yield ("images", name, "build"), image.build


def _paths(at: Key, build: BuildSettings) -> Iterator[tuple[Key, str]]:
    """Every path with its key."""
    yield (*at, "context"), build.context
    yield (*at, "dockerfile"), str(Path(build.context) / build.dockerfile)
    for number, text in enumerate(build.secrets):
        key = (*at, "secrets", f"[{number}]")
        secret = _read(key, text, BuildSecret.parse)
        if not secret.variable:
            yield key, secret.file or secret.id
    for name, texts in (("cache-from", build.cache_from), ("cache-to", build.cache_to)):
        for number, text in enumerate(texts):
            key = (*at, name, f"[{number}]")
            for path in _read(key, text, BuildCache.parse).paths:
                yield key, path
    for key, text in _contexts(at, build):
        if path := _read(key, text, BuildContext.parse).path:
            yield key, path


def _contexts(at: Key, build: BuildSettings) -> Iterator[tuple[Key, str]]:
    for number, text in enumerate(build.context_values):
        named = text.partition("=")[0] if isinstance(build.contexts, dict) else f"[{number}]"
        yield (*at, "contexts", named), text


def _read(at: Key, text: str, parse: Callable[[str], _Read]) -> _Read:
    try:
        return parse(text)
    except (ValueError, BadReference) as error:
        raise InvalidSetting(at, show(text), f"what 'docker buildx build' takes: {error}") from error
