"""The Action, executed by GitHub's rules for composite actions: inputs, env files, outputs, summary."""

from __future__ import annotations

import base64
import json
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import pytest

from publisher.sandbox.server import Sandbox
from tests.support.base_image import WITHOUT_INDEX
from tests.support.github import Runner, read_yaml
from tests.support.http_server import Answer, serve
from tests.support.layout import make_layout
from tests.support.process import wait_until
from tests.support.registry import SECRET, USER, run_registry
from tests.support.token_service import run_token_service

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.support.command import Publish
    from tests.support.github import StepResult
    from tests.support.registry import RegistryProcess

ROOT = Path(__file__).parents[2]
ACTION = ROOT / ".github" / "actions" / "publish"
OUTPUTS = {
    *("version", "tags", "tag-names", "digest", "imageid", "json", "images", "labels", "annotations"),
    *("receipt", "signer", "moved", "kept"),
}
TAGGED = {"ref": "refs/tags/v1.2.3"}
HOSTILE = [
    before + core + after
    for core in (
        'zzz";echo${IFS}"hello";#', "$(touch pwned)", "`touch pwned`", "--force", "-rf", "a|touch pwned",
        "a&&touch pwned", "${{ github.token }}", "::set-output name=x::y", "\x1b[31mred", "x\u2028y", "x\u202ey",
        "'; touch pwned; '", "../../etc", "x<<EOF\nEOF", "%0Aversion=9", "*", "~root", "\\", "x\r\nversion=9",
        "x\n::set-output name=version::9", "\r##[set-output name=version]9",
    )
    for before, after in (("", ""), ("v", ""), ("", ":1"), ("a/", "/b"), ('"', '"'))
]  # fmt: skip


@pytest.fixture
def bare(publish: Publish, tmp_path: Path) -> Callable[..., Runner]:
    """Makes a runner for an event, with an image in its workspace, on which all steps of the Action run."""

    def make(github: Mapping[str, Any] | None = None, secrets: Mapping[str, str] | None = None) -> Runner:
        made = Runner(tmp_path, {**publish.environ, **WITHOUT_INDEX}, github or {}, secrets)
        if not (made.workspace / "lay out").exists():
            make_layout(made.workspace / "lay out", "one")
        return made

    return make


@pytest.fixture
def runner(bare: Callable[..., Runner], installed: dict[str, StepResult]) -> Callable[..., Runner]:
    """The same, where the first step was done before: the program that it made is the same each time."""

    def make(*given: Any) -> Runner:
        made = bare(*given)
        made.installed = installed
        return made

    return make


def fork(kind: str, head: str = "stranger/app") -> dict[str, Any]:
    """The facts of a run for another repository's code."""
    if kind == "workflow_run":
        return {"event_name": kind, "event": {"workflow_run": {"head_repository": {"full_name": head}}}}
    pull = {"number": 7, "head": {"repo": {"full_name": head}}}
    return {"event_name": kind, "ref": "refs/pull/7/merge", "event": {"number": 7, "pull_request": pull}}


def assert_harmless(done: StepResult, runner: Runner) -> None:
    """Only our outputs, nothing for later steps, no command to the runner but masks, no control character."""
    assert done.outputs.keys() <= OUTPUTS
    assert not done.env
    assert not done.path
    assert {name for name, _ in done.commands} <= {"add-mask", "error", "warning", "notice", "group", "endgroup"}
    assert not set(done.log) & set("\x1b\u2028\u202e\r")
    assert not set(done.summary) & set("\x1b\u2028\u202e\r")
    assert {path.name for path in runner.workspace.iterdir()} <= {"lay out"}


def test_the_action_reads_nothing_as_code() -> None:
    """No expression in `run:`, no command that reads words as code; every input and output goes through."""
    text = read_yaml(ACTION / "action.yml")
    assert text["outputs"].keys() == OUTPUTS
    for step in text["runs"]["steps"]:
        assert step["shell"] == "bash"
        assert step["run"].startswith("set -euo pipefail\n")
        assert not re.search(r"\$\{\{|\beval\b|GITHUB_ENV|GITHUB_PATH|\bsudo\b", step["run"])
    passed = {value for step in text["runs"]["steps"] for value in step.get("env", {}).values()}
    assert {f"${{{{ inputs.{name} }}}}" for name in text["inputs"]} <= passed


def test_a_release_of_a_tag_with_all_steps(
    bare: Callable[..., Runner], private_registry: RegistryProcess, name: str
) -> None:
    """Hash-locked installation, release with a password, outputs, summary; nothing is left, no secret is shown."""
    image = f"{private_registry.host}/{name}"
    on = bare(TAGGED)
    credential = {"registry": private_registry.host, "username": USER, "password": f"{SECRET}\n"}
    given = {"images": image, "source": "oci:lay out", "receipt": "re ceipt.json", **credential}
    done = on.use(ACTION, given)
    assert done.code == 0, done.raw
    assert done.outputs.keys() == OUTPUTS
    assert done.outputs["version"] == "1.2.3"
    assert done.outputs["moved"].splitlines() == [f"{image}:{tag}" for tag in ("1.2.3", "1.2", "1", "latest")]
    assert done.document == json.loads((on.workspace / "re ceipt.json").read_text())
    assert done.outputs["receipt"] == done.document["id"]
    for said in (done.outputs["digest"], "create (done)", "linux/amd64", "verified", "move tags", "```mermaid"):
        assert said in done.summary
    secret = [SECRET, quote(SECRET, safe=""), json.dumps(SECRET), *map(encoded, (SECRET, f"{USER}:{SECRET}"))]
    assert on.masks.issuperset(secret[:2] + secret[3:])
    for form in secret:
        assert form not in done.log + done.summary + "".join(done.outputs.values())
    assert list(on.temp.iterdir()) == []
    assert not done.env
    assert not done.path


def encoded(text: str) -> str:
    """As Basic authorisation writes it."""
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize("at", range(10))
def test_hostile_names_do_nothing(at: int, runner: Callable[..., Runner], sandbox_url: str) -> None:
    """A hundred names as branch, label, rule and description, through the real step: they are data and nothing else."""
    assert len(HOSTILE) >= 100
    for hostile in HOSTILE[at::10]:
        about = {"repository": {"description": hostile, "name": hostile, "default_branch": hostile}}
        on = runner({"ref": f"refs/heads/{hostile}", "event": about})
        given = {"command": "plan", "images": "me/app", "labels": f"x={hostile}", "tags": f"type=raw,value={hostile}"}
        done = on.use(ACTION, given, env={"PUBLISH_SANDBOX": sandbox_url})
        assert done.code in {0, 2, 4}, done.raw
        assert_harmless(done, on)
        assert not done.outputs.get("version", "").startswith("9")


# Each input, and a command that takes it.
TEXTS = {
    "command": "plan", "images": "plan", "tags": "retag", "flavor": "plan", "labels": "plan", "version": "yank",
    "source": "verify", "context": "release", "file": "release", "target": "release", "build-args": "release",
    "registry": "plan", "username": "plan", "password": "status", "config": "plan", "via": "release",
    "verify": "release", "receipt": "reconcile", "dry-run": "plan", "smoke": "release", "sandbox": "plan",
    "allow-fork": "plan", "sign": "release", "sbom": "release", "credentials": "plan", "only": "plan",
    "platforms": "release", "secrets": "release", "secret-envs": "release", "secret-files": "release",
    "cache-from": "release", "cache-to": "release", "builder": "release", "timeout": "yank", "pull-request": "release",
}  # fmt: skip


@pytest.mark.parametrize("name", TEXTS)
def test_hostile_inputs_do_nothing(name: str, runner: Callable[..., Runner], sandbox_url: str) -> None:
    """Whatever an input holds, it stays one value: it ends in a result or in an error of ours."""
    assert TEXTS.keys() == read_yaml(ACTION / "action.yml")["inputs"].keys()
    at = list(TEXTS).index(name)
    for hostile in HOSTILE[at :: len(TEXTS)]:
        on = runner()
        given = {"command": TEXTS[name], "images": "me/app", name: hostile}
        given |= {"source": "oci:lay out"} if TEXTS[name] == "retag" else {}
        done = on.use(ACTION, given, env={"PUBLISH_SANDBOX": sandbox_url})
        assert done.code in {0, 1, 2, 3, 4, 6}, done.raw
        assert "Traceback" not in done.raw
        if name == "receipt" and "/" not in hostile:
            (on.workspace / hostile.strip()).unlink(missing_ok=True)  # it was asked for, by that name
        assert_harmless(done, on)


def test_a_hostile_registry_says_nothing(runner: Callable[..., Runner]) -> None:
    """What a registry answers is shown as words: no command, no control character, no markup."""
    said = "\x1b[31m\r\n::set-output name=x::y\n##[add-path]/evil <img src=x onerror=1> [a](javascript:1) | `b` \u202e"
    body = json.dumps({"errors": [{"code": "DENIED", "message": said, "detail": said}]}).encode()
    with serve(lambda _seen: Answer(403, {"Content-Type": "application/json"}, body)) as registry:
        on = runner(TAGGED)
        done = on.use(ACTION, {"images": f"{registry.host}/me/app", "source": "oci:lay out"})
    assert done.code == 3, done.raw
    assert_harmless(done, on)
    assert done.document["kind"] == "denied"
    assert "### Failed" in done.summary
    assert not re.search(r"<img|(?<!\\)\[a\]|\n::", done.summary)


def test_a_rehearsal_goes_to_the_sandbox(runner: Callable[..., Runner]) -> None:
    """With sandbox an image for Docker Hub is released on a tag without account and network; no credential is read."""
    on = runner(TAGGED, {"TOKEN": "unused-token"})
    given = {"images": "me/app", "source": "oci:lay out", "sandbox": "true", "password": "unused-token"}
    done = on.use(ACTION, given, env={"DOCKERHUB_TOKEN": "half a pair"})
    assert done.code == 0, done.raw
    assert done.document["sandbox"] is True
    assert done.outputs["moved"].splitlines()[-1] == "docker.io/me/app:latest"
    assert "(rehearsal)" in done.summary.replace("\\", "")


def test_a_rehearsal_signs_too(runner: Callable[..., Runner]) -> None:
    """By an identity of the sandbox's, and says who that is, as `publish verify` takes it."""
    given = {"images": "me/app", "source": "oci:lay out", "sandbox": "true", "sign": "true"}
    done = runner(TAGGED).use(ACTION, given)
    assert done.code == 0, done.raw
    assert done.outputs["signer"].startswith("github.com/")
    assert "publish verify me/app@sha256:" in done.summary.replace("\\", "")


def test_a_fork_plans_and_never_pushes(runner: Callable[..., Runner], registry: RegistryProcess, name: str) -> None:
    """A fork's pull request is planned or rehearsed, whatever credentials lie about; what would write only looks."""
    before = [asked for asked in registry.requests() if asked.method not in {"GET", "HEAD"}]
    image = f"{registry.host}/{name}"
    given = {"images": image, "source": "oci:lay out", "username": "me", "password": "a-secret"}
    on = runner(fork("pull_request"))
    lying = {"DOCKERHUB_TOKEN": "half a pair", "PUBLISH_PASSWORD": "half a pair"}
    done = on.use(ACTION, given, env=lying)
    assert done.code == 0, done.raw
    assert done.outputs["tags"] == f"{image}:pr-7"
    assert done.document["schema"] == "publish.plan/1"
    rehearsed = on.use(ACTION, {**given, "sandbox": "true"})
    assert rehearsed.code == 0, rehearsed.raw
    assert (rehearsed.document["sandbox"], rehearsed.outputs["moved"]) == (True, f"{image}:pr-7")
    assert registry_writes(registry) == before
    on.use(ACTION, {"command": "reconcile", "images": image})
    on.use(ACTION, {"command": "retag", "source": f"{image}:1", "tags": ":2"})
    assert registry_writes(registry) == before


def registry_writes(registry: RegistryProcess) -> list[object]:
    """What it was asked to change."""
    return [asked for asked in registry.requests() if asked.method not in {"GET", "HEAD"}]


@pytest.mark.parametrize("kind", ["pull_request_target", "workflow_run"])
def test_a_fork_gets_no_secret(kind: str, runner: Callable[..., Runner], registry: RegistryProcess, name: str) -> None:
    """Events with secrets refuse a fork's head where one was given, in whatever way; our own head is served."""
    given = {"images": f"{registry.host}/{name}", "source": "oci:lay out", "command": "plan", "version": "1.0.0"}
    credential = {"username": "me", "password": "a-secret"}
    on = runner(fork(kind))
    listed = {"credentials": "other.example me a-secret"}
    for more, env in ((credential, {}), (listed, {}), ({}, {"DOCKERHUB_TOKEN": "a-secret"}), ({"context": "."}, {})):
        bare = {key: value for key, value in given.items() if not (more.get("context") and key == "source")}
        refused = on.use(ACTION, {**bare, **more}, env=env)
        assert (refused.code, "fork" in refused.log) == (2, True), refused.raw
    assert on.use(ACTION, {**given, **credential, "allow-fork": "true"}).code == 0
    assert on.use(ACTION, given).code == 0
    assert runner(fork(kind, "me/app")).use(ACTION, {**given, **credential}).code == 0
    gone = {"event": {"workflow_run": {"head_repository": None}, "pull_request": {"head": {"repo": None}}}}
    assert runner({**fork(kind), **gone}).use(ACTION, {**given, **credential}).code == 2


def test_the_commands_after_a_release(runner: Callable[..., Runner], registry: RegistryProcess, name: str) -> None:
    """verify, status, retag, yank and reconcile hand on what makes sense for them, each with a page."""
    image = f"{registry.host}/{name}"
    on = runner()

    def use(command: str, **given: str) -> StepResult:
        return on.use(ACTION, {"command": command, **given})

    for version in ("1.0.0", "1.1.0"):
        shutil.rmtree(on.workspace / "lay out")
        make_layout(on.workspace / "lay out", version)
        assert use("release", images=image, source="oci:lay out", version=version).code == 0
    digest = use("verify", source=f"{image}:latest").outputs["digest"]
    looked = use("status", images=image)
    assert (looked.code, looked.outputs["version"], looked.outputs["digest"]) == (0, "1.1.0", digest)
    assert f"{image}:latest" in looked.outputs["tags"].splitlines()
    assert "every floating tag is true" in looked.summary
    moved = use("retag", source=f"{image}:1.0.0", tags=":stable\n:tested")
    assert (
        moved.outputs["moved"].splitlines() == [f"{image}:stable", f"{image}:tested"] == moved.outputs["tags"].split()
    )
    assert use("retag", source=f"{image}:1.0.0", tags=":1").code == 4
    dry = use("yank", images=image, version="1.1.0", **{"dry-run": "true"})
    assert (dry.code, dry.outputs["moved"]) == (0, "")
    yanked = use("yank", images=image, version="1.1.0")
    assert f"{image}:latest" in yanked.outputs["moved"].splitlines()
    assert re.search(r't\w+\(\["latest"\]\) == "now" ==> v\w+\["1\.0\.0"\]', yanked.summary)
    assert '-. "before" .-> ' in yanked.summary
    on.use(ACTION, {"command": "retag", "source": f"{image}:1.1.0", "tags": ":latest"})
    drifted = use("status", images=image)
    assert (drifted.code, drifted.document["schema"]) == (4, "publish.status/1")
    assert '"belongs"' in drifted.summary
    assert use("reconcile", images=image).outputs["moved"] == f"{image}:latest"


def test_blocks_as_of_metadata_action(runner: Callable[..., Runner], sandbox_url: str) -> None:
    """images, tags and flavor come along from docker/metadata-action as they are: comments, records, empty lines."""
    given = {
        "command": "plan",
        "images": "# where to\nme/app\n\nname=ghcr.io/me/app,enable=false\n",
        "tags": "type=semver,pattern={{version}}\n  # the branch\n  type=ref,event=branch\ntype=raw,value=edge\n",
        "flavor": "latest=false\nsuffix=-alpine",
        "labels": "maintainer=ann <ann@localhost>\n",
    }
    done = runner(TAGGED).use(ACTION, given, env={"PUBLISH_SANDBOX": sandbox_url})
    assert done.code == 0, done.raw
    assert done.outputs["tags"].splitlines() == ["me/app:1.2.3-alpine", "me/app:edge-alpine"]
    assert done.outputs["version"] == "1.2.3-alpine"
    assert "maintainer=ann <ann@localhost>" in done.outputs["labels"].splitlines()
    assert f"manifest:org.opencontainers.image.revision={'a' * 40}" in done.outputs["annotations"].splitlines()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"command": "undo"}, "must be one of release"),
        ({"dry-run": "yes"}, "the input dry-run is 'yes'"),
        ({"command": "retag", "images": "me/app"}, "the input images says nothing to the command retag"),
        ({"source": "app", "context": "."}, "leave one out"),
        ({"password": "a-secret"}, "username is not"),
    ],
)
def test_inputs_that_would_not_do_what_they_say(
    given: dict[str, str], said: str, runner: Callable[..., Runner]
) -> None:
    """A switch that is neither true nor false, or an input that has no effect, is refused and not passed over."""
    done = runner().use(ACTION, given)
    assert done.code == (3 if "password" in given else 2)
    assert said in done.log


def test_a_machine_without_python(bare: Callable[..., Runner], tmp_path: Path) -> None:
    """An error says what to install, and nothing is left behind."""
    on = bare()
    on.environ["PATH"] = few_tools(tmp_path)
    done = on.use(ACTION, {"command": "status"})
    assert (done.code, "no Python 3.11 or newer" in done.log) == (2, True), done.raw
    assert list(on.temp.iterdir()) == []


def few_tools(folder: Path) -> str:
    """A PATH with what the steps need beside Python."""
    tools = folder / "bin"
    tools.mkdir()
    for tool in ("bash", "mktemp", "rm", "mkdir", "cp"):
        (tools / tool).symlink_to(shutil.which(tool) or tool)
    return str(tools)


def test_a_dependency_that_has_changed(bare: Callable[..., Runner], tmp_path: Path) -> None:
    """Another file under a locked name is refused by its hash; nothing is left behind. Python is that of the tools."""
    copy = tmp_path / "che ckout"
    for name in (".github/actions/publish", "publisher", "requirements"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    lock = copy / "requirements" / "publish.txt"
    lock.write_text(re.sub(r"sha256:[0-9a-f]{8}", "sha256:00000000", lock.read_text()))
    on = bare()
    on.environ["PATH"] = few_tools(tmp_path)
    python = on.tools / "Python" / "3.11.9" / "x64" / "bin" / "python3"
    python.parent.mkdir(parents=True)
    python.symlink_to(getattr(sys, "_base_executable", sys.executable))
    done = on.use(copy / ".github/actions/publish", {"command": "status"})
    assert (done.code, "DO NOT MATCH THE HASHES" in done.log) == (1, True), done.raw
    assert list(on.temp.iterdir()) == []


def test_tokens_of_a_registry_are_masked(runner: Callable[..., Runner], name: str, tmp_path: Path) -> None:
    """What a token service gives for the password is as secret as the password: the log blanks it before it is used."""
    with (
        run_token_service(tmp_path / "tokens") as tokens,
        run_registry(tmp_path / "registry", tokens=tokens) as registry,
    ):
        on = runner(TAGGED)
        trusted = f'[registry."{registry.host}"]\ntrusted-realms = ["{urlsplit(tokens.realm).netloc}"]\n'
        (on.workspace / "publish.toml").write_text(trusted)
        given = {"images": f"{registry.host}/{name}", "source": "oci:lay out", "username": USER, "password": SECRET}
        done = on.use(ACTION, given)
    assert done.code == 0, done.raw
    assert any(mask.startswith("eyJ") and mask.count(".") == 2 for mask in on.masks)


def test_a_cancelled_job(runner: Callable[..., Runner], publish: Publish) -> None:
    """The runner's signal reaches publish: it stops between two requests, keeps its receipt, and its page says so."""
    with Sandbox(faults=["PUT /manifests/latest every 503"]) as sandbox:
        on = runner(TAGGED)

        def is_promoting() -> bool:
            written = (one for one in tuple(sandbox.requests) if one["method"] == "PUT")
            return any("/manifests/latest" in str(one["path"]) for one in written)

        on.cancels = lambda: wait_until(is_promoting, seconds=20, what="a release")
        done = on.use(ACTION, {"images": "me/app", "source": "oci:lay out"}, env={"PUBLISH_SANDBOX": sandbox.url})
    assert (done.code, "Traceback" in done.raw) == (130, False), done.raw
    assert "interrupted" in done.summary.lower()
    assert json.loads(next((publish.home / "state").rglob("*.json")).read_text())["outcome"] == "incomplete"


def test_credentials_of_several_registries(
    runner: Callable[..., Runner], private_registry: RegistryProcess, registry: RegistryProcess, name: str
) -> None:
    """Each line goes to its host alone, and its secret is masked as the password is."""
    on = runner(TAGGED)
    images = f"{private_registry.host}/{name}\n{registry.host}/{name}"
    listed = f"{private_registry.host} {USER} {SECRET}\nother.example somebody an-other-secret\n"
    done = on.use(ACTION, {"images": images, "source": "oci:lay out", "credentials": listed})
    assert done.code == 0, done.raw
    assert on.masks.issuperset({SECRET, encoded(f"{USER}:{SECRET}"), "an-other-secret"})
    for secret in (SECRET, "an-other-secret"):
        assert secret not in done.log + done.summary + "".join(done.outputs.values())
