"""Templates for other CIs: each fills in at one place, and its scripts rehearse and release, by that CI's variables."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from publisher.sandbox.server import Sandbox
from tests.integration.test_github_workflows import SECRETS, write_app
from tests.support.builds import CONTAINERD
from tests.support.github import Runner, read_yaml

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.support.command import Publish
    from tests.support.github import StepResult

EXAMPLES = Path(__file__).parents[2] / "examples"
_COMMIT = "1234567890" * 4
TEMPLATES = sorted(
    path for path in EXAMPLES.rglob("*") if path.suffix in {".yml", ".yaml"} or path.name == "Jenkinsfile"
)


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: str(path.relative_to(EXAMPLES)))
def test_one_command_fills_it_in(template: Path, tmp_path: Path) -> None:
    """It stands at the top; after it nothing is left to fill in, and every address is whole."""
    command = re.search(r"^(?:#|//) +(sed -i .+)$", "\n".join(template.read_text().splitlines()[:5]), re.MULTILINE)
    assert command, "no line at the top says how"
    shutil.copy(template, tmp_path)
    filled = command[1].replace("COMMIT", _COMMIT).replace("DIGEST", _COMMIT + "a" * 24)
    subprocess.run(["bash", "-c", filled], cwd=tmp_path, check=True)
    text = (tmp_path / template.name).read_text()
    used = [line for line in text.splitlines() if "example-org/publish" in line]
    assert "OWNER/" not in text
    assert not re.search("0{40}", text)
    assert used
    assert all(
        re.search(rf"example-org/publish(/\.github/actions/publish)?@(sha256:)?{_COMMIT}", line) for line in used
    )


@dataclass(frozen=True)
class Script:
    """What a CI runs: the text, and the variables that the template itself sets for it.

    on_path: whether the step that installs has put publish on the path.
    """

    text: str
    environ: Mapping[str, str]
    on_path: bool = True


def jenkins(stage: str) -> Script:
    """A stage's `sh`, in Groovy's single quotes, where nothing is filled in."""
    text = (EXAMPLES / "jenkins" / "Jenkinsfile").read_text()
    assert '"' not in "".join(re.findall(r"\bsh (\S)", text)), "Groovy would fill in the secret"
    body = text[text.index(f"stage('{stage}')") :]
    script = re.search(r"\bsh '''(.+?)'''", body, re.DOTALL)
    assert script
    return Script(script[1], {}, on_path=False)


def circleci(job: str) -> Script:
    text = read_yaml(EXAMPLES / "circleci" / "config.yml")
    return Script(next(step["run"] for step in text["jobs"][job]["steps"] if "run" in step), {})


def azure(title: str) -> Script:
    """A step; secrets reach it only by its own `env`."""
    text = read_yaml(EXAMPLES / "azure" / "azure-pipelines.yml")
    step = next(step for step in text["steps"] if step.get("displayName") == title)
    given = {name: SECRETS[value[2:-1]] for name, value in step.get("env", {}).items()}
    return Script(step["bash"], given)


@pytest.fixture
def machine(publish_with_engine: Publish, tmp_path: Path) -> dict[str, str]:
    """A checkout of a tag with an app in it, and publish installed where the template puts it."""
    write_app(tmp_path, "me/app")
    program = Path(publish_with_engine.program)
    beside = tmp_path.with_name(f"{tmp_path.name}@tmp") / "publish"
    beside.mkdir(parents=True)
    (beside / "bin").symlink_to(program.parent)
    environ = {**publish_with_engine.environ, "GIT_CONFIG_GLOBAL": os.devnull}
    folders = {"WORKSPACE_TMP": str(beside.parent), "BUILD_ARTIFACTSTAGINGDIRECTORY": str(tmp_path)}
    return {**environ, **folders}


@CONTAINERD
@pytest.mark.parametrize(
    ("rehearsal", "release", "environ"),
    [
        pytest.param(jenkins("Rehearse"), jenkins("Release"), {"TAG_NAME": "v1.2.3", **SECRETS}, id="jenkins"),
        pytest.param(circleci("rehearse"), circleci("release"), {"CIRCLE_TAG": "v1.2.3", **SECRETS}, id="circleci"),
        pytest.param(azure("Rehearse"), azure("Release"), {"BUILD_SOURCEBRANCH": "refs/tags/v1.2.3"}, id="azure"),
    ],
)
def test_it_rehearses_and_releases(
    rehearsal: Script, release: Script, environ: dict[str, str], machine: dict[str, str], tmp_path: Path
) -> None:
    """A branch reaches no registry and needs no secret; a tag's version is released, with a receipt to keep."""
    with Sandbox() as sandbox:
        first = run(rehearsal, machine, tmp_path)
        assert "plan for 0.0.0 (rehearsal)" in first
        assert "me/app@sha256:" in first
        done = run(release, {**machine, **environ, "PUBLISH_SANDBOX": sandbox.url}, tmp_path)
    assert "me/app@sha256:" in done
    receipt = json.loads((tmp_path / "receipt.json").read_text())
    assert receipt["outcome"] == "done"
    assert {move["reference"] for move in receipt["moves"]} >= {"docker.io/me/app:1.2.3", "docker.io/me/app:latest"}
    assert not any(secret in first + done for secret in SECRETS.values() if len(secret) > 6)


def run(script: Script, environ: Mapping[str, str], folder: Path) -> str:
    words = ["bash", "-eo", "pipefail", "-c", script.text]
    installed = f"{environ['WORKSPACE_TMP']}/publish/bin:" if script.on_path else ""
    folders = [path for path in environ["PATH"].split(":") if not (Path(path) / "publish").exists()]
    environ = {**environ, "PATH": installed + ":".join(folders)}
    done = subprocess.run(
        words, env={**environ, **script.environ}, cwd=folder, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@CONTAINERD
@pytest.mark.parametrize(
    ("event", "ref", "said"),
    [("push", "refs/tags/v1.2.3", "code.example/me/app:1.2"), ("pull_request", "refs/pull/7/merge", "pr-7")],
)
def test_forgejo(
    event: str, ref: str, said: str, publish_with_engine: Publish, installed: dict[str, StepResult], tmp_path: Path
) -> None:
    """Its runner does what GitHub's does: a tag releases, a pull request rehearses, with the same one step."""
    head = {"number": 7, "head": {"repo": {"full_name": "me/app"}}}
    facts = {"event_name": event, "ref": ref, "event": {"number": 7, "pull_request": head} if "pull" in ref else {}}
    secrets = {"REGISTRY_USERNAME": "me", "REGISTRY_TOKEN": "a-long-token"}
    with Sandbox() as sandbox:
        runner = Runner(tmp_path, {**publish_with_engine.environ, "PUBLISH_SANDBOX": sandbox.url}, facts, secrets)
        runner.installed = installed
        write_app(runner.workspace)
        (runner.workspace / "publish.toml").unlink()
        done = runner.job(EXAMPLES / "forgejo" / "publish.yml", "image")
    assert done is not None
    assert done.code == 0, done.raw
    assert said in done.summary
    assert "a-long-token" not in done.log + done.summary
