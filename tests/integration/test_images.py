"""Several images of one configuration: planned and refused together, released side by side."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from publisher.sandbox.server import Sandbox
from tests.support.layout import make_layout
from tests.support.order import check_order, read_log

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.support.command import Publish, Result

NAMES = ("api", "web", "worker")
RELEASE = ("release", "--version", "1.2.3", "-y", "--format", "json")


@pytest.fixture
def project(publish: Publish) -> Path:
    """Three images that share their one layer, each with a repository of its own; the last goes to two registries."""
    tables = []
    for name in NAMES:
        make_layout(publish.home / f"layout-{name}", "shared", labels={"name": name})
        others = ', "ghcr.io/me/worker"' if name == "worker" else ""
        tables.append(f'[images.{name}]\nrepositories = ["me/{name}"{others}]\nsource = "oci:layout-{name}"\n')
    (publish.home / "publish.toml").write_text("\n".join(tables))
    return publish.home


def _release(publish: Publish, sandbox: Sandbox, *words: str) -> Result:
    return publish(*RELEASE, *words, environ={"PUBLISH_SANDBOX": sandbox.url})


def _tags(sandbox: Sandbox, name: str) -> set[str]:
    return set(sandbox.store.state().get(name, {}))


ALL = {"1.2.3", "1.2", "1", "latest"}


@pytest.mark.usefixtures("project")
def test_all_images_are_released_each_with_its_receipt(publish: Publish) -> None:
    """Each keeps the order of a release; the shared layer is sent once to each registry and mounted for the others."""
    with Sandbox() as sandbox:
        done = _release(publish, sandbox)
        log = read_log(sandbox.requests)
        assert done.code == 0, done.stderr
        repositories = (*(f"me/{name}" for name in NAMES), "ghcr.io/me/worker")
        for name in repositories:
            assert _tags(sandbox, name) == ALL
            check_order([one for one in log if f"/v2/{name}/" in one.path and one.status < 400], None)
    receipts = done.document["receipts"]
    assert done.document["schema"] == "publish.receipts/1"
    assert [receipt["plan"]["images"][0] for receipt in receipts] == [f"me/{name}" for name in NAMES]
    kept = {file.stem for file in (publish.home / "state").rglob("*.json")}
    assert {receipt["id"] for receipt in receipts} == kept
    layer = json.loads((publish.home / "layout-api" / "index.json").read_text())["manifests"][0]["digest"]
    manifest = json.loads((publish.home / "layout-api" / "blobs" / "sha256" / layer[7:]).read_text())
    shared = manifest["layers"][0]["digest"]
    sent = [one for one in log if one.method == "PUT" and shared in one.path.replace("%3A", ":")]
    mounted = [one for one in log if "mount=" in one.path and shared in one.path and one.status == 201]
    assert len(sent) <= 2, "once to Docker Hub, at most once more to the other registry"
    assert len(sent) + len(mounted) == 4


@pytest.mark.usefixtures("project")
def test_an_image_that_fails_stops_no_other(publish: Publish) -> None:
    """Exit 7 names it, the others are done, and its receipt says that nothing of it was changed."""
    with Sandbox(faults=["PUT /v2/me/web/manifests/ every 403"]) as sandbox:
        done = _release(publish, sandbox)
        assert done.code == 7
        assert _tags(sandbox, "me/web") == set()
        assert _tags(sandbox, "me/api") == _tags(sandbox, "me/worker") == ALL
        assert "The image web (me/web) was not released, other images were" in " ".join(done.stderr.split()), (
            done.stderr[-700:]
        )
    outcomes = {receipt["plan"]["images"][0]: receipt["outcome"] for receipt in done.document["receipts"]}
    assert outcomes == {"me/api": "done", "me/web": "failed", "me/worker": "done"}
    with Sandbox() as sandbox:
        again = _release(publish, sandbox)
        assert again.code == 0, again.stderr


@pytest.mark.usefixtures("project")
def test_where_all_fail_the_exit_code_is_the_causes(publish: Publish) -> None:
    """No tag was changed: 3, and the message has a word of each image."""
    with Sandbox(faults=["POST /blobs/uploads/ every 403", "PUT /manifests/ every 403"]) as sandbox:
        done = _release(publish, sandbox, "--jobs", "2")
        assert done.code == 3
        assert all(f"{name}: " in done.document["message"] for name in NAMES)


@pytest.mark.usefixtures("project")
def test_all_are_refused_together_before_anything_is_sent(publish: Publish) -> None:
    """Two images whose version is taken by others: one error names both, and the third isn't begun."""
    with Sandbox() as sandbox:
        for name in ("api", "web"):
            make_layout(publish.home / "other", f"other {name}")
            words = ("release", "oci:other", "--only", name, "--version", "1.2.3", "-y")
            assert publish(*words, environ={"PUBLISH_SANDBOX": sandbox.url}).code == 0
        start = len(sandbox.requests)
        done = _release(publish, sandbox)
        assert done.code == 4
        assert "api: docker.io/me/api:1.2.3" in done.document["message"]
        assert "web: docker.io/me/web:1.2.3" in done.document["message"]
        asked = read_log(sandbox.requests[start:])
        assert [one for one in asked if "/me/" in one.path and one.method not in {"GET", "HEAD"}] == []


def test_an_image_without_a_name_is_refused_by_its_reference(publish: Publish) -> None:
    """Where `images` is a list, or --image names it, there is no name to tell."""
    with Sandbox() as sandbox:
        for content in ("one", "other"):
            make_layout(publish.home / content, content)
            done = _release(publish, sandbox, f"oci:{content}", "--image", "me/app")
    assert done.code == 4
    assert done.document["message"].startswith("docker.io/me/app:1.2.3 can't be released")


@pytest.mark.parametrize(
    ("missing", "told"),
    [(("web",), "the image web: there is no folder "), (("api", "web"), "2 images: api: there is no folder ")],
)
def test_an_image_without_its_source_is_named_and_none_is_begun(
    publish: Publish, project: Path, missing: Sequence[str], told: str
) -> None:
    """Exit 2 for whichever sources aren't there, with each image's name, before anything is sent."""
    for name in missing:
        (project / f"layout-{name}").rename(project / f"moved-{name}")
    with Sandbox() as sandbox:
        done = _release(publish, sandbox)
        assert (done.code, done.document["kind"]) == (2, "source-not-found")
        assert done.document["message"].startswith(told)
        assert all(f"{name}: " in done.document["message"] for name in missing)
        assert sandbox.store.state() == {}


@pytest.mark.usefixtures("project")
def test_people_get_one_table(publish: Publish) -> None:
    """Steps say which image they are of; one table holds the tags of all."""
    with Sandbox() as sandbox:
        done = publish("release", "--version", "1.2.3", "-y", environ={"PUBLISH_SANDBOX": sandbox.url})
    assert done.code == 0, done.stderr
    assert "web: pushed   sha256:" in done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["tag", "before", "after", "state"]
    assert sum(line.startswith("me/") and " done" in line for line in lines) == 12
    assert "3 images: 16 done" in lines
    assert sum("@sha256:" in line for line in lines) == 4


@pytest.mark.usefixtures("project")
def test_a_signal_ends_all_images(publish: Publish) -> None:
    """What is under way is finished; every image's receipt tells what its tags hold, and the code is the signal's."""
    words: Sequence[str] = [publish.program, *RELEASE]
    with Sandbox(faults=["PUT /v2/me/web/manifests/latest every 503"]) as sandbox:
        code, _out, told = _interrupt(publish, words, sandbox, "/v2/me/web/manifests/latest")
        held = {f"docker.io/me/{name}:{tag}" for name in NAMES for tag in _tags(sandbox, f"me/{name}")}
        held |= {f"ghcr.io/me/worker:{tag}" for tag in _tags(sandbox, "ghcr.io/me/worker")}
    assert code == 130, told
    assert b"Traceback" not in told
    receipts = [json.loads(file.read_text()) for file in (publish.home / "state").rglob("*.json")]
    moves = [move for receipt in receipts for move in receipt["moves"]]
    assert {move["reference"] for move in moves if move["state"] == "done"} == held
    assert "docker.io/me/web:latest" not in held


@pytest.mark.usefixtures("project")
def test_images_that_a_signal_kept_from_their_tags_are_told_too(publish: Publish) -> None:
    """One is done, one is at its first tag, one was not begun: each has its receipt, and stderr names those two."""
    words = [publish.program, *RELEASE, "--jobs", "1"]
    with Sandbox(faults=["PUT /v2/me/web/manifests/1.2.3 every 503"]) as sandbox:
        code, out, told = _interrupt(publish, words, sandbox, "/v2/me/web/manifests/1.2.3")
    assert code == 130, told
    receipts = {receipt["plan"]["images"][0]: receipt for receipt in json.loads(out)["receipts"]}
    assert {name: receipt["outcome"] for name, receipt in receipts.items()} == {
        "me/api": "done", "me/web": receipts["me/web"]["outcome"], "me/worker": "failed",
    }  # fmt: skip
    assert {move["state"] for move in receipts["me/worker"]["moves"]} == {"not-done"}
    assert receipts["me/worker"]["error"]["code"] == 130
    assert b"worker (me/worker, ghcr.io/me/worker) was not released" in b" ".join(told.split())


def _interrupt(publish: Publish, words: Sequence[str], sandbox: Sandbox, path: str) -> tuple[int, bytes, bytes]:
    """Send a command SIGINT once it has asked to write `path`; returns its code, stdout and stderr."""
    environ = {**publish.environ, "PUBLISH_SANDBOX": sandbox.url}
    process = subprocess.Popen(words, env=environ, cwd=publish.home, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    _wait_for(sandbox, path)
    process.send_signal(signal.SIGINT)
    out, told = process.communicate(timeout=60)
    return process.returncode, out, told


def _wait_for(sandbox: Sandbox, path: str) -> None:
    deadline = time.monotonic() + 20
    while not any(path in str(request["path"]) and request["method"] == "PUT" for request in tuple(sandbox.requests)):
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.usefixtures("project")
def test_what_is_asked_beside_the_list_counts_only_where_the_list_shows_it(publish: Publish) -> None:
    """A registry that refuses a look at a tag that isn't there refuses nothing; of a tag that is there, it does."""
    words = ("plan", "--only", "api", "--version", "1.2.3", "--format", "json")
    with Sandbox(faults=["HEAD /v2/me/api/manifests/latest every 403"]) as sandbox:
        environ = {"PUBLISH_SANDBOX": sandbox.url}
        done = publish(*words, environ=environ)
        assert done.code == 0, done.stderr
        pushed = publish("push", "oci:layout-api", "--only", "api", "--tag", "latest", environ=environ)
        assert pushed.code == 0, pushed.stderr
        assert publish(*words, environ=environ).code == 3


@pytest.mark.usefixtures("project")
def test_plans_of_all_images(publish: Publish) -> None:
    """One document, by the images' names; a plan opens no upload session."""
    with Sandbox() as sandbox:
        done = publish("plan", "--version", "1.2.3", "--format", "json", environ={"PUBLISH_SANDBOX": sandbox.url})
        asked = read_log(sandbox.requests)
    assert (done.code, list(done.document["plans"])) == (0, list(NAMES)), done.stderr
    assert all(one.method in {"GET", "HEAD"} for one in asked if "/me/" in one.path)


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("words", [("plan",), ("release", "--dry-run")], ids=lambda words: words[0])
def test_plans_of_all_images_stand_apart(publish: Publish, words: Sequence[str]) -> None:
    """For people: an empty line before each plan but the first."""
    with Sandbox() as sandbox:
        done = publish(*words, "--version", "1.2.3", environ={"PUBLISH_SANDBOX": sandbox.url})
    lines = done.stdout.splitlines()
    heads = [number for number, line in enumerate(lines) if line.startswith("plan for ")]
    assert (len(heads), [lines[number - 1] for number in heads[1:]]) == (3, ["", ""])
