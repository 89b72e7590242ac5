"""`publish build`, and releases that build first, on a real engine."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.integration.test_goalapp import make_base
from tests.parts.engine import BUSYBOX

if TYPE_CHECKING:
    from tests.parts.command import Publish
    from tests.parts.engine import Engine
    from tests.parts.registry import Registry

DOCKERFILE = """\
ARG BASE
FROM scratch AS other
COPY busybox /bin/busybox
FROM scratch AS runtime
ARG WHO=nobody
WORKDIR /app
COPY busybox /bin/busybox
RUN ["/bin/busybox", "true"]
COPY page /app/page
ENV WHO=$WHO
CMD ["/bin/busybox", "cat", "/app/page"]
"""


@pytest.fixture
def project(publish_with_engine: Publish, name: str, tmp_path: Path) -> Path:
    """A git repository with a Dockerfile and a version."""
    shutil.copy(BUSYBOX, tmp_path / "busybox")
    (tmp_path / "page").write_text("one")
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    (tmp_path / ".dockerignore").write_text(".git\nreceipt.json\n")
    (tmp_path / "publish.toml").write_text(f'images = ["me/{name}"]\n[build]\nargs = {{ WHO = "config" }}\n')
    publish_with_engine.git("init", "-q", cwd=tmp_path)
    publish_with_engine.git("add", ".", cwd=tmp_path)
    publish_with_engine.git("commit", "-q", "-m", "x", cwd=tmp_path)
    publish_with_engine.git("tag", "v1.2.3", cwd=tmp_path)
    return tmp_path


def inspect(engine: Engine, image: str) -> dict[str, object]:
    """An image's configuration."""
    found = json.loads(engine.docker("image", "inspect", image))[0]["Config"]
    assert isinstance(found, dict)
    return found


def test_build(project: Path, engine: Engine, publish_with_engine: Publish, name: str) -> None:
    """The image is named after the repository and the version, and has the plan's labels."""
    result = publish_with_engine("build", "--format", "json", cwd=project)
    assert result.code == 0, result.stderr
    image = f"{name.rpartition('/')[2]}:1.2.3"
    assert result.document["images"] == [image]
    config = inspect(engine, image)
    labels = config["Labels"]
    assert isinstance(labels, dict)
    assert labels["org.opencontainers.image.version"] == "1.2.3"
    assert labels["org.opencontainers.image.revision"] == publish_with_engine.git("rev-parse", "HEAD", cwd=project)
    assert "WHO=config" in str(config["Env"])


def test_the_cache_and_what_broke_it(project: Path, publish_with_engine: Publish) -> None:
    """A second build comes from the cache; after a change the step that missed is named, with why."""
    publish_with_engine("build", cwd=project)
    again = publish_with_engine("build", "--format", "json", cwd=project).document
    assert all(step["cached"] for step in again["steps"] if not step["instruction"].startswith(("FROM", "ARG BASE")))
    (project / "page").write_text("two")
    changed = publish_with_engine("build", "--format", "json", cwd=project)
    assert "COPY page /app/page: the files that it copies have changed" in changed.document["miss"]
    fresh = publish_with_engine("build", "--no-cache", "--format", "json", cwd=project).document
    assert not any(step["cached"] for step in fresh["steps"])


def test_options(project: Path, engine: Engine, publish_with_engine: Publish, name: str) -> None:
    """Names, stage, arguments and labels of the options come before the configuration's."""
    names = [f"{name}:a", f"{name}:b"]
    words = ["build", "-t", names[0], "-t", names[1], "--build-arg", "WHO=option", "--label", "x=y"]
    assert publish_with_engine(*words, cwd=project).code == 0
    for one in names:
        config = inspect(engine, one)
        assert "WHO=option" in str(config["Env"])
        assert dict(config["Labels"])["x"] == "y"  # type: ignore[call-overload] # JSON
    staged = publish_with_engine("build", "-t", f"{name}:c", "--target", "other", cwd=project)
    assert staged.code == 0, staged.stderr
    assert inspect(engine, f"{name}:c")["Cmd"] is None


def test_advice_is_told(project: Path, publish_with_engine: Publish) -> None:
    """What could be better is told with its line, and doesn't stop the build."""
    text = DOCKERFILE.replace('CMD ["/bin/busybox", "cat", "/app/page"]', "CMD cat /app/page")
    (project / "Dockerfile").write_text(text)
    result = publish_with_engine("build", cwd=project)
    assert result.code == 0
    assert "line 11: CMD is in shell form" in result.stderr


def test_an_image_written_as_a_record(project: Path, publish_with_engine: Publish, name: str) -> None:
    """`name=…,enable=…` names the same image as the bare name."""
    config = project / "publish.toml"
    config.write_text(f'images = ["name=me/{name},enable=true"]\n[build]\n[smoke]\n')
    result = publish_with_engine("build", "--format", "json", cwd=project)
    assert result.code == 0, result.stderr
    assert result.document["images"] == [f"{name.rpartition('/')[2]}:1.2.3"]
    line = publish_with_engine("smoke", "--print", cwd=project)
    assert line.stdout.endswith(f" me/{name}:latest\n"), line.stderr


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        (lambda folder: (folder / "Dockerfile").unlink(), 2, "There is no Dockerfile"),
        (lambda folder: (folder / "page").unlink(), 1, "The build failed"),
    ],
    ids=["no-dockerfile", "failing-step"],
)
def test_failures(change: object, code: int, said: str, project: Path, publish_with_engine: Publish) -> None:
    """A build that can't be done says why."""
    change(project)  # type: ignore[operator] # a function
    result = publish_with_engine("build", cwd=project)
    assert result.code == code, result.stderr
    assert said in result.stderr


def test_a_release_builds_first(project: Path, registry: Registry, publish_with_engine: Publish, name: str) -> None:
    """Without a source, and with [build], a release builds what it publishes."""
    image = f"{registry.host}/{name}"
    words = ["release", "--image", image, "--format", "json", "--receipt", "receipt.json"]
    result = publish_with_engine(*words, cwd=project)
    assert result.code == 0, result.stderr
    assert result.document["plan"]["release"] == "1.2.3"
    again = publish_with_engine(*words, "--build", cwd=project)
    assert (again.code, again.document["adopted"]) == (0, True), again.stderr
    both = publish_with_engine(*words, "docker-daemon:x", "--build", cwd=project)
    assert both.code == 2


def test_the_example_builds(engine: Engine, publish_with_engine: Publish, tmp_path: Path) -> None:
    """examples/goalapp builds without any advice but for what its sandboxed base lacks."""
    base = make_base(engine, tmp_path / "base")
    app = shutil.copytree(Path(__file__).parents[2] / "examples" / "goalapp", tmp_path / "app")
    result = publish_with_engine(
        "build", "--version", "1.0.0", "--build-arg", f"BASE={base}", "--format", "json", cwd=app
    )
    assert result.code == 0, result.stderr
    assert not result.document["advice"]
