"""Builds for another platform, by buildah, and by buildx."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.support.builds import record_buildx
from tests.support.engine import BUSYBOX

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.command import Publish, Result
    from tests.support.engine import EngineProcess

DOCKERFILE = "FROM scratch AS first\nARG WHO\nWORKDIR /app\nCOPY page .\nENV WHO=$WHO\nFROM scratch\nENV LAST=1\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A Dockerfile that runs nothing, so that it can be built for any machine."""
    (tmp_path / "page").write_text("one")
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    (tmp_path / "publish.toml").write_text('images = ["me/app"]\n[build]\ntarget = "first"\nargs = { WHO = "me" }\n')
    return tmp_path


@pytest.fixture
def without_docker(tmp_path: Path) -> str:
    """A PATH that leads to git and buildah alone: where docker's CLI has buildx, that comes first."""
    return _path(tmp_path / "with-buildah", "git", "buildah")


def _path(folder: Path, *commands: str) -> str:
    folder.mkdir()
    for command in commands:
        (folder / command).symlink_to(str(shutil.which(command)))
    return str(folder)


@pytest.fixture
def build(publish_with_engine: Publish, project: Path, name: str) -> object:
    """Builds with buildah's store in the test's folder."""
    storage = project / "storage.conf"
    storage.write_text(f'[storage]\ndriver = "vfs"\nrunroot = "{project}/run"\ngraphroot = "{project}/graph"\n')

    def run(*words: str, **environ: str) -> Result:
        given = {"CONTAINERS_STORAGE_CONF": str(storage), "BUILDAH_ISOLATION": "chroot", **environ}
        told = ["build", "-t", f"{name}:x", "--version", "1.0.0", "--format", "json", *words]
        return publish_with_engine(*told, cwd=project, environ=given)

    return run


def seen(engine: EngineProcess, image: str) -> tuple[str, str, object]:
    """Its machine, environment and labels."""
    found = json.loads(engine.docker("image", "inspect", image))[0]
    return found["Architecture"], str(found["Config"]["Env"]), found["Config"]["Labels"]


def test_buildah(build: object, without_docker: str, engine: EngineProcess, name: str) -> None:
    """What the engine isn't is made by buildah, with the same arguments, stage, labels and names."""
    words = ("--platform", "linux/arm64", "-t", f"{name}:y")
    first = build(*words, PATH=without_docker)  # type: ignore[operator] # a function
    assert first.code == 0, first.stderr
    assert "for linux/arm64 by buildah" in first.stderr
    for tag in ("x", "y"):
        machine, environ, labels = seen(engine, f"{name}:{tag}")
        assert (machine, "WHO=me" in environ, "LAST" in environ) == ("arm64", True, False)
        assert labels["org.opencontainers.image.version"] == "1.0.0"  # type: ignore[index] # JSON
    again = build(*words, PATH=without_docker).document  # type: ignore[operator] # a function
    assert [step["cached"] for step in again["steps"] if "COPY" in step["instruction"]] == [True]


def test_the_same_bytes_again(build: object, without_docker: str, project: Path) -> None:
    """With SOURCE_DATE_EPOCH and --platform two builds without a cache give one id, even for the engine's platform."""
    ids = set()
    for number in range(2):
        (project / "page").write_text("one")
        os.utime(project / "page", (number, number))
        words = ("--platform", "linux/amd64", "--no-cache")
        result = build(*words, PATH=without_docker, SOURCE_DATE_EPOCH="1000000000")  # type: ignore[operator] # a function
        assert result.code == 0, result.stderr
        assert "time of the build" not in result.stderr
        ids.add(result.document["id"])
    assert len(ids) == 1


def test_buildx_comes_first(
    build: object, engine: EngineProcess, publish_with_engine: Publish, name: str, tmp_path: Path
) -> None:
    """Where docker has its plugin it is told everything, and its steps are read."""
    recorded = record_buildx(publish_with_engine.home, tmp_path / "recorded")
    result = build("--platform", "linux/arm64", "--label", "a=b")  # type: ignore[operator] # a function
    assert result.code == 0, result.stderr
    words = (recorded / "words").read_text().replace("\n", " ")
    for part in ("buildx build", "--platform linux/arm64", "--build-arg WHO=me", "--label a=b", "--target first"):
        assert part in words
    steps = [step["instruction"] for step in result.document["steps"]]
    assert steps == ["WORKDIR /app", "COPY page ."]
    assert seen(engine, f"{name}:x")[0] == "arm64"


def test_no_builder(build: object, publish_with_engine: Publish, tmp_path: Path) -> None:
    """The engine's own builder would give its own platform under that name: it is refused, with what to install."""
    bare = {"PATH": _path(tmp_path / "bare", "git")}
    result = build("--platform", "linux/arm64", **bare)  # type: ignore[operator] # a function
    assert result.code == 2
    assert "makes images for linux/amd64 only, and neither buildx nor buildah is here" in result.stderr
    own = build("--platform", "linux/amd64", **bare)  # type: ignore[operator] # a function
    assert own.code == 0, own.stderr
    assert build("--platform", "amd64").code == 2  # type: ignore[operator] # a function


def test_a_failing_build(build: object, without_docker: str, project: Path) -> None:
    """What buildah says last is told."""
    (project / "page").unlink()
    result = build("--platform", "linux/arm64", PATH=without_docker)  # type: ignore[operator] # a function
    assert (result.code, "Buildah failed: " in result.stderr) == (1, True), result.stderr


def test_podman_builds_for_others(podman: EngineProcess, publish: Publish, project: Path, name: str) -> None:
    """Behind podman's socket is buildah: it is asked as any engine is."""
    shutil.copy(BUSYBOX, project)
    words = ("build", "-t", f"{name}:x", "--version", "1.0.0", "--platform", "linux/arm64")
    result = publish(*words, cwd=project, environ={"DOCKER_HOST": podman.host})
    assert result.code == 0, result.stderr
    assert podman.docker("image", "inspect", "-f", "{{.Architecture}}", f"{name}:x") == "arm64"
