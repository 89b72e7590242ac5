"""The workflows, this project's own and those to copy: held to rules, and their jobs executed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from publisher.sandbox.server import Sandbox
from tests.support.base_image import make_base
from tests.support.builds import CONTAINERD
from tests.support.engine import BUSYBOX
from tests.support.github import Runner, read_yaml
from tests.support.registry import SECRET, USER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.support.command import Publish
    from tests.support.engine import EngineProcess
    from tests.support.github import StepResult
    from tests.support.registry import RegistryProcess

ROOT = Path(__file__).parents[2]
OWN = ROOT / ".github" / "workflows"
EXAMPLES = ROOT / "examples" / "workflows"
WORKFLOWS = sorted([*OWN.glob("*.yml"), *EXAMPLES.glob("*.yml")])
_PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")
SECRETS = {"DOCKERHUB_USERNAME": USER, "DOCKERHUB_TOKEN": SECRET}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_workflow(path: Path) -> None:
    """Nothing is permitted that a job doesn't name, everything used is pinned, no script holds an expression."""
    text = read_yaml(path)
    assert text["permissions"] == {}
    assert not {"pull_request_target", "workflow_run"} & set(text["on"])
    for used in re.findall(r"uses: (.+)", path.read_text()):
        assert used.startswith("$/.github/") or _PINNED.fullmatch(used), used
    for job in text["jobs"].values():
        assert job["permissions"].get("contents") == "read"
        for step in job.get("steps", []):
            assert "${{" not in step.get("run", "")
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False


def write_app(folder: Path, *images: str, content: str = "one") -> None:
    """A repository with an image to build."""
    shutil.copy(BUSYBOX, folder / "busybox")
    (folder / "content").write_text(content)
    (folder / "Dockerfile").write_text(
        'FROM scratch\nCOPY busybox /bin/busybox\nCOPY content /content\nCMD ["/bin/busybox", "cat", "/content"]\n'
    )
    (folder / "publish.toml").write_text(f"images = {json.dumps(images)}\n")


def for_registry(path: Path, registry: RegistryProcess, folder: Path) -> Path:
    """A copy of a workflow that signs in at another registry than Docker Hub."""
    copy = folder / path.name
    copy.write_text(path.read_text().replace("registry: docker.io", f"registry: {registry.host}"))
    return copy


@pytest.fixture
def machine(publish_with_engine: Publish, installed: dict[str, StepResult], tmp_path: Path) -> Any:
    """Makes a runner for an event."""

    def make(github: Mapping[str, Any], secrets: Mapping[str, str] | None = None) -> Runner:
        made = Runner(tmp_path, publish_with_engine.environ, github, secrets)
        made.installed = installed
        return made

    return make


@pytest.fixture
def runner_of(publish: Publish, installed: dict[str, StepResult], tmp_path: Path) -> Any:
    """The same without an engine."""

    def make(github: Mapping[str, Any]) -> Runner:
        made = Runner(tmp_path, publish.environ, github)
        made.installed = installed
        return made

    return make


def test_the_examples_on_a_real_registry(
    machine: Any, private_registry: RegistryProcess, name: str, tmp_path: Path
) -> None:
    """Two tags are built and released, a tag is moved by hand, and the night finds what is not in place."""
    image = f"{private_registry.host}/{name}"
    release = for_registry(EXAMPLES / "release.yml", private_registry, tmp_path)
    for version in ("1.0.0", "1.1.0"):
        on = machine({"event_name": "push", "ref": f"refs/tags/v{version}"}, SECRETS)
        write_app(on.workspace, image, content=version)
        assert on.job(release, "rehearse") is None
        done = on.job(release, "release")
        assert done.code == 0, done.raw
        assert SECRET not in done.log + done.summary
        assert f"{image}:latest" in done.summary
        assert re.search(r"### Build \S+\\:1\S+\n\n\d+ steps, \d+ of them from the cache, in ", done.summary)
    retag = for_registry(EXAMPLES / "retag.yml", private_registry, tmp_path)
    on = machine({"event_name": "workflow_dispatch"}, SECRETS)
    for dry, code in (("true", 0), ("false", 0)):
        asked = {"source": f"{image}:1.0.0", "target": ":stable", "dry-run": dry}
        assert on.job(retag, "retag", asked).code == code
        seen = on.job(retag, "retag", {**asked, "dry-run": "true"}).summary
        assert ("unchanged" in seen) is (dry == "false")
    lowered = on.job(retag, "retag", {"source": f"{image}:1.0.0", "target": ":latest", "dry-run": "false"})
    assert (lowered.code, "1.0.0 is lower" in lowered.log) == (4, True)
    night = machine({"event_name": "schedule"})
    night.environ |= {"PUBLISH_USERNAME": USER, "PUBLISH_PASSWORD": SECRET, "PUBLISH_REGISTRY": private_registry.host}
    assert night.job(EXAMPLES / "nightly.yml", "status").code == 0
    on.job(retag, "retag", {"source": f"{image}:1.1.0", "target": ":1.0", "dry-run": "false"})
    drifted = night.job(EXAMPLES / "nightly.yml", "status")
    assert drifted.code == 4
    assert "drift" in drifted.summary


def test_the_example_rehearses_a_fork(machine: Any, registry: RegistryProcess, name: str) -> None:
    """A fork's pull request builds, and is released to a sandbox; the registry is not even asked."""
    image = f"{registry.host}/{name}"
    pull = {"number": 7, "head": {"repo": {"full_name": "stranger/app"}}}
    facts = {"event_name": "pull_request", "ref": "refs/pull/7/merge", "event": {"number": 7, "pull_request": pull}}
    on = machine(facts)
    write_app(on.workspace, image)
    asked = len(registry.requests())
    assert on.job(EXAMPLES / "release.yml", "release") is None
    done = on.job(EXAMPLES / "release.yml", "rehearse")
    assert done.code == 0, done.raw
    assert f"`{image}:pr-7`" in done.summary
    assert len(registry.requests()) == asked


def test_the_inputs_of_a_build(machine: Any, engine: EngineProcess, sandbox_url: str) -> None:
    """A context, a Dockerfile elsewhere, a stage and arguments, with spaces; labels by the rules; then a release."""
    name = f"built-{engine.store}"
    on = machine({"event_name": "push", "ref": "refs/tags/v1.2.3"})
    (on.workspace / "the app").mkdir()
    shutil.copy(BUSYBOX, on.workspace / "the app" / "busybox")
    (on.workspace / "a Dockerfile").write_text(
        "FROM scratch AS first\nARG WORDS\nENV WORDS=$WORDS\nCOPY busybox /bin/busybox\nWORKDIR /\n"
        'CMD ["/bin/busybox", "true"]\nFROM first AS last\nENV LAST=1\n'
    )
    given = {"images": f"me/{name}", "tags": "type=semver,pattern={{version}},suffix=-x", "labels": "a=b c"}
    build = {
        "context": "the app",
        "file": "a Dockerfile",
        "target": "first",
        "build-args": "WORDS=two words\nOTHER=$HOME",
    }
    done = on.use(ROOT / ".github/actions/publish", {**given, **build}, env={"PUBLISH_SANDBOX": sandbox_url})
    assert done.code == 0, done.raw
    assert done.outputs["moved"].splitlines() == [f"docker.io/me/{name}:1.2.3-x", f"docker.io/me/{name}:latest"]
    config = json.loads(engine.docker("image", "inspect", "-f", "{{json .Config}}", f"{name}:1.2.3"))
    assert "WORDS=two words" in config["Env"]
    assert "LAST=1" not in config["Env"]
    assert (config["Labels"]["a"], config["Labels"]["org.opencontainers.image.version"]) == ("b c", "1.2.3-x")


@CONTAINERD
def test_secrets_of_a_build(machine: Any, engine: EngineProcess, sandbox_url: str) -> None:
    """As docker/build-push-action takes them: values, variables, files. The log shows none of them, files are gone."""
    on = machine({"event_name": "push", "ref": "refs/tags/v1.2.3"}, {"NPM": "npm-canary"})
    shutil.copy(BUSYBOX, on.workspace / "busybox")
    (on.workspace / "a file").write_text("file-canary")
    (on.workspace / "Dockerfile").write_text(
        'FROM scratch\nCOPY busybox /bin/busybox\nSHELL ["/bin/busybox", "sh", "-c"]\n'
        "RUN --mount=type=secret,id=npm --mount=type=secret,id=key --mount=type=secret,id=env "
        "--mount=type=secret,id=file cd /run/secrets; cat npm key env file; cat npm key env file > /all\n"
    )
    given = {
        "images": "me/secrets", "secrets": 'npm=npm-canary\n"key=first line\nsecond ""line"""',
        "secret-envs": "env=WORD", "secret-files": "file=a file", "builder": "default",
    }  # fmt: skip
    env = {"PUBLISH_SANDBOX": sandbox_url, "WORD": "env-canary"}
    done = on.use(ROOT / ".github/actions/publish", given, env=env)
    assert done.code == 0, done.raw
    shown = engine.docker("run", "--rm", "secrets:1.2.3", "/bin/busybox", "cat", "/all")
    assert shown == 'npm-canaryfirst line\nsecond "line"env-canaryfile-canary'
    assert "group" in dict(done.commands)
    for secret in ("npm-canary", "first line", 'second "line"', "env-canary", "file-canary"):
        assert secret not in done.log + done.summary + "".join(done.outputs.values())
    assert not [path for path in on.temp.rglob("*") if path.is_file() and b"canary" in path.read_bytes()]


@CONTAINERD
def test_what_a_build_prints_is_no_command(machine: Any) -> None:
    """Else a Dockerfile could have the runner pass over the masks and annotations that follow it."""
    on = machine({"event_name": "push", "ref": "refs/tags/v1.0.0"})
    shutil.copy(BUSYBOX, on.workspace / "busybox")
    (on.workspace / "Dockerfile").write_text(
        'FROM scratch\nCOPY busybox /bin/busybox\nSHELL ["/bin/busybox", "sh", "-c"]\n'
        'RUN echo "::stop-commands::x"; echo "  ::add-mask::e"; echo "x ##[error]y"; echo "a%0A::error::z"; exit 3\n'
    )
    done = on.use(ROOT / ".github/actions/publish", {"images": "me/x", "context": "."})
    assert done.code == 1, done.raw
    assert "stop-commands" in done.raw
    names = [name for name, _ in done.commands if name != "add-mask"]
    assert names.count("error") == 1
    assert set(names) <= {"group", "endgroup", "warning", "error"}
    assert not [text for name, text in done.commands if name == "add-mask"]
    assert "::error file=Dockerfile,line=4::" in done.raw


@CONTAINERD
def test_platforms_and_caches_of_a_build(machine: Any, sandbox_url: str) -> None:
    """Several platforms are built into a layout and released as one index; caches go where buildx is told."""
    on = machine({"event_name": "push", "ref": "refs/tags/v1.2.3"})
    (on.workspace / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    given = {"images": "me/platforms", "platforms": "linux/amd64,linux/arm64\nlinux/s390x"}
    caches = {"cache-to": "type=local,dest=kept,mode=max", "cache-from": "type=local,src=kept"}
    env = {"PUBLISH_SANDBOX": sandbox_url}
    done = on.use(ROOT / ".github/actions/publish", {**given, "cache-to": caches["cache-to"]}, env=env)
    assert done.code == 0, done.raw
    assert done.document["image"]["platforms"] == ["linux/amd64", "linux/arm64", "linux/s390x"]
    assert (on.workspace / "kept" / "index.json").is_file()
    assert done.outputs["imageid"] == done.outputs["digest"]
    again = on.use(ROOT / ".github/actions/publish", {**given, **caches, "dry-run": "true"}, env=env)
    assert (again.code, again.outputs["moved"]) == (0, ""), again.raw


@pytest.mark.parametrize(
    ("inputs", "code", "told"),
    [
        ({"secrets": "no value here"}, 2, "secret 1 of the input secrets is not ID=VALUE"),
        ({"secrets": "npm="}, 2, "the secret npm of the input secrets is empty"),
        ({"secrets": '"npm=never closed'}, 2, "a quote (\") that isn't closed"),
        ({"secret-envs": "npm=PUBLISH_PASSWORD"}, 2, "none that holds publish's own credentials"),
        ({"secret-files": "npm"}, 2, "it must be ID=PATH"),
        ({"pull-request": "yes"}, 2, "it must be plan or push"),
        ({"timeout": "soon"}, 2, "it must be a number of seconds"),
        ({"builder": "x", "source": "oci:image"}, 2, "builder is about building one"),
    ],
)
def test_inputs_that_cannot_be_meant(inputs: dict[str, str], code: int, told: str, runner_of: Any) -> None:
    """Each is told with what it must be, and never with a value that may be a secret."""
    done = runner_of({"ref": "refs/tags/v1.0.0"}).use(ROOT / ".github/actions/publish", {"images": "me/x", **inputs})
    assert (done.code, told in done.log) == (code, True), done.raw
    assert "never closed" not in done.log


def test_a_build_that_fails(machine: Any) -> None:
    """A broken Dockerfile ends the step with its reason, on its page too; nothing is published."""
    on = machine({"event_name": "push", "ref": "refs/tags/v1.0.0"})
    write_app(on.workspace, "me/app")
    (on.workspace / "Dockerfile").write_text("FROM scratch\nCOPY absent /\n")
    done = on.job(EXAMPLES / "release.yml", "release")
    assert (done.code, "COPY absent" in done.log) == (1, True), done.raw
    assert "::error file=Dockerfile,line=2::" in done.raw
    assert "### Failed" in done.summary


def test_this_project_releases_itself(
    machine: Any, engine: EngineProcess, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The own release: its Dockerfile is built and pushed, the image runs as [smoke] says, then the tags move."""
    make_base(engine, "python:3.13-slim", tmp_path_factory.mktemp("base"))
    on = machine({"event_name": "push", "ref": "refs/tags/v1.2.3", "actor": "me", "token": "job-token"})
    for path in ("Dockerfile", ".dockerignore", "README.md", "LICENSE", "pyproject.toml", ".github/publish.toml"):
        (on.workspace / path).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / path, on.workspace / path)
    for path in ("publisher", "requirements"):
        shutil.copytree(ROOT / path, on.workspace / path, ignore=shutil.ignore_patterns("__pycache__"))
    with Sandbox() as sandbox:
        on.environ["PUBLISH_SANDBOX"] = sandbox.url
        done = on.job(OWN / "release.yml", "release")
    assert done.code == 0, done.raw
    assert "smoke run passed" in done.summary
    assert "`ghcr.io/me/app:1.2.3`" in done.summary


# GitLab CI.

GITLAB = ROOT / "examples" / "gitlab" / ".gitlab-ci.yml"


@pytest.mark.parametrize(
    ("job", "facts", "said"),
    [
        ("rehearse", {"CI_PIPELINE_SOURCE": "merge_request_event", "CI_MERGE_REQUEST_IID": "7"}, "pr-7"),
        ("release", {"CI_PIPELINE_SOURCE": "push", "CI_COMMIT_TAG": "v1.2.3"}, "1.2.3"),
        ("status", {"CI_PIPELINE_SOURCE": "schedule", "CI_COMMIT_BRANCH": "main"}, "nothing is published there yet"),
    ],
)
def test_gitlab(
    job: str,
    facts: dict[str, str],
    said: str,
    publish_with_engine: Publish,
    sandbox_url: str,
    name: str,
    tmp_path: Path,
) -> None:
    """Each job's script runs, by GitLab's variables, against a sandbox in place of GitLab's registry."""
    text = read_yaml(GITLAB)
    assert re.fullmatch(r"\S+@sha256:[0-9a-f]{64}", text["default"]["image"]["name"])
    registry = {"CI_REGISTRY": "registry.gitlab.example", "CI_REGISTRY_IMAGE": f"registry.gitlab.example/{name}"}
    registry |= {"CI_REGISTRY_USER": "gitlab-ci-token", "CI_REGISTRY_PASSWORD": "a-job-token"}
    told = {"CI": "true", "GITLAB_CI": "true", "CI_COMMIT_SHA": "a" * 40, "CI_DEFAULT_BRANCH": "main"}
    known = {**registry, **told, "CI_PROJECT_NAME": "app", "CI_PROJECT_DIR": str(tmp_path), **facts}
    own = text[job].get("variables", {})
    known |= {key: re.sub(r"\$(\w+)", lambda found: known[found[1]], value) for key, value in own.items()}
    environ = {**publish_with_engine.environ, **known, "PUBLISH_SANDBOX": sandbox_url}
    environ["PATH"] = f"{Path(publish_with_engine.program).parent}{os.pathsep}{environ['PATH']}"
    write_app(tmp_path)
    (tmp_path / "publish.toml").unlink()
    script = "\n".join([*text["default"]["before_script"], *text[job]["script"]])
    environ["GIT_CONFIG_GLOBAL"] = str(tmp_path.with_name("gitconfig"))
    words = ["bash", "-eo", "pipefail", "-c", script]
    done = subprocess.run(words, env=environ, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert said in done.stdout
    assert "a-job-token" not in done.stdout + done.stderr
    for path in text[job].get("artifacts", {}).get("paths", []):
        assert json.loads((tmp_path / path).read_text())["outcome"] == "done"


def test_the_documentation_shows_the_examples() -> None:
    """GitLab's pipeline in the docs is the file; every input and output of the Action has its row."""
    text = (ROOT / "docs" / "ci.md").read_text()
    assert f"```yaml\n{GITLAB.read_text()}```\n" in text
    action = read_yaml(ROOT / ".github" / "actions" / "publish" / "action.yml")
    told = set(re.findall(r"`([a-z-]+)`", "".join(re.findall(r"^\| (`.+?) \|", text, re.MULTILINE))))
    assert told == action["inputs"].keys() | action["outputs"].keys()
