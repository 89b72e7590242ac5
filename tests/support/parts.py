"""Today's parts, which scripts/parts sets up: docker, podman and the tools that work with registries."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

AS_ROOT = () if os.geteuid() == 0 else ("sudo", "-n")
SYSTEM = Path("/")
# As scripts/environment has it; tests change neither.
_CACHE = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
PARTS = Path(os.environ.get("PUBLISH_TEST_PARTS") or Path(_CACHE) / "publish-tests")

# Each engine's name and the fixture that starts it, today's first.
ENGINES = {"containerd": "containerd_engine", "classic": "classic_engine"}
PODMANS = {"podman": "todays_podman", "old-podman": "old_podman"}

# For tests of what only the classic store does: layers without digests of their own, images that lost their name.
CLASSIC = pytest.mark.parametrize("engine", ["classic"], indirect=True)


@dataclass(frozen=True)
class InstalledPart:
    """A program; `root` is the folder that is its /: the system's own, or that of Debian trixie."""

    name: str
    version: str
    root: Path


@cache
def find_part(name: str) -> InstalledPart:
    """Where it is."""
    for line in _versions().splitlines():
        found, version, root = line.split()
        if found == name:
            return InstalledPart(name, version, Path(root))
    raise AssertionError(f"scripts/parts knows no {name}")


def find_tool(name: str) -> str:
    """The path of a tool: docker, skopeo, cosign, cosign-3, oras, docker-registry."""
    find_part(name)
    return str(PARTS / "bin" / name)


def enter(root: Path, *command: str) -> list[str]:
    """The words that run a daemon as root with `root` as its /; /tmp is the machine's at the same path."""
    _versions()
    return [*AS_ROOT, str(PARTS / "enter"), str(root), *command]


def add_buildx(config: Path) -> None:
    """Give docker's CLI its plugin in that configuration's folder, as an installed one would be there."""
    plugins = config / "cli-plugins"
    plugins.mkdir(parents=True, exist_ok=True)
    if find_part("docker-buildx").root != SYSTEM:
        (plugins / "docker-buildx").symlink_to(PARTS / "plugins" / "docker-buildx")


def versions() -> str:
    """All parts, in one line."""
    return ", ".join(" ".join(line.split()[:2]) for line in _versions().splitlines())


def _versions() -> str:
    try:
        return (PARTS / "versions").read_text()
    except FileNotFoundError:
        raise AssertionError(f"{PARTS} holds no parts for the tests yet: scripts/parts sets them up") from None
