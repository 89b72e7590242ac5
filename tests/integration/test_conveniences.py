"""Schemas, completion and the plugin for docker's CLI, held against what publish really prints."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from publisher.cli.plugin import split_arguments
from publisher.sandbox.options import Options
from publisher.sandbox.server import Sandbox
from tests.support.layout import make_layout

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.command import Publish, Result
    from tests.support.registry import RegistryProcess

SCRIPTS = Path(sys.executable).parent


@pytest.fixture
def released(registry: RegistryProcess, publish: Publish, name: str, tmp_path: Path) -> Result:
    """A release with its receipt on this machine."""
    make_layout(tmp_path / "layout", name)
    image = f"{registry.host}/{name}"
    result = publish("release", f"oci:{tmp_path / 'layout'}", "--image", image, "--version", "1.2.3", "--format=json")
    assert result.code == 0, result.stderr
    return result


def test_schemas_are_listed_and_guessed(publish: Publish) -> None:
    """Without a name all are listed; a misspelt one is answered with the nearest."""
    listed = publish("schema").stdout.split()
    assert {"plan", "plans", "receipt", "receipts", "verify", "status", "error", "configuration"} <= set(listed)
    missed = publish("schema", "recepit")
    assert missed.code == 2
    assert "Did you mean 'receipt'?" in missed.stderr


def complete(publish: Publish, *words: str) -> list[str]:
    """What the shell is offered after `words`, by bash's protocol."""
    line = " ".join(["publish", *words])
    given = {"_PUBLISH_COMPLETE": "bash_complete", "COMP_WORDS": line}
    return [row.partition(",")[2] for row in publish(environ=given).stdout.splitlines()]


def test_completion_knows_commands_options_tags_and_receipts(released: Result, publish: Publish) -> None:
    """Names come from the table of commands, tags and receipts from this machine's journal."""
    receipt = released.document
    assert complete(publish, "rel") == ["release"]
    assert complete(publish, "release", "--dry") == ["--dry-run"]
    assert complete(publish, "undo", receipt["id"][:6]) == [receipt["id"]]
    assert complete(publish, "yank", "1.") == ["1.2.3"]
    repository = receipt["plan"]["images"][0]
    offered = complete(publish, "verify", repository)
    assert sorted(offered) == sorted(f"{repository}:{tag}" for tag in ("1.2.3", "1.2", "1", "latest"))


def test_completion_knows_images_sources_and_commands_in_a_sandbox(publish: Publish) -> None:
    """The names of [images.NAME], files behind a transport, and what follows `sandbox exec --`."""
    (publish.home / "publish.toml").write_text(
        '[images.api]\nrepositories = ["a/api"]\n[images.web]\nrepositories = []\n'
    )
    (publish.home / "app.tar").touch()
    (publish.home / "layout").mkdir()
    assert complete(publish, "release", "--only", "a") == ["api"]
    assert complete(publish, "plan", "oci-archive:a") == ["oci-archive:app.tar"]
    assert complete(publish, "plan", "oci:lay") == ["oci:layout/"]
    assert complete(publish, "push", "docker-a") == ["docker-archive:"]
    assert complete(publish, "sandbox", "exec", "--", "publ")[0] == "publish"
    assert complete(publish, "sandbox", "exec", "--", "publish", "reconc") == ["reconcile"]
    assert complete(publish, "sandbox", "exec", "--", "publish", "release", "--dry") == ["--dry-run"]
    assert complete(publish, "sandbox", "exec", "--", "make", "all") == ["all"]
    assert complete(publish, "sandbox", "exec", "--fau") == ["--fault"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell: str, publish: Publish) -> None:
    """Each shell gets its script; bash's is valid bash."""
    script = publish("completion", shell)
    assert script.code == 0, script.stderr
    assert f"_PUBLISH_COMPLETE={shell}_complete" in script.stdout
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=script.stdout, text=True, check=True)


def test_misspelt_options_are_answered(publish: Publish) -> None:
    """The nearest option is named."""
    missed = publish("release", "--dry-rum")
    assert missed.code == 2
    assert "Did you mean --dry-run?" in missed.stderr.replace("'", "")


@pytest.fixture
def docker(publish: Publish) -> Callable[..., subprocess.CompletedProcess[str]]:
    """docker's CLI with publish among its plugins."""
    plugins = publish.home / "docker" / "cli-plugins"
    plugins.mkdir(parents=True)
    (plugins / "docker-publish").symlink_to(SCRIPTS / "docker-publish")

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["docker", *words], env=publish.environ, capture_output=True, text=True, check=False)

    return run


def test_docker_runs_publish_as_its_plugin(
    docker: Callable[..., subprocess.CompletedProcess[str]], publish: Publish
) -> None:
    """`docker publish` reaches publish where docker-publish lies among docker's plugins; it knows what it is called."""
    done = docker("publish", "schema", "plan")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads(publish("schema", "plan").stdout)
    assert docker("publish", "release", "--help").stdout.startswith("Usage: docker publish release ")
    missed = docker("publish", "relese")
    assert (missed.returncode, "See 'docker publish --help'" in missed.stderr) == (2, True)
    assert "Release images and keep their tags true" in docker("--help").stdout


def test_docker_passes_its_own_options_on(publish: Publish) -> None:
    """What docker was told before the plugin's name holds for publish too, as docker's newer CLIs hand it on."""
    told: dict[str, str] = {}
    words = ["--context", "far", "-H=unix:///x.sock", "--config", "/c", "-l", "debug", "publish", "plan", "publish"]
    assert split_arguments(words, told) == ["plan", "publish"]
    assert told == {"DOCKER_CONTEXT": "far", "DOCKER_HOST": "unix:///x.sock", "DOCKER_CONFIG": "/c"}
    environ = {**publish.environ, "HOME": str(publish.home)}
    words = [str(SCRIPTS / "docker-publish"), "--host", "unix:///absent.sock", "publish", "doctor", "--format", "json"]
    done = subprocess.run(words, env=environ, cwd=publish.home, capture_output=True, text=True, check=False)
    assert "unix:///absent.sock" in done.stdout
    helped = subprocess.run(
        [words[0], "help", "publish", "yank"], env=environ, capture_output=True, text=True, check=False
    )
    assert helped.stdout.startswith("Usage: docker publish yank ")


def test_docker_completes_its_plugin(released: Result, publish: Publish) -> None:
    """By cobra's protocol, in which docker asks its plugins: answers, and whether files may follow."""

    def asked(*words: str) -> list[str]:
        done = subprocess.run(
            [SCRIPTS / "docker-publish", "__complete", "publish", *words],
            env=publish.environ, capture_output=True, text=True, check=True,
        )  # fmt: skip
        return done.stdout.splitlines()

    assert asked("rec") == ["reconcile\tPut the floating tags where they belong.", ":4"]
    assert asked("undo", "") == [released.document["id"], ":4"]
    assert asked("release", "--receipt", "")[-1] == ":0"


@pytest.mark.parametrize(
    "words",
    [
        ["plan", "--offline", "--image", "a/b", "--version", "1.0.0", "-o", "/nowhere/plan.json"],
        ["push", "docker://sandbox/sample", "--image", "a/b", "--digest-file", "/nowhere/digest"],
    ],
    ids=["plan", "push"],
)
def test_a_file_that_cannot_be_written(words: list[str], publish: Publish) -> None:
    """A slip, told as one."""
    with Sandbox(options=Options(sample=True)) as sandbox:
        result = publish(*words, "--format", "json", environ={"PUBLISH_SANDBOX": sandbox.url})
    assert (result.code, result.document["kind"]) == (2, "usage")
    assert "can't be written: No such file or directory" in result.stderr


@pytest.fixture
def two_images(tmp_path: Path) -> Path:
    """A project that publishes two images."""
    tables = (f'[images.{name}]\nrepositories = ["acme/{name}"]\nsource = "oci:{name}"\n' for name in "ab")
    (tmp_path / "publish.toml").write_text("".join(tables))
    for name in "ab":
        make_layout(tmp_path / name, name)
    return tmp_path


def test_the_second_image_fails(publish: Publish, two_images: Path) -> None:
    """What was released stands in the document, and what stopped the other image: exit 7, and a rerun finishes."""
    words = ["release", "--version", "1.0.0", "--format", "json"]
    with Sandbox(faults=["PUT /acme/b/manifests/ 1st 403"]) as sandbox:
        stopped, again = (publish(*words, cwd=two_images, environ={"PUBLISH_SANDBOX": sandbox.url}) for _ in range(2))
    assert stopped.code == 7, stopped.stderr
    assert [receipt["outcome"] for receipt in stopped.document["receipts"]] == ["done", "failed"]
    assert "(acme/b) was not released, other images were" in " ".join(stopped.stderr.split())
    assert (again.code, len(again.document["receipts"])) == (0, 2)


def test_the_second_image_is_refused(publish: Publish, two_images: Path) -> None:
    """What can be refused is refused before anything of the first image is sent."""
    with Sandbox() as sandbox:
        environ = {"PUBLISH_SANDBOX": sandbox.url}
        taken = publish("release", "oci:a", "--only", "b", "--version", "1.0.0", cwd=two_images, environ=environ)
        assert taken.code == 0, taken.stderr
        refused = publish("release", "--version", "1.0.0", "--format", "json", cwd=two_images, environ=environ)
        assert (refused.code, refused.document["kind"]) == (4, "exact-tag-taken")
        assert "acme/a" not in sandbox.store.state()


GITHUB_PULL = {
    "GITHUB_ACTIONS": "true", "GITHUB_EVENT_NAME": "pull_request", "GITHUB_REF": "refs/pull/7/merge",
    "GITHUB_SHA": "a" * 40, "GITHUB_REPOSITORY": "me/app",
}  # fmt: skip
GITLAB_PULL = {
    "GITLAB_CI": "true", "CI_MERGE_REQUEST_IID": "7", "CI_COMMIT_SHA": "a" * 40, "CI_PROJECT_ID": "1",
    "CI_MERGE_REQUEST_PROJECT_ID": "1",
}  # fmt: skip
OWN, ANOTHERS = ({**GITLAB_PULL, "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": project} for project in "12")
PUSHED, REF, VERSION = ("--pull-request",), "type=ref,event=pr", "type=semver,pattern={{version}}"


@pytest.mark.parametrize(
    ("facts", "more", "rule", "written", "told"),
    [
        pytest.param(GITHUB_PULL, (), REF, [], "", id="planned"),
        pytest.param(GITHUB_PULL, (), VERSION, [], "no rule gives a tag", id="without-a-tag"),
        pytest.param(GITHUB_PULL, PUSHED, REF, [], "of this same repository only", id="a-stranger's"),
        pytest.param(OWN, PUSHED, REF, ["pr-7"], "", id="pushed"),
        pytest.param(ANOTHERS, PUSHED, REF, [], "of this same repository only", id="another-project's"),
    ],
)
def test_a_pull_request(
    facts: dict[str, str], more: tuple[str, ...], rule: str, written: list[str], told: str,
    publish: Publish, registry: RegistryProcess, name: str, tmp_path: Path,
) -> None:  # fmt: skip
    """It is planned and green, whatever the rules give; only an own one is pushed, and only if that is asked for."""
    make_layout(tmp_path / "image", "one")
    words = ("release", "oci:image", "--image", f"{registry.host}/{name}", "--rule", rule, "--format", "json", *more)
    done = publish(*words, cwd=tmp_path, environ=facts)
    assert done.code == 0, done.stderr
    moves = done.document["moves"] if done.document["schema"] == "publish.receipt/1" else []
    assert [move["reference"].rpartition(":")[2] for move in moves] == written
    assert told in done.stdout + " ".join(done.stderr.split())


def test_what_to_run_next_keeps_the_options(publish: Publish, sandbox_url: str, name: str, tmp_path: Path) -> None:
    """The images and rules of this command, quoted for a shell; a hint names the command that was run."""
    selection = ("--image", f"me/{name}", "--rule", "type=semver,pattern={{version}}", "--flavor", "latest=true")
    environ = {"PUBLISH_SANDBOX": sandbox_url}
    for version in ("1.0.0", "1.1.0"):
        make_layout(tmp_path / version, version)
        words = ("release", f"oci:{version}", "--version", version, *selection)
        assert publish(*words, cwd=tmp_path, environ=environ).code == 0
    assert publish("retag", f"me/{name}:1.0.0", ":latest", "--force", cwd=tmp_path, environ=environ).code == 0
    drifted = publish("status", *selection, cwd=tmp_path, environ=environ)
    assert drifted.code == 4, drifted.stderr
    next_line = f"publish reconcile --image me/{name} --rule 'type=semver,pattern={{{{version}}}}' --flavor latest=true"
    assert next_line in " ".join(drifted.stderr.split())
    lonely = publish("status", "-u", "me", cwd=tmp_path)
    assert "publish status -u USER --password-stdin" in " ".join(lonely.stderr.split())
