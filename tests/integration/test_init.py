"""`publish init`: from a repository with a Dockerfile to a rehearsed release, and what it leaves alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from publisher.facts.configuration import load
from tests.support.engine import BUSYBOX
from tests.support.terminal import run_terminal

if TYPE_CHECKING:
    from tests.support.command import Publish

SCRIPTS = Path(sys.executable).parent
DOCKERFILE = 'FROM scratch\nCOPY busybox /bin/busybox\nCMD ["/bin/busybox", "true"]\n'


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository whose remote is on GitHub."""
    folder = tmp_path / "goals"
    folder.mkdir()
    (folder / "Dockerfile").write_text(DOCKERFILE)
    (folder / "package.json").write_text('{"name": "goals", "description": "A \\"list\\" of goals"}')
    (folder / "README.md").write_text("# Goals\n")
    for words in ("init -q", "remote add origin git@github.com:Yeongyin/GoalApp.git"):
        subprocess.run(
            ["git", *words.split()], cwd=folder, check=True, env={**os.environ, "GIT_CONFIG_GLOBAL": os.devnull}
        )
    return folder


def test_what_is_here_becomes_the_configuration(publish: Publish, project: Path) -> None:
    done = publish("init", cwd=project)
    assert done.code == 0, done.stderr
    assert done.stdout == "wrote publish.toml\n"
    assert tomllib.loads((project / "publish.toml").read_text()) == {
        "images": ["yeongyin/goalapp"],
        "build": {"context": "."},
        "hub": {"description": 'A "list" of goals', "readme": "README.md"},
    }
    planned = publish("plan", "--offline", "--version", "1.0.0", cwd=project)
    assert (planned.code, "yeongyin/goalapp" in planned.stdout) == (0, True), planned.stderr


def test_several_dockerfiles_are_several_images(publish: Publish, project: Path) -> None:
    (project / "Dockerfile").unlink()
    for name in ("api", "web"):
        (project / name).mkdir()
        (project / name / "Dockerfile").write_text(DOCKERFILE)
    assert publish("init", "--github", cwd=project).code == 0
    # The git tag that releases one of them has to start the workflow.
    assert 'tags: ["*/v*"]' in (project / ".github/workflows/publish.yml").read_text()
    images = load(None, project).settings.images
    assert isinstance(images, dict)
    assert {name: (image.repositories, image.version_prefix) for name, image in images.items()} == {
        "api": (("yeongyin/api",), "api/"),
        "web": (("yeongyin/web",), "web/"),
    }
    assert [image.build and (image.build.context, image.build.dockerfile) for image in images.values()] == [
        ("api", "api/Dockerfile"), ("web", "web/Dockerfile"),
    ]  # fmt: skip


def test_without_a_dockerfile_the_engine_has_the_image(publish: Publish, project: Path) -> None:
    (project / "Dockerfile").unlink()
    assert publish("init", "--image", "ghcr.io/acme/tool", "--image", "acme/tool", cwd=project).code == 0
    settings = load(None, project).settings
    assert (settings.images, settings.source) == (("ghcr.io/acme/tool", "acme/tool"), "docker-daemon:tool")


@pytest.mark.parametrize("name", ["publish.toml", ".github/workflows/publish.yml"])
def test_nothing_is_overwritten_unasked(name: str, publish: Publish, project: Path) -> None:
    """One file that is there keeps all from being written; --force writes them."""
    file = project / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("mine\n")
    done = publish("init", "--github", cwd=project)
    assert (done.code, f"{name} is there already, and nothing was written" in done.stderr) == (2, True)
    assert file.read_text() == "mine\n"
    assert (project / "publish.toml").exists() is (name == "publish.toml")
    assert publish("init", "--github", "--force", cwd=project).code == 0
    assert file.read_text() != "mine\n"


def test_a_link_is_no_way_around(publish: Publish, project: Path, tmp_path: Path) -> None:
    (project / "publish.toml").symlink_to(tmp_path / "elsewhere")
    assert publish("init", cwd=project).code == 2
    assert not (tmp_path / "elsewhere").exists()


def test_a_second_configuration_is_refused(publish: Publish, project: Path) -> None:
    (project / "pyproject.toml").write_text('[project]\nname = "x"\n[tool.publish]\nimages = ["a/b"]\n')
    done = publish("init", cwd=project)
    assert (done.code, "[tool.publish] already" in done.stderr) == (2, True)
    assert not (project / "publish.toml").exists()


def test_a_dry_run_prints(publish: Publish, project: Path) -> None:
    done = publish("init", "--gitlab", "--dry-run", "--format", "json", cwd=project)
    assert [file["path"] for file in done.document["files"]] == ["publish.toml", ".gitlab-ci.yml"]
    assert done.document["written"] is False
    assert sorted(path.name for path in project.iterdir() if path.name != ".git") == [
        "Dockerfile", "README.md", "package.json",
    ]  # fmt: skip


def test_without_a_remote_the_image_must_be_named(publish: Publish, project: Path) -> None:
    publish.git("remote", "remove", "origin", cwd=project)
    done = publish("init", cwd=project)
    assert (done.code, "publish init --image USER/NAME" in done.stderr) == (2, True)


def test_workflows_belong_to_the_root(publish: Publish, project: Path) -> None:
    (project / "inner").mkdir()
    done = publish("init", "--github", cwd=project / "inner")
    assert (done.code, "root of the repository" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    "image", ["acme/app", "ghcr.io/acme/app", "registry.gitlab.com/acme/app", "registry.example/a/b"]
)
def test_workflows_pass_their_checks(image: str, publish: Publish, project: Path) -> None:
    """GitHub's and GitLab's own schemas, and zizmor."""
    assert publish("init", "--image", image, "--github", "--gitlab", cwd=project).code == 0
    workflow = ".github/workflows/publish.yml"
    schema = [str(SCRIPTS / "check-jsonschema"), "--builtin-schema"]
    for words in (
        [*schema, "vendor.github-workflows", workflow],
        [*schema, "vendor.gitlab-ci", ".gitlab-ci.yml"],
        [str(SCRIPTS / "zizmor"), "--offline", "--quiet", "--persona", "auditor", workflow],
    ):
        done = subprocess.run(words, cwd=project, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_on_a_terminal_the_name_is_asked_for(publish: Publish, project: Path) -> None:
    """Enter takes what git's remote suggests."""
    environ = {**publish.environ, "PATH": f"{SCRIPTS}:{os.environ['PATH']}"}
    with run_terminal(["publish", "init"], environ, cwd=project) as terminal:
        terminal.wait_for("[yeongyin/goalapp]:")
        terminal.press("Enter")
        terminal.wait_for("wrote publish.toml")
    assert load(None, project).settings.images == ("yeongyin/goalapp",)


def test_three_commands_to_a_rehearsed_release(publish_with_engine: Publish, project: Path) -> None:
    """Installed; init; rehearse."""
    shutil.copy(BUSYBOX, project / "busybox")
    environ = {"PATH": f"{SCRIPTS}:{publish_with_engine.environ['PATH']}"}
    first = publish_with_engine("init", cwd=project)
    assert "next: publish sandbox exec -- publish release --version 1.0.0" in first.stderr
    words = ("sandbox", "exec", "--", "publish", "release", "--version", "1.0.0")
    done = publish_with_engine(*words, cwd=project, environ=environ)
    assert done.code == 0, done.stderr
    assert "yeongyin/goalapp@sha256:" in done.stdout
