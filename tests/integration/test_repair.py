"""Status, reconcile, yank and undo, against a registry that deletes single tags and one that doesn't."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from publisher.sandbox.options import Options
from publisher.sandbox.server import Sandbox
from tests.support.layout import make_layout

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.support.command import Publish, Result
    from tests.support.registry import RegistryProcess

VERSIONS = ("1.0.0", "1.1.0", "2.0.0")


class Shop:
    """An image with three versions, and the commands run on it."""

    def __init__(self, publish: Publish, image: str, folder: Path, environ: Mapping[str, str]) -> None:
        self._publish = publish
        self._environ = environ
        self.image = image
        self.folder = folder
        self.digests: dict[str, str] = {}

    def run(self, *words: str) -> Result:
        """Run a command."""
        return self._publish(*words, cwd=self.folder, environ=self._environ)

    def release(self, version: str, platforms: tuple[str, ...] = ("linux/amd64",)) -> Result:
        """Release an image of its own as `version`."""
        self.digests[version] = str(make_layout(self.folder / version, version, platforms))
        words = ["release", f"oci:{version}", "--image", self.image, "--version", version, "--format", "json"]
        result = self.run(*words)
        assert result.code == 0, result.stderr
        return result

    @property
    def deletes_by_digest_only(self) -> bool:
        """Whether a tag can't go alone."""
        return not self._environ

    @property
    def tags(self) -> set[str]:
        """Every tag."""
        listed = self.run("tags", self.image, "--format", "json")
        return {each["tag"] for each in listed.document["tags"]} if listed.code == 0 else set()

    @property
    def status(self) -> dict[str, Any]:
        """The status of the image."""
        found = self.run("status", "--image", self.image, "--format", "json").document["repositories"][0]
        assert isinstance(found, dict)
        return found

    @property
    def held(self) -> dict[str, str]:
        """The version that each floating tag really holds."""
        names = {digest: version for version, digest in self.digests.items()}
        return {line["tag"]: names.get(line["digest"], "?") for line in self.status["floating"]}


@pytest.fixture(params=["sandbox", "docker-registry"])
def fresh(
    request: pytest.FixtureRequest, registry: RegistryProcess, publish: Publish, name: str, tmp_path: Path
) -> Iterator[Shop]:
    """An image that nobody has released yet."""
    if request.param == "sandbox":
        with Sandbox(options=Options()) as running:
            yield Shop(publish, f"me/{name}", tmp_path, {"PUBLISH_SANDBOX": running.url})
    else:
        yield Shop(publish, f"{registry.host}/{name}", tmp_path, {})


@pytest.fixture
def shop(fresh: Shop) -> Shop:
    """Three versions of one image."""
    return _filled(fresh)


def _filled(shop: Shop) -> Shop:
    for version in VERSIONS:
        shop.release(version)
    return shop


ALL = {"1.0": "1.0.0", "1.1": "1.1.0", "1": "1.1.0", "2.0": "2.0.0", "2": "2.0.0", "latest": "2.0.0"}


def test_status_of_what_is_true(shop: Shop) -> None:
    """Every version with its digest, every floating tag with where it belongs, and what no rule speaks of."""
    shop.run("retag", f"{shop.image}:1.0.0", ":stable")
    found = shop.status
    assert [(one["version"], one["digest"]) for one in found["versions"]] == [
        (version, shop.digests[version]) for version in reversed(VERSIONS)
    ]
    assert {line["tag"]: line["version"] for line in found["floating"]} == ALL
    assert {line["state"] for line in found["floating"]} == {"ok"}
    assert found["foreign"] == ["stable"]
    text = shop.run("status", "--image", shop.image)
    assert (text.code, "every floating tag is true" in text.stdout) == (0, True)
    assert text.stdout.splitlines()[6].split() == ["tag", "holds", "belongs", "version", "state"]


def test_drift_is_told_and_mended(shop: Shop) -> None:
    """A tag that was moved by hand is drift, exit 4, and reconcile puts it back; twice does nothing."""
    assert shop.run("retag", f"{shop.image}:1.0.0", ":latest", "--force").code == 0
    told = shop.run("status", "--image", shop.image)
    assert (told.code, "publish reconcile" in told.stderr) == (4, True)
    dry = shop.run("reconcile", "--image", shop.image, "--dry-run", "--format", "json")
    moves = [(move["state"], move["before"], move["after"]) for move in dry.document["moves"]]
    assert moves == [("not-done", shop.digests["1.0.0"], shop.digests["2.0.0"])]
    assert shop.held["latest"] == "1.0.0"
    mended = shop.run("reconcile", "--image", shop.image, "--format", "json")
    assert (mended.code, mended.document["outcome"], mended.document["plan"]) == (0, "done", None)
    assert shop.held == ALL
    assert not shop.run("reconcile", "--image", shop.image, "--format", "json").document["moves"]


@pytest.mark.parametrize("version", VERSIONS)
def test_yank_and_back(version: str, shop: Shop) -> None:
    """Floating tags fall back as if the version were not there, stay so, and come back with --undo."""
    assert shop.run("yank", version, "--image", shop.image).code == 0
    left = [one for one in VERSIONS if one != version]
    expected = {"latest": left[-1], "1": max(one for one in left if one[0] == "1")}
    assert {tag: held for tag, held in shop.held.items() if tag in expected} == expected
    assert [one["version"] for one in shop.status["versions"] if one["yanked"]] == [version]
    shop.release("0.9.0")
    assert shop.run("reconcile", "--image", shop.image).code == 0
    assert {tag: held for tag, held in shop.held.items() if tag in expected} == expected
    assert shop.run("yank", version, "--undo", "--image", shop.image).code == 0
    assert {tag: held for tag, held in shop.held.items() if tag in ALL} == ALL
    assert not [one for one in shop.status["versions"] if one["yanked"]]


def test_line_without_a_version_is_an_orphan(shop: Shop) -> None:
    """A line whose only version is yanked keeps its tag, which is told with its way out, and is no drift."""
    yanked = shop.run("yank", "2.0.0", "--image", shop.image)
    assert "2, 2.0 of " in yanked.stderr
    assert f"'publish yank 2.0.0 --delete --image {shop.image}'" in yanked.stderr
    orphans = [line["tag"] for line in shop.status["floating"] if line["state"] == "orphan"]
    assert orphans == ["2", "2.0"]
    text = shop.run("status", "--image", shop.image)
    assert (text.code, text.stdout.splitlines()[-1]) == (0, "2 floating tags have no version left; every other is true")


@pytest.mark.parametrize(("version", "code"), [("9.9.9", 4), ("nine", 2)])
def test_yank_of_nothing(version: str, code: int, shop: Shop) -> None:
    """A version that isn't published, or is none, is refused."""
    assert shop.run("yank", version, "--image", shop.image).code == code


def test_undo_of_a_release(shop: Shop) -> None:
    """Every tag that existed is back; what was created is deleted, or yanked where it can't be deleted alone."""
    before = shop.held
    shop.release("2.1.0")
    assert shop.held["latest"] == "2.1.0"
    result = shop.run("undo", "--format", "json")
    assert result.code == 0, result.stderr
    after = shop.status
    held = {line["tag"]: line["digest"] for line in after["floating"]}
    assert {tag: held[tag] for tag in before} == {tag: shop.digests[version] for tag, version in before.items()}
    gone = [one for one in after["versions"] if one["version"] == "2.1.0"]
    assert not gone or gone[0]["yanked"]
    history = shop.run("history", "--format", "json").document["receipts"]
    assert [(one["command"], one["outcome"]) for one in history[:2]] == [("undo", "done"), ("release", "undone")]


def test_undo_of_a_first_release_leaves_no_tag(fresh: Shop) -> None:
    """Where tags go by digest only, those of what the release sent go together."""
    platforms = ("linux/amd64", "linux/arm64")
    receipt = fresh.release("1.0.0", platforms).document
    assert [kept["digest"] for kept in receipt["manifests"]] == [fresh.digests["1.0.0"]]
    result = fresh.run("undo", "--format", "json")
    assert result.code == 0, result.stderr
    assert {move["state"] for move in result.document["moves"]} == {"restored"}
    assert fresh.tags == set()
    assert "yanked" not in result.stderr
    assert fresh.run("undo").code == 2
    assert fresh.release("1.0.0", platforms).code == 0


@pytest.mark.parametrize("holder", ["tag", "index", "adopted"])
def test_undo_takes_nothing_of_others_along(holder: str, fresh: Shop) -> None:
    """Another tag or an index that holds the digest, or content that was there before: the version is yanked."""
    digest = str(make_layout(fresh.folder / "1.0.0", "1.0.0"))
    words = ["release", "oci:1.0.0", "--image", fresh.image, "--version", "1.0.0"]
    if holder == "adopted":
        assert fresh.run("push", "oci:1.0.0", "--image", fresh.image).code == 0
        words[1] = f"docker://{fresh.image}@{digest}"
    assert fresh.run(*words).code == 0
    if holder == "tag":
        assert fresh.run("retag", f"{fresh.image}:1.0.0", ":mine").code == 0
    if holder == "index":
        make_layout(fresh.folder / "other", "other", ("linux/arm64",))
        both = [f"docker://{fresh.image}@{digest}", "oci:other"]
        assert fresh.run("release", *both, "--image", fresh.image, "--version", "2.0.0").code == 0
    (receipt,) = [
        one["id"]
        for one in fresh.run("history", "--format", "json").document["receipts"]
        if one["plan"] and one["plan"]["release"] == "1.0.0"
    ]
    result = fresh.run("undo", receipt)
    assert result.code == 0, result.stderr
    left = fresh.tags
    if holder == "tag":
        assert "mine" in left
    if "yanked" in result.stderr:
        assert {"1.0.0", "yanked-1.0.0"} <= left
    else:
        assert "1.0.0" not in left
    assert ("yanked" in result.stderr) == fresh.deletes_by_digest_only


def test_undo_leaves_alone_what_moved_since(shop: Shop) -> None:
    """A tag that somebody moved after the release is named and left, unless it is forced."""
    receipt = shop.release("2.1.0").document
    file = shop.folder / "receipt.json"
    file.write_text(json.dumps(receipt))
    shop.run("retag", f"{shop.image}:1.0.0", ":latest", "--force")
    result = shop.run("undo", str(file))
    assert result.code == 0, result.stderr
    assert result.stderr.count("latest was moved since") == 1
    assert (shop.held["latest"], shop.held["2"]) == ("1.0.0", "2.0.0")
    assert shop.run("undo", str(file), "--force").code == 0
    assert shop.held["latest"] == "2.0.0"


def test_undo_of_a_retag(shop: Shop) -> None:
    """The tags of a retag go back to what they held."""
    shop.run("retag", f"{shop.image}:1.0.0", ":latest", "--force")
    assert shop.run("undo").code == 0
    assert shop.held["latest"] == "2.0.0"


def test_undo_of_a_yank(shop: Shop) -> None:
    """The version counts again, and its lines come back to it, also where the marker can't be deleted."""
    assert shop.run("yank", "2.0.0", "--image", shop.image).code == 0
    result = shop.run("undo")
    assert result.code == 0, result.stderr
    assert shop.held == ALL
    assert not [one for one in shop.status["versions"] if one["yanked"]]


def test_undo_of_a_forced_overwrite(shop: Shop) -> None:
    """An exact tag that was overwritten gets its bytes back."""
    make_layout(shop.folder / "other", "other")
    words = ["release", "oci:other", "--image", shop.image, "--version", "2.0.0", "--force"]
    assert shop.run(*words).code == 0
    assert shop.held["latest"] == "?"
    assert shop.run("undo").code == 0
    assert shop.held == ALL
    assert shop.status["versions"][0]["digest"] == shop.digests["2.0.0"]


def test_what_a_tag_would_get_is_shown_before(shop: Shop) -> None:
    """A dry run of yank and undo: what each tag holds and would hold, in JSON and, short, as text."""
    before = shop.held
    words = ["yank", "2.0.0", "--image", shop.image, "--dry-run"]
    moves = {
        move["reference"].rpartition(":")[2]: move for move in shop.run(*words, "--format", "json").document["moves"]
    }
    assert {tag: (move["before"], move["after"]) for tag, move in moves.items()} == {
        "yanked-2.0.0": (None, shop.digests["2.0.0"]),
        "latest": (shop.digests["2.0.0"], shop.digests["1.1.0"]),
    }
    short = {version: digest[7:19] for version, digest in shop.digests.items()}
    lines = [line.split() for line in shop.run(*words).stdout.splitlines()]
    assert ["latest", short["2.0.0"], short["1.1.0"], "move", "1.1.0"] in lines
    lines = [line.split() for line in shop.run("undo", "--dry-run").stdout.splitlines()]
    assert ["latest", short["2.0.0"], short["1.1.0"], "move"] in lines
    assert ["2.0.0", short["2.0.0"], "-", "delete"] in lines
    assert shop.held == before


def test_undo_of_nothing(publish: Publish, tmp_path: Path) -> None:
    """Without a receipt there is nothing to go back from; a file that is none is named."""
    assert publish("undo").code == 2
    (tmp_path / "x.json").write_text("{}")
    result = publish("undo", str(tmp_path / "x.json"))
    assert (result.code, "is not a receipt" in result.stderr) == (2, True)


def test_yank_and_delete(shop: Shop) -> None:
    """--delete takes away the version's own tags where single tags can be deleted, and never another one."""
    assert shop.run("yank", "2.0.0", "--delete", "--image", shop.image).code == 2
    result = shop.run("yank", "2.0.0", "--delete", "-y", "--image", shop.image)
    assert result.code == 0, result.stderr
    if "127.0.0.1" in shop.image:
        assert result.stderr.count("stays: ") == result.stderr.count("can't be deleted alone") == 3
        assert [one["version"] for one in shop.status["versions"] if one["yanked"]] == ["2.0.0"]
    else:
        assert [one["version"] for one in shop.status["versions"]] == ["1.1.0", "1.0.0"]
    assert (shop.held["latest"], shop.held["1.0"]) == ("1.1.0", "1.0.0")


def test_the_tags_are_there_for_others(registry: RegistryProcess, publish: Publish, name: str, tmp_path: Path) -> None:
    """An independent client sees the marker on the version's own manifest."""
    shop = _filled(Shop(publish, f"{registry.host}/{name}", tmp_path, {}))
    shop.run("yank", "2.0.0", "--image", shop.image)
    done = subprocess.run(
        ["skopeo", "inspect", "--tls-verify=false", "--format", "{{.Digest}}", f"docker://{shop.image}:yanked-2.0.0"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == shop.digests["2.0.0"]


@pytest.mark.parametrize("kind", ["sandbox", "docker-registry"])
def test_undo_from_another_machine(
    kind: str, registry: RegistryProcess, publish: Publish, name: str, tmp_path: Path
) -> None:
    """A receipt that the release left in the registry is enough; tags for referrers are no versions."""
    (tmp_path / "publish.toml").write_text("[tags]\nrecord = true\n")
    with Sandbox(options=Options()) as running:
        environ = {"PUBLISH_SANDBOX": running.url} if kind == "sandbox" else {}
        image = f"me/{name}" if kind == "sandbox" else f"{registry.host}/{name}"
        shop = _filled(Shop(publish, image, tmp_path, environ))
        shop.release("2.1.0")
        elsewhere = {**environ, "XDG_STATE_HOME": str(tmp_path / "other")}
        result = publish("undo", "--image", image, "--format", "json", cwd=tmp_path, environ=elsewhere)
        assert result.code == 0, result.stderr
        assert shop.held["latest"] == "2.0.0"
