"""`publish build`, and releases that build first, on a real engine."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.integration.test_goalapp import make_base
from tests.support.engine import BUSYBOX

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.command import Publish
    from tests.support.engine import EngineProcess
    from tests.support.registry import RegistryProcess

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
def project(publish: Publish, name: str, tmp_path: Path) -> Path:
    """A git repository with a Dockerfile and a version."""
    shutil.copy(BUSYBOX, tmp_path / "busybox")
    (tmp_path / "page").write_text("one")
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    (tmp_path / ".dockerignore").write_text(".git\nreceipt.json\n")
    (tmp_path / "publish.toml").write_text(f'images = ["me/{name}"]\n[build]\nargs = {{ WHO = "config" }}\n')
    publish.git("init", "-q", cwd=tmp_path)
    publish.git("add", ".", cwd=tmp_path)
    publish.git("commit", "-q", "-m", "x", cwd=tmp_path)
    publish.git("tag", "v1.2.3", cwd=tmp_path)
    return tmp_path


def inspect(engine: EngineProcess, image: str) -> dict[str, object]:
    """An image's configuration."""
    found = json.loads(engine.docker("image", "inspect", image))[0]["Config"]
    assert isinstance(found, dict)
    return found


def test_build(project: Path, engine: EngineProcess, publish_with_engine: Publish, name: str) -> None:
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
    assert "COPY page /app/page: page has changed; all after it" in changed.document["miss"]
    fresh = publish_with_engine("build", "--no-cache", "--format", "json", cwd=project).document
    assert not any(step["cached"] for step in fresh["steps"])


@pytest.mark.parametrize(
    ("change", "words", "said"),
    [
        pytest.param(lambda folder: (folder / "page").touch(), (), "", id="only-touched"),
        pytest.param(lambda folder: None, ("--build-arg", "WHO=me"), "the argument WHO has changed", id="argument"),
        # To BuildKit labels, commands and the like are no steps, so that they end no cache.
        pytest.param(
            lambda folder: None, ("--label", "a=b"), {"classic": "LABEL a=b: the labels have changed (a)"}, id="label"
        ),
        pytest.param(
            lambda folder: (folder / "Dockerfile").write_text(DOCKERFILE.replace('"cat"', '"ls"')), (),
            {"classic": "the Dockerfile has changed"}, id="dockerfile",
        ),
        pytest.param(
            lambda folder: (folder / "page").chmod(0o600), (), "COPY page /app/page: page has changed", id="mode"
        ),
    ],
)  # fmt: skip
def test_what_made_the_cache_end(
    change: object,
    words: tuple[str, ...],
    said: str | dict[str, str],
    project: Path,
    engine: EngineProcess,
    publish_with_engine: Publish,
) -> None:
    """The change since the last build is named: a file, an argument, a label, the Dockerfile; none for a new time."""
    if isinstance(said, dict):
        said = said.get(engine.store, "")
    publish_with_engine("build", cwd=project)
    change(project)  # type: ignore[operator] # a function
    miss = publish_with_engine("build", *words, "--format", "json", cwd=project).document["miss"]
    assert (said in miss, bool(miss)) == (True, bool(said)), miss


def test_on_podman(project: Path, podman: EngineProcess, publish: Publish, name: str) -> None:
    """Its steps and its cache are read too, and what failed is told."""
    (project / "Dockerfile").write_text(DOCKERFILE.replace("FROM scratch AS runtime", "FROM other AS runtime"))
    there = {"DOCKER_HOST": podman.host}
    words = ("build", "-t", f"{name}:x", "--format", "json")
    first = publish(*words, cwd=project, environ=there)
    assert first.code == 0, first.stderr
    (project / "page").write_text("two")
    again = publish(*words, cwd=project, environ=there).document
    cached = {step["instruction"]: step["cached"] for step in again["steps"]}
    assert (cached["WORKDIR /app"], cached["COPY page /app/page"]) == (True, False), cached
    assert "COPY page /app/page: page has changed; all after it" in again["miss"]
    (project / "page").unlink()
    failed = publish(*words, cwd=project, environ=there)
    assert (failed.code, "The build failed at step" in failed.stderr) == (1, True), failed.stderr
    target = publish(*words, "--target", "absent", cwd=project, environ=there)
    assert (target.code, "absent" in target.stderr) == (1, True), target.stderr


def test_a_first_try_needs_neither_git_nor_a_version(
    engine: EngineProcess, publish_with_engine: Publish, name: str, tmp_path: Path
) -> None:
    """It is built as `dev`."""
    (tmp_path / "Dockerfile").write_text("FROM scratch\nWORKDIR /app\n")
    (tmp_path / "publish.toml").write_text(f'images = ["me/{name}"]\n')
    result = publish_with_engine("build", "--format", "json", cwd=tmp_path)
    assert result.code == 0, result.stderr
    assert result.document["images"] == [f"{name.rpartition('/')[2]}:dev"]


def test_options(project: Path, engine: EngineProcess, publish_with_engine: Publish, name: str) -> None:
    """Names, stage, arguments and labels of the options come before the configuration's."""
    names = [f"{name}:a", f"{name}:b", f"{name}-c"]
    words = ["build", "-t", names[0], "-t", names[1], "-t", names[2], "--build-arg", "WHO=option", "--label", "x=y"]
    result = publish_with_engine(*words, "--build-arg", "NOBODY=asks", cwd=project)
    assert result.code == 0, result.stderr
    assert "build-args [NOBODY] were not consumed" in result.stderr
    for one in names:
        config = inspect(engine, one)
        assert "WHO=option" in str(config["Env"])
        assert dict(config["Labels"])["x"] == "y"  # type: ignore[call-overload] # JSON
    staged = publish_with_engine("build", "-t", f"{name}:c", "--target", "other", cwd=project)
    assert staged.code == 0, staged.stderr
    assert inspect(engine, f"{name}:c")["Cmd"] is None


def test_every_key(project: Path, engine: EngineProcess, publish_with_engine: Publish, name: str) -> None:
    """context, dockerfile, args and target, as the configuration says them."""
    within = project / "within"
    within.mkdir()
    (within / "greeting").write_text("hello")
    (within / "Image").write_text(
        "FROM scratch AS wanted\nARG WHO\nWORKDIR /app\nCOPY greeting .\nENV WHO=$WHO\nFROM scratch\nENV LAST=1\n"
    )
    keys = 'context = "within"\ndockerfile = "Image"\ntarget = "wanted"\nargs = { WHO = "me" }\n'
    (project / "publish.toml").write_text(f'source = "docker-daemon:{name}"\n[build]\n{keys}')
    result = publish_with_engine("build", "--format", "json", cwd=project)
    assert result.code == 0, result.stderr
    assert result.document["images"] == [f"{name}:latest"]
    assert "WHO=me" in str(inspect(engine, name)["Env"])


def test_pull_asks_for_a_newer_base(
    engine: EngineProcess, registry: RegistryProcess, publish_with_engine: Publish, name: str, tmp_path: Path
) -> None:
    """Without --pull the engine's own copy of a base is used, however old; with it the registry's."""
    base = f"{registry.host}/{name}:base"
    for text in ("new", "old"):
        engine.build(base, text, tmp_path / text)
        if text == "new":
            engine.docker("push", base)
    (tmp_path / "Dockerfile").write_text(f"FROM {base}\nWORKDIR /app\n")
    for words, content in (((), "old"), (("--pull",), "new")):
        built = publish_with_engine("build", "-t", f"{name}:x", "--version", "1.0.0", *words, cwd=tmp_path)
        assert built.code == 0, built.stderr
        assert engine.docker("run", "--rm", f"{name}:x") == content


def test_the_time_of_a_build(project: Path, engine: EngineProcess, publish_with_engine: Publish, name: str) -> None:
    """SOURCE_DATE_EPOCH is the label's time and an argument; what the classic builder can't keep is said."""
    told = "writes the time of the build into the image all the same"
    text = DOCKERFILE.replace("ARG WHO=nobody", "ARG WHO=nobody\nARG SOURCE_DATE_EPOCH\nENV THEN=$SOURCE_DATE_EPOCH")
    (project / "Dockerfile").write_text(text)
    words, epoch = ("build", "-t", f"{name}:x"), {"SOURCE_DATE_EPOCH": "1000000000"}
    first = publish_with_engine(*words, cwd=project, environ=epoch)
    assert (told in first.stderr) == (engine.store == "classic")
    config = inspect(engine, f"{name}:x")
    assert "THEN=1000000000" in str(config["Env"])
    assert dict(config["Labels"])["org.opencontainers.image.created"] == "2001-09-09T01:46:40Z"  # type: ignore[call-overload] # JSON
    again = publish_with_engine(*words, cwd=project, environ=epoch)
    assert (again.stdout, "time of the build" in again.stderr) == (first.stdout, False)


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


def _build_table(keys: str) -> Callable[[Path], None]:
    """Writes a [build] table, for a Dockerfile that fails when it is told to."""

    def change(folder: Path) -> None:
        (folder / "publish.toml").write_text(f'images = ["me/app"]\n[build]\n{keys}\n')
        told = 'ARG FAILS=no\nRUN ["/bin/busybox", "sh", "-c", "test $FAILS = no"]\nCOPY page'
        (folder / "Dockerfile").write_text(DOCKERFILE.replace("COPY page", told))

    return change


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        (lambda folder: (folder / "Dockerfile").unlink(), 2, "There is no Dockerfile"),
        (
            lambda folder: (folder / "page").unlink(),
            1,
            r"failed at step (9|4 of runtime) \(COPY page /app/page\)",
        ),
        (_build_table('target = "absent"'), 1, r"target (stage )?\"?absent"),
        (_build_table('context = "absent"'), 2, "There is no Dockerfile in"),
        (_build_table('dockerfile = "page"'), 1, "unknown instruction: (?i:ONE)"),
        (_build_table('args = { WHO = "me", FAILS = "yes" }'), 1, "The build failed at step"),
        (_build_table("args = { WHO = 1 }"), 2, "build.args.WHO"),
    ],
    ids=["no-dockerfile", "failing-step", "target", "context", "dockerfile", "args", "args-type"],
)
def test_failures(change: object, code: int, said: str, project: Path, publish_with_engine: Publish) -> None:
    """A build that can't be done says why."""
    change(project)  # type: ignore[operator] # a function
    result = publish_with_engine("build", cwd=project)
    assert result.code == code, result.stderr
    assert re.search(said, result.stderr)


def test_a_release_builds_first(
    project: Path, registry: RegistryProcess, publish_with_engine: Publish, name: str
) -> None:
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


def test_a_dry_run_builds_nothing(
    project: Path, engine: EngineProcess, registry: RegistryProcess, publish_with_engine: Publish, name: str
) -> None:
    """It plans with content that is unknown, and tells what it would build; what can't be built is refused."""
    words = ["release", "--image", f"{registry.host}/{name}", "--dry-run"]
    result = publish_with_engine(*words, "--format", "json", cwd=project)
    assert result.code == 0, result.stderr
    assert {move["to"] for move in result.document["moves"]} == {None}
    assert [move["tag"] for move in result.document["moves"]] == ["1.2.3", "1.2", "1", "latest"]
    image = f"{name.rpartition('/')[2]}:1.2.3"
    assert f"would make {image} from {project}" in result.stderr
    assert not engine.docker("image", "ls", "-q", image)
    assert publish_with_engine(*words, "--build", cwd=project).code == 0
    (project / "Dockerfile").unlink()
    refused = publish_with_engine(*words, "--allow-dirty", cwd=project)
    assert (refused.code, "There is no Dockerfile" in refused.stderr) == (2, True)


def test_a_dirty_tree_is_refused_before_it_is_built(
    project: Path, registry: RegistryProcess, publish_with_engine: Publish, name: str
) -> None:
    """Nobody waits for a build that is refused afterwards."""
    (project / "page").write_text("changed")
    result = publish_with_engine("release", "--image", f"{registry.host}/{name}", cwd=project)
    assert (result.code, "build " in result.stderr) == (4, False), result.stderr


def test_an_image_of_another_commit_is_refused(
    project: Path, registry: RegistryProcess, publish_with_engine: Publish, name: str
) -> None:
    """Its revision label must be git's HEAD."""
    assert publish_with_engine("build", "-t", f"{name}:old", cwd=project).code == 0
    publish_with_engine.git("commit", "-q", "--allow-empty", "-m", "newer", cwd=project)
    words = ["release", f"docker-daemon:{name}:old", "--image", f"{registry.host}/{name}", "--version", "1.2.4"]
    refused = publish_with_engine(*words, cwd=project)
    assert (refused.code, "was built from commit" in refused.stderr) == (4, True), refused.stderr
    allowed = publish_with_engine(*words, "--allow-dirty", cwd=project)
    assert allowed.code == 0, allowed.stderr


def test_the_example_builds(engine: EngineProcess, publish_with_engine: Publish, tmp_path: Path) -> None:
    """examples/goalapp builds without any advice but for what its sandboxed base lacks."""
    base = make_base(engine, tmp_path / "base")
    app = shutil.copytree(Path(__file__).parents[2] / "examples" / "goalapp", tmp_path / "app")
    result = publish_with_engine(
        "build", "--version", "1.0.0", "--build-arg", f"BASE={base}", "--format", "json", cwd=app
    )
    assert result.code == 0, result.stderr
    assert not result.document["advice"]
