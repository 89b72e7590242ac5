"""`publish build` where there is no buildx: by the engine's own builder, and by podman's."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.support.builds import BUILDS
from tests.support.engine import BUSYBOX
from tests.support.parts import CLASSIC, add_buildx

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.command import Publish
    from tests.support.engine import EngineProcess
    from tests.support.registry import RegistryProcess

TODAYS_PODMAN = pytest.mark.parametrize("podman", ["podman"], indirect=True)
SHELL = 'FROM scratch\nCOPY busybox /bin/busybox\nSHELL ["/bin/busybox", "sh", "-c"]\n'


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """What is built; its Dockerfile is written by each test."""
    folder = tmp_path / "project"
    folder.mkdir()
    shutil.copy(BUSYBOX, folder / "busybox")
    (folder / "page").write_text("one")
    (folder / "Dockerfile").write_text(f"{SHELL}COPY page /page\n")
    return folder


@pytest.fixture
def alone(tmp_path: Path) -> str:
    """A PATH without docker: where its CLI has buildx, that comes first."""
    folder = tmp_path / "alone"
    folder.mkdir()
    (folder / "git").symlink_to(str(shutil.which("git")))
    return str(folder)


@CLASSIC
@pytest.mark.parametrize("instructions", [text for text, _ in BUILDS.values()], ids=list(BUILDS))
def test_what_needs_buildkit_is_refused(
    instructions: str, project: Path, publish_with_engine: Publish, alone: str, name: str
) -> None:
    """Before anything is sent, with what to install: nothing is left out in silence."""
    (project / "Dockerfile").write_text(f"{SHELL}{instructions}\n")
    result = publish_with_engine("build", "-t", f"{name}:x", cwd=project, environ={"PATH": alone})
    assert (result.code, "install docker's buildx plugin" in result.stderr.lower()) == (2, True), result.stderr
    assert "line " in result.stderr
    assert "build    1/" not in result.stderr


@CLASSIC
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--secret", "id=x,env=HOME"), "secrets"),
        (("--cache-to", "type=local,dest=out"), "cache-to"),
        (("--cache-from", "type=local,src=out"), "cache-from"),
        (("--provenance", "true"), "provenance"),
        (("--platform", "linux/amd64,linux/arm64"), "several platforms"),
        (("--builder", "x"), "builder"),
        (("-o", "oci:out"), "only BuildKit"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_options_of_buildkit_are_refused(
    words: tuple[str, ...], said: str, project: Path, publish_with_engine: Publish, alone: str
) -> None:
    """They would have no effect."""
    result = publish_with_engine("build", *words, cwd=project, environ={"PATH": alone})
    assert (result.code, said.lower() in result.stderr.lower()) == (2, True), result.stderr


@CLASSIC
def test_a_dockerfile_with_an_ignore_file_of_its_own(project: Path, publish_with_engine: Publish, alone: str) -> None:
    """The classic builder would send what it leaves out."""
    (project / "Dockerfile.dockerignore").write_text("token\n")
    result = publish_with_engine("build", cwd=project, environ={"PATH": alone})
    assert (result.code, "Dockerfile.dockerignore" in result.stderr) == (2, True), result.stderr


@CLASSIC
def test_a_failing_build_is_told(project: Path, publish_with_engine: Publish, alone: str) -> None:
    """Exit 1 with the step and its last lines."""
    (project / "Dockerfile").write_text(f"{SHELL}RUN echo last words; exit 3\n")
    result = publish_with_engine("build", cwd=project, environ={"PATH": alone})
    assert (result.code, "  last words" in result.stderr) == (1, True), result.stderr
    assert "at step 4 (RUN echo last words; exit 3)" in result.stderr


@CLASSIC
def test_buildkit_in_the_classic_store(
    project: Path, engine: EngineProcess, publish_with_engine: Publish, registry: RegistryProcess, name: str
) -> None:
    """With buildx an older engine builds today's Dockerfiles too; what its store can't hold is said."""
    add_buildx(publish_with_engine.home / "docker")
    (project / "Dockerfile").write_text(f"{SHELL}RUN --mount=type=tmpfs,target=/made echo hi > /out\n")
    words = ("--image", f"{registry.host}/{name}", "--version", "1.0.0")
    built = publish_with_engine("build", "-t", f"{name}:x", *words, cwd=project)
    assert built.code == 0, built.stderr
    assert engine.docker("run", "--rm", f"{name}:x", "/bin/busybox", "cat", "/out") == "hi"
    released = publish_with_engine("release", "--build", *words, "--format", "json", cwd=project)
    assert released.code == 0, released.stderr
    for more in (("--platform", "linux/amd64,linux/arm64"), ("-o", f"oci:{project / 'out'}")):
        refused = publish_with_engine("build", "-t", f"{name}:y", *more, cwd=project)
        assert (refused.code, "containerd store" in refused.stderr) == (2, True), refused.stderr
    assert not engine.docker("image", "ls", "-q", f"{name}:y")
    epoch = {"SOURCE_DATE_EPOCH": "1700000000"}
    told = publish_with_engine("build", "-t", f"{name}:x", "--no-cache", cwd=project, environ=epoch)
    assert "leaves the times of files as they are in the engine's classic store" in told.stderr


@pytest.mark.parametrize("first", ["linux/arm64", None], ids=["arm64-first", "own-first"])
def test_podman_builds_for_the_machine_that_is_meant(
    first: str | None, project: Path, podman: EngineProcess, publish: Publish, name: str
) -> None:
    """Its cache knows no platforms: an image of another one never gets the name."""
    (project / "Dockerfile").write_text(f"FROM scratch\nCOPY page /page\nENV OF={name}\n")
    environ = {"DOCKER_HOST": podman.host}
    for platform in (first, None if first else "linux/arm64"):
        words = ("--platform", platform) if platform else ()
        result = publish("build", "-t", f"{name}:x", *words, cwd=project, environ=environ)
        assert result.code == 0, result.stderr
        machine = podman.docker("image", "inspect", "-f", "{{.Architecture}}", f"{name}:x")
        assert machine == ("arm64" if platform else "amd64")


def test_podman_does_not_name_what_it_should_not_build(
    project: Path, podman: EngineProcess, publish: Publish, name: str
) -> None:
    """A base of another machine makes an image of that one: exit 1 with the way out, and the name stays."""
    environ = {"DOCKER_HOST": podman.host}
    own = publish("build", "-t", f"{name}:x", cwd=project, environ=environ)
    assert own.code == 0, own.stderr
    before = podman.docker("image", "inspect", "-f", "{{.Id}}", f"{name}:x")
    (project / "Dockerfile").write_text("FROM scratch\nCOPY page /foreign\n")
    words = ("build", "-t", f"localhost/{name}:base", "--platform", "linux/arm64")
    assert publish(*words, cwd=project, environ=environ).code == 0
    (project / "Dockerfile").write_text(f"FROM localhost/{name}:base\nCOPY page /page\n")
    result = publish("build", "-t", f"{name}:x", cwd=project, environ=environ)
    assert (result.code, "--platform linux/arm64" in result.stderr) == (1, True), result.stderr
    assert podman.docker("image", "inspect", "-f", "{{.Id}}", f"{name}:x") == before


def test_podman_keeps_a_healthcheck(project: Path, podman: EngineProcess, publish: Publish, name: str) -> None:
    """It is in the image, so that a smoke run runs it."""
    (project / "Dockerfile").write_text(
        f'{SHELL}HEALTHCHECK --interval=1s CMD ["/bin/busybox", "true"]\nCMD ["/bin/busybox", "sleep", "100"]\n'
    )
    (project / "publish.toml").write_text(
        f'images = ["me/app"]\nsource = "docker-daemon:{name}"\n[build]\n[smoke]\nhealthcheck = true\n'
    )
    environ = {"DOCKER_HOST": podman.host}
    built = publish("build", cwd=project, environ=environ)
    assert (built.code, "left the HEALTHCHECK out" in built.stderr) == (0, False), built.stderr
    smoke = publish("smoke", cwd=project, environ=environ)
    assert (smoke.code, "healthy" in smoke.stdout) == (0, True), smoke.stderr + smoke.stdout


@TODAYS_PODMAN
@pytest.mark.parametrize("case", ["run-heredoc", "copy-heredoc", "cache-mount", "chmod", "automatic-argument"])
def test_todays_podman_builds_todays_dockerfiles(
    case: str, project: Path, podman: EngineProcess, publish: Publish, name: str
) -> None:
    """buildah behind it understands them by itself."""
    instructions, shown = BUILDS[case]
    (project / "Dockerfile").write_text(f"{SHELL}{instructions}\n")
    result = publish("build", "-t", f"{name}:x", cwd=project, environ={"DOCKER_HOST": podman.host})
    assert result.code == 0, result.stderr
    assert podman.docker("run", "--rm", f"{name}:x", "/bin/busybox", "cat", "/out") == shown


def test_podman_is_not_asked_for_what_its_api_lacks(project: Path, podman: EngineProcess, publish: Publish) -> None:
    """A secret that isn't passed on would only be missed within the build."""
    words = ("build", "--secret", "id=x,env=HOME", "--platform", "linux/amd64,linux/arm64")
    result = publish(*words, cwd=project, environ={"DOCKER_HOST": podman.host})
    assert (result.code, "podman's API can't do" in result.stderr) == (2, True), result.stderr
    assert "secrets, several platforms" in result.stderr
