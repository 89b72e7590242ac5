"""The Action's step, run by GitHub's rules for composite actions: inputs, env, files, outputs, summary."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.parts.layout import make_layout
from tests.parts.registry import SECRET, USER

if TYPE_CHECKING:
    from tests.parts.command import Publish
    from tests.parts.registry import Registry

ROOT = Path(__file__).parents[2]
ACTION = ROOT / ".github" / "actions" / "publish"
TEXT = (ACTION / "action.yml").read_text()
SCRIPT = TEXT.partition("      run: |\n")[2]
OUTPUTS = {"version", "tags", "digest", "json", "labels", "annotations", "receipt", "moved", "kept"}
HOSTILE = [
    before + core + after
    for core in (
        'zzz";echo${IFS}"hello";#', "$(touch pwned)", "`touch pwned`", "--force", "-rf", "a|touch pwned",
        "a&&touch pwned", "${{ github.token }}", "::set-output name=x::y", "\x1b[31mred", "x\u2028y", "x\u202ey",
        "'; touch pwned; '", "../../etc", "x<<EOF\nEOF", "%0Aversion=9", "*", "~root", "\\", "x\r\nversion=9",
    )
    for before, after in (("", ""), ("v", ""), ("", ":1"), ("a/", "/b"), ('"', '"'))
]  # fmt: skip


class Runner:
    """Runs the step in a workspace whose path has a space."""

    def __init__(self, publish: Publish, folder: Path) -> None:
        self.publish, self.workspace = publish, folder / "work space"
        self.temp, self.output, self.summary = folder / "runner temp", folder / "output", folder / "summary"
        self.workspace.mkdir()
        self.temp.mkdir()

    def environ(self, inputs: dict[str, str], given: dict[str, str]) -> dict[str, str]:
        """What the runner gives the step."""
        declared = re.findall(r"^ {8}INPUT_([A-Z_]+):", TEXT, re.MULTILINE)
        wanted = {f"INPUT_{name}": inputs.get(name.lower().replace("_", "-"), "") for name in declared}
        self.output.write_text("")
        self.summary.write_text("")
        files = {"GITHUB_OUTPUT": str(self.output), "GITHUB_STEP_SUMMARY": str(self.summary)}
        forbidden = {name: str(self.temp.parent / name) for name in ("GITHUB_ENV", "GITHUB_PATH")}
        told = {"GITHUB_ACTIONS": "true", "GITHUB_REPOSITORY": "me/app", "RUNNER_TEMP": str(self.temp)}
        return {**self.publish.environ, **wanted, **files, **forbidden, **told, "ACTION_PATH": str(ACTION), **given}

    def step(
        self, inputs: dict[str, str], given: dict[str, str], *, whole: bool = False
    ) -> subprocess.CompletedProcess[str]:
        """Run the step's Python, or the whole script with its installation."""
        words = [sys.executable, "-I", str(ACTION / "run.py")]
        if whole:
            body = "\n".join(line[8:] for line in SCRIPT.splitlines())
            words = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", body]
        return subprocess.run(
            words, env=self.environ(inputs, given), cwd=self.workspace, capture_output=True, text=True, check=False
        )

    def outputs(self) -> dict[str, str]:
        """Read the outputs as GitHub's runner does."""
        found: dict[str, str] = {}
        rows = iter(self.output.read_text().split("\n"))
        for row in rows:
            if match := re.fullmatch(r"([^=<]+)<<(.+)", row):
                value = list(iter(lambda: next(rows), match[2]))
                found[match[1]] = "\n".join(value)
            elif row:
                key, _, found[key] = row.partition("=")
        return found


@pytest.fixture
def runner(publish: Publish, tmp_path: Path) -> Runner:
    """A runner with an image in its workspace."""
    made = Runner(publish, tmp_path)
    make_layout(made.workspace / "lay out", "one")
    return made


def event(kind: str, folder: Path) -> dict[str, str]:
    """The facts of a fork's pull request."""
    path = folder / "event.json"
    path.write_text(
        json.dumps({"number": 7, "pull_request": {"number": 7, "head": {"repo": {"full_name": "stranger/app"}}}})
    )
    return {
        "GITHUB_EVENT_NAME": kind,
        "GITHUB_EVENT_PATH": str(path),
        "GITHUB_REF": "refs/pull/7/merge",
        "GITHUB_SHA": "a" * 40,
    }


def test_nothing_of_github_is_expanded_in_the_script() -> None:
    """No expression in `run:`, no command that reads words as code, no changes to later steps."""
    assert SCRIPT.startswith("        set -euo pipefail\n")
    assert not re.search(r"\$\{\{|\beval\b|GITHUB_ENV|GITHUB_PATH", SCRIPT)
    assert "--require-hashes" in SCRIPT


def test_the_whole_step_installs_releases_and_cleans_up(runner: Runner, private_registry: Registry, name: str) -> None:
    """On a tag's event: hash-locked installation, release with a password, outputs, summary, an empty temp folder."""
    image = f"{private_registry.host}/{name}"
    credential = {"username": USER, "password": SECRET}
    inputs = {"command": "release", "images": image, "source": "oci:lay out", "smoke": "true", **credential}
    facts = {"GITHUB_EVENT_NAME": "push", "GITHUB_REF": "refs/tags/v1.2.3", "GITHUB_SHA": "a" * 40}
    done = runner.step(inputs, facts, whole=True)
    assert done.returncode == 0, done.stderr
    found = runner.outputs()
    assert set(found) == OUTPUTS
    assert found["moved"].splitlines() == [f"{image}:{tag}" for tag in ("1.2.3", "1.2", "1", "latest")]
    assert found["digest"] in runner.summary.read_text()
    basic = base64.b64encode(f"{USER}:{SECRET}".encode()).decode()
    assert f"::add-mask::{SECRET}\n::add-mask::" in done.stdout
    assert f"::add-mask::{basic}\n" in done.stdout
    unmasked = [line for line in (done.stdout + done.stderr).splitlines() if not line.startswith("::add-mask::")]
    assert SECRET not in "\n".join(unmasked) + runner.output.read_text() + runner.summary.read_text()
    assert list(runner.temp.iterdir()) == []
    assert not (runner.temp.parent / "GITHUB_ENV").exists()


def test_a_rehearsal_goes_to_the_sandbox(runner: Runner) -> None:
    """With sandbox an image for Docker Hub is released without account and network."""
    inputs = {
        "images": "me/app",
        "version": "1.0.0",
        "source": "oci:lay out",
        "sandbox": "true",
        "password": "unused-1",
    }
    done = runner.step(inputs, {})
    assert done.returncode == 0, done.stderr
    assert json.loads(runner.outputs()["json"])["sandbox"] is True


def test_a_fork_plans_and_never_pushes(runner: Runner, registry: Registry, name: str, tmp_path: Path) -> None:
    """A fork's pull request gets a plan, and with a password in an event that has secrets it is refused."""
    before = len([asked for asked in registry.requests() if asked.method != "GET"])
    inputs = {"images": f"{registry.host}/{name}", "source": "oci:lay out"}
    done = runner.step(inputs, event("pull_request", tmp_path))
    assert done.returncode == 0, done.stderr
    assert runner.outputs()["tags"] == f"{registry.host}/{name}:pr-7"
    half = {**event("pull_request", tmp_path), "DOCKERHUB_TOKEN": "half a pair", "PUBLISH_PASSWORD": "half a pair"}
    assert runner.step(inputs, half).returncode == 0
    given = {**inputs, "password": "a-secret"}
    refused = runner.step(given, event("pull_request_target", tmp_path))
    assert refused.returncode == 2
    assert "fork" in refused.stderr
    wrote = [asked for asked in registry.requests() if asked.method not in {"GET", "HEAD"}]
    assert len(wrote) <= before


def test_a_workflow_run_of_a_fork_gets_no_password(
    runner: Runner, registry: Registry, name: str, tmp_path: Path
) -> None:
    """workflow_run has the repository's secrets: for a fork's head they are refused, for our own used."""
    inputs = {"images": f"{registry.host}/{name}", "source": "oci:lay out", "command": "plan", "password": "a-secret"}
    inputs |= {"username": "me", "version": "1.0.0"}
    file = tmp_path / "run.json"
    for head, code in (("stranger/repo", 2), ("me/repo", 0)):
        file.write_text(json.dumps({"workflow_run": {"head_repository": {"full_name": head}}}))
        facts = {"GITHUB_EVENT_NAME": "workflow_run", "GITHUB_EVENT_PATH": str(file), "GITHUB_REPOSITORY": "me/repo"}
        facts |= {"GITHUB_REF": "refs/heads/main", "GITHUB_SHA": "a" * 40}
        done = runner.step(inputs, facts)
        assert done.returncode == code, done.stderr


def test_a_harmless_name_is_planned(runner: Runner) -> None:
    """What the hostile names are held to would notice a step that does nothing."""
    inputs = {
        "command": "plan",
        "images": "me/app",
        "labels": "x=plain",
        "tags": "type=raw,value=plain",
        "sandbox": "true",
    }
    facts = {"GITHUB_EVENT_NAME": "push", "GITHUB_REF": "refs/heads/plain", "GITHUB_SHA": "a" * 40}
    done = runner.step(inputs, facts)
    assert done.returncode == 0, done.stderr
    assert runner.outputs()["tags"] == "me/app:plain"


@pytest.mark.parametrize("at", range(10))
def test_hostile_names_do_nothing(at: int, runner: Runner) -> None:
    """A hundred names as branch, version, label and rule: only our outputs, no code run, no control character."""
    assert len(HOSTILE) >= 100
    for hostile in HOSTILE[at::10]:
        inputs = {"command": "plan", "images": "me/app", "labels": f"x={hostile}", "tags": f"type=raw,value={hostile}"}
        inputs["sandbox"] = "true"
        facts = {"GITHUB_EVENT_NAME": "push", "GITHUB_REF": f"refs/heads/{hostile}", "GITHUB_SHA": "a" * 40}
        done = runner.step(inputs, facts)
        assert done.returncode in {0, 2, 4}, done.stderr
        assert set(runner.outputs()) <= OUTPUTS
        assert not runner.outputs().get("version", "").startswith("9")
        assert not set(done.stdout + done.stderr) & set("\x1b\u2028\u202e\r")
        assert not any(line.startswith("::") for line in done.stdout.splitlines())
        assert [path.name for path in runner.workspace.iterdir()] == ["lay out"]
