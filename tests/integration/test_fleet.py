"""The worked examples of builds that outgrow one machine, as a runner does them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.integration.test_github_workflows import EXAMPLES, write_app
from tests.support.command import Publish
from tests.support.github import Runner, read_yaml
from tests.support.parts import add_buildx, find_tool
from tests.support.registry import SECRET, USER

if TYPE_CHECKING:
    from tests.support.engine import EngineProcess
    from tests.support.registry import RegistryProcess

SECRETS = {"DOCKERHUB_USERNAME": USER, "DOCKERHUB_TOKEN": SECRET}


@pytest.fixture
def runner(containerd_engine: EngineProcess, tmp_path: Path) -> Runner:
    """A machine with an engine, for a pushed tag; what it would install is at hand already."""
    home, tools = tmp_path / "home", tmp_path / "tools"
    for folder in (home, tools):
        folder.mkdir()
    add_buildx(home / "docker")
    # There is no network here that pipx could install from.
    (tools / "pipx").write_text(
        '#!/bin/sh\ntest "$1" = install && test "${2%@*}" = git+https://github.com/OWNER/publish\n'
    )
    (tools / "pipx").chmod(0o755)
    (tools / "docker").symlink_to(find_tool("docker"))
    environ = Publish(home, {"DOCKER_HOST": containerd_engine.host}).environ
    environ["PATH"] = f"{tools}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    secrets = {**SECRETS, "BUILD_HOST": containerd_engine.host}
    made = Runner(tmp_path / "runner", environ, {"event_name": "push", "ref": "refs/tags/v1.2.0"}, secrets)
    write_app(made.workspace)
    return made


def _for_registry(name: str, image: str, folder: Path) -> Path:
    copy = folder / name
    copy.write_text((EXAMPLES / name).read_text().replace("docker.io/me/app", image))
    return copy


def _platforms(image: str, home: Path) -> list[str]:
    """By an independent tool."""
    words = [find_tool("skopeo"), "inspect", "--raw", "--tls-verify=false", f"--creds={USER}:{SECRET}"]
    shown = subprocess.run([*words, f"docker://{image}"], capture_output=True, text=True, check=True, cwd=home).stdout
    entries = [entry["platform"] for entry in json.loads(shown)["manifests"]]
    return [f"{entry['os']}/{entry['architecture']}" for entry in entries if entry["os"] != "unknown"]


def test_a_matrix_of_machines(runner: Runner, private_registry: RegistryProcess, name: str, tmp_path: Path) -> None:
    """Each pushes its platform by digest and moves no tag of a release; the last job assembles them."""
    image = f"{private_registry.host}/{name}"
    workflow = _for_registry("fleet.yml", image, tmp_path)
    for machine in read_yaml(workflow)["jobs"]["part"]["strategy"]["matrix"]["include"]:
        done = runner.job(workflow, "part", matrix=machine)
        assert done
        assert done.code == 0, done.raw
    done = runner.job(workflow, "release")
    assert done
    assert done.code == 0, done.raw
    assert _platforms(f"{image}:1.2.0", tmp_path) == ["linux/amd64", "linux/arm64"]
    assert SECRET not in done.log


def test_a_remote_buildkit(runner: Runner, private_registry: RegistryProcess, name: str, tmp_path: Path) -> None:
    """The machine that releases has no engine that it could ask: what was built elsewhere comes as a layout."""
    image = f"{private_registry.host}/{name}"
    # Only what the workflow says leads to the engine.
    del runner.environ["DOCKER_HOST"]
    done = runner.job(_for_registry("remote-builder.yml", image, tmp_path), "release")
    assert done
    assert done.code == 0, done.raw
    assert _platforms(f"{image}:latest", tmp_path) == ["linux/amd64", "linux/arm64"]
