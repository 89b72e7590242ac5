"""`publish tags`: what is there, what nothing keeps, and that nothing else goes."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from publisher.model.digest import Digest
from publisher.model.manifest import compose_index, compose_manifest
from publisher.model.reference import Repository
from publisher.report.progress import Teller
from publisher.sandbox.options import Options
from publisher.sandbox.server import Sandbox
from publisher.workflows.session import Session
from publisher.workflows.tags import carry_out, plan_prune
from tests.contracts.client import Client
from tests.support.command import Result
from tests.support.layout import make_layout

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from publisher.model.manifest import Manifest
    from publisher.sandbox.store import Store
    from tests.support.command import Publish
    from tests.support.registry import RegistryProcess


class Shop:
    """A repository with five releases, two platforms each, and a branch's tag."""

    def __init__(self, publish: Publish, image: str, folder: Path, environ: dict[str, str]) -> None:
        self.publish, self.image, self.folder, self.environ = publish, image, folder, environ
        for version in ("1.0.0", "1.1.0", "1.2.0", "2.0.0"):
            make_layout(folder / version, version, ("linux/amd64", "linux/arm64/v8"))
            self.run("release", f"oci:{version}", "--image", image, "--version", version)
        self.run("retag", f"{image}:1.0.0", ":main", ":shared")

    def run(self, *words: str) -> Result:
        """Run publish in the project."""
        return self.publish(*words, cwd=self.folder, environ=self.environ)

    def policy(self, text: str) -> None:
        """Write [retention] anew."""
        (self.folder / "publish.toml").write_text(f'images = ["{self.image}"]\n[retention]\n{text}\n')

    @property
    def rows(self) -> dict[str, dict[str, Any]]:
        """What `publish tags` tells, by tag."""
        found = self.run("tags", self.image, "--format", "json").document
        return {row["tag"]: row for row in found["tags"]}


@pytest.fixture(params=["hub", "docker-registry"])
def shop(
    request: pytest.FixtureRequest, registry: RegistryProcess, publish: Publish, name: str, tmp_path: Path
) -> Iterator[Shop]:
    """On Docker Hub, and on a registry that deletes by digest only."""
    if request.param == "hub":
        with Sandbox() as sandbox:
            yield Shop(publish, "acme/app", tmp_path, {"PUBLISH_SANDBOX": sandbox.url})
    else:
        yield Shop(publish, f"{registry.host}/{name}", tmp_path, {})


def test_the_list_tells_what_is_there(shop: Shop) -> None:
    """Digest, size and platforms; on Docker Hub also when it was pushed."""
    rows = shop.rows
    floating = {"1.0", "1.1", "1.2", "1", "2.0", "2", "latest"}
    assert set(rows) == {"1.0.0", "1.1.0", "1.2.0", "2.0.0", "main", "shared", *floating}
    assert rows["latest"]["platforms"] == ["linux/amd64", "linux/arm64/v8"]
    assert rows["latest"]["digest"] == rows["2.0.0"]["digest"] != rows["1"]["digest"]
    assert rows["latest"]["size"] > 0
    assert bool(rows["latest"]["pushed"]) is ("127.0.0.1" not in shop.image)
    text = shop.run("tags", shop.image).stdout
    assert "linux/arm64/v8" in text
    assert "13 tags" in text


def test_prune_is_a_dry_run_until_told(shop: Shop) -> None:
    """It says what keeps each tag; -y deletes exactly the rest."""
    shop.policy('keep-last = 1\nkeep = ["main"]')
    plan = shop.run("tags", shop.image, "--prune", "--format", "json").document
    assert (plan["schema"], plan["applied"], plan["gone"]) == ("publish.prune/1", False, [])
    shop.policy("keep-last = 1")
    shop.run("tags", shop.image, "--delete", "1.0", "-y")
    before = set(shop.rows)
    plan = shop.run("tags", shop.image, "--prune", "--format", "json").document
    gone = {one["tag"] for one in plan["gone"]}
    assert set(shop.rows) == before
    text = shop.run("tags", shop.image, "--prune").stdout
    assert "-y deletes them" in text or not gone
    done = shop.run("tags", shop.image, "--prune", "-y", "--format", "json")
    assert (done.code, done.document["applied"]) == (0, True)
    assert set(shop.rows) == before - gone
    assert shop.run("verify", f"{shop.image}:latest", f"{shop.image}:1", "--verify", "digest").code == 0


def test_a_policy_has_to_be_there(shop: Shop) -> None:
    """Nothing goes by a default that nobody wrote."""
    result = shop.run("tags", shop.image, "--prune", "-y")
    assert (result.code, "[retention]" in result.stderr) == (2, True)


def test_named_tags_are_deleted(shop: Shop) -> None:
    """One of several that share content only where single tags can be deleted; all of them anywhere."""
    assert shop.run("tags", shop.image, "--delete", "main").code == 2
    missing = shop.run("tags", shop.image, "--delete", "main", "absent", "-y")
    assert (missing.code, "main" in shop.rows) == (2, True)
    alone = shop.run("tags", shop.image, "--delete", "main", "-y")
    if "127.0.0.1" in shop.image:
        assert (alone.code, "can't be deleted alone" in " ".join(alone.stdout.split())) == (4, True)
        assert "main" in shop.rows
    else:
        assert alone.code == 0
    left = [tag for tag in ("main", "shared", "1.0", "1.0.0") if tag in shop.rows]
    assert shop.run("tags", shop.image, "--delete", *left, "-y").code == 0
    assert not {"main", "shared", "1.0", "1.0.0"} & set(shop.rows)
    assert {"1.1.0", "latest"} <= set(shop.rows)


def test_what_is_frozen_stays(publish: Publish, tmp_path: Path) -> None:
    """It is told, the others go, and the run is incomplete."""
    with Sandbox(options=Options(immutable=(r"[0-9]+\.[0-9]+\.[0-9]+",))) as sandbox:
        shop = Shop(publish, "acme/app", tmp_path, {"PUBLISH_SANDBOX": sandbox.url})
        result = shop.run("tags", "acme/app", "--delete", "main", "1.1.0", "-y", "--format", "json")
        assert result.code == 7
        assert {one["tag"]: one["state"] for one in result.document["gone"]} == {"main": "deleted", "1.1.0": "failed"}
        assert "1.1.0" in shop.rows


@pytest.mark.parametrize("words", [["--prune", "--delete", "x"], ["--delete"], ["x"], ["--prune", "x"]], ids=" ".join)
def test_options_that_make_no_sense(publish: Publish, words: list[str]) -> None:
    """Are refused before anybody is asked."""
    assert publish("tags", "acme/app", *words).code == 2


# A model: whatever shares content with whatever, exactly the plan is carried out.

CONTENTS = 4
NAMES = [f"{major}.{minor}.0" for major in range(3) for minor in range(3)]
NAMES += [name.removesuffix(".0") for name in NAMES] + ["0", "1", "2", "latest", "main", "pr-1", "x"]


def fill(client: Client, store: Store, tags: dict[str, int]) -> None:
    """Give each tag its content: images, and two indexes that list some of them."""
    images = [client.make_image("acme/app", f"content {number}") for number in range(CONTENTS)]
    contents: list[Any] = [*images]
    contents += [compose_index((images[0].descriptor, images[1].descriptor)), compose_index((images[2].descriptor,))]
    for content in contents:
        store.put_manifest("acme/app", content, [tag for tag, number in tags.items() if contents[number] is content])


@pytest.mark.parametrize("by_tag", [True, False], ids=["by-tag", "by-digest"])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    tags=st.dictionaries(st.sampled_from(NAMES), st.integers(0, CONTENTS + 1), min_size=1, max_size=14),
    last=st.integers(0, 2),
)
def test_prune_deletes_exactly_what_its_plan_says(
    by_tag: bool, tmp_path: Path, tags: dict[str, int], last: int
) -> None:
    """On Docker Hub all of it; where digests are deleted, what can't go alone stays, and nothing else goes."""
    images = 'images = ["acme/app", "r.example/acme/app"]'
    (tmp_path / "publish.toml").write_text(f"{images}\n[retention]\nkeep-last = {last}")
    with Sandbox(options=Options(delete_by_tag=by_tag)) as sandbox, Client(sandbox.url) as client:
        name = "acme/app" if by_tag else "r.example/acme/app"
        fill(client, sandbox.store, tags)
        if not by_tag:
            copy(sandbox.store, "acme/app", name)
        environ = {"PUBLISH_SANDBOX": sandbox.url, "XDG_STATE_HOME": str(tmp_path)}
        with Session(environ, tmp_path, Teller(quiet=True)) as session:
            place = Repository.parse("acme/app" if by_tag else name)
            plan = plan_prune(session, place)
            before = sandbox.store.state().get(name, {})
            done, error = carry_out(session, place, plan)
        after = sandbox.store.state().get(name, {})
    deleted = {one.tag for one in done.gone if one.state == "deleted"}
    assert {one.tag for one in plan.kept} | {one.tag for one in plan.gone} == set(before)
    assert after == {tag: held for tag, held in before.items() if tag not in deleted}
    if by_tag:
        assert (error, deleted) == (None, {one.tag for one in plan.gone})


def copy(store: Store, source: str, target: str) -> None:
    """The same tags and content in another repository."""
    state = store.state().get(source, {})
    for tag, digest in state.items():
        content = store.manifest(source, Digest.parse(digest))
        store.put_manifest(target, content, [tag])


def test_prune_of_a_thousand_tags(publish: Publish, tmp_path: Path) -> None:
    """With content that is shared: the newest ten versions stay with all that floats, and the count is right."""
    with Sandbox() as sandbox, Client(sandbox.url) as client:
        image = client.make_image("acme/app", "shared")
        for number in range(500):
            other = variant(image, number)
            sandbox.store.put_manifest("acme/app", other, [f"1.{number}.0", f"sha-{number:07x}"])
        (tmp_path / "publish.toml").write_text('images = ["acme/app"]\n[retention]\nkeep-last = 10')
        environ = {"PUBLISH_SANDBOX": sandbox.url}
        done = publish("tags", "acme/app", "--prune", "-y", "--format", "json", cwd=tmp_path, environ=environ)
        assert done.code == 0, done.stderr
        assert set(sandbox.store.state()["acme/app"]) == {f"1.{number}.0" for number in range(490, 500)}
        assert len(done.document["gone"]) == 990


def variant(image: Manifest, number: int) -> Manifest:
    """The same blobs under another digest."""
    return compose_manifest(image.config, image.layers, {"number": str(number)})


def test_a_tag_that_was_pushed_again_stays(tmp_path: Path) -> None:
    """What the plan saw is no longer there."""
    (tmp_path / "publish.toml").write_text('images = ["acme/app"]\n[retention]\nkeep-last = 0')
    with Sandbox() as sandbox, Client(sandbox.url) as client:
        client.send_image("acme/app", "old", "main")
        with Session({"PUBLISH_SANDBOX": sandbox.url}, tmp_path, Teller(quiet=True)) as session:
            plan = plan_prune(session, Repository.parse("acme/app"))
            client.send_image("acme/app", "new", "main")
            done, _error = carry_out(session, Repository.parse("acme/app"), plan)
        assert client.tags("acme/app") == ["main"]
    assert done.gone[0].detail == "it was pushed again meanwhile"


def at_terminal(publish: Publish, words: list[str], environ: dict[str, str], answer: str, *, stderr: bool) -> Result:
    """Run publish with a terminal as stdin, and as stderr too if asked; stdout is a pipe."""
    outer, inner = os.openpty()
    with os.fdopen(outer, "rb+", buffering=0) as screen, os.fdopen(inner, "rb+", buffering=0) as terminal:
        screen.write(answer.encode())
        done = subprocess.run(
            [publish.program, *words], env={**publish.environ, **environ}, stdin=terminal,
            stdout=subprocess.PIPE, stderr=terminal if stderr else subprocess.PIPE, check=False, timeout=60,
        )  # fmt: skip
        shown = os.read(outer, 1 << 16).decode() if stderr else done.stderr.decode()
    return Result(done.returncode, done.stdout.decode(), shown)


def test_a_terminal_is_asked_and_stdout_stays_one_document(publish: Publish) -> None:
    """What would go is shown beside the question; without a whole terminal nothing is deleted unasked."""
    words = ["tags", "acme/app", "--delete", "main", "--format", "json"]
    with Sandbox() as sandbox, Client(sandbox.url) as client:
        client.send_image("acme/app", "x", "main", "other")
        environ = {"PUBLISH_SANDBOX": sandbox.url}
        blind = at_terminal(publish, words, environ, "y\n", stderr=False)
        assert (blind.code, client.tags("acme/app")) == (2, ["main", "other"])
        refused = at_terminal(publish, words, environ, "n\n", stderr=True)
        assert (refused.code, client.tags("acme/app")) == (130, ["main", "other"])
        done = at_terminal(publish, words, environ, "y\n", stderr=True)
        assert (done.code, client.tags("acme/app")) == (0, ["other"])
    assert done.document["gone"][0]["state"] == "deleted"
    assert "Delete these?" in done.stderr
    assert "asked for" in done.stderr
