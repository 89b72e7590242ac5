"""A walk: an operator finds a repository broken, and puts its tags right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from publisher.sandbox.server import Sandbox
from tests.support.layout import make_layout
from tests.support.process import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.command import Publish, Result

IMAGE = "acme/shop"
VERSIONS = ("1.9.0", "1.10.0", "2.0.0")


class Operator:
    """Somebody at a terminal, in a folder without any configuration."""

    def __init__(self, publish: Publish, folder: Path, url: str) -> None:
        self._publish, self.folder, self._environ = publish, folder, {"PUBLISH_SANDBOX": url}
        self.digests: dict[str, str] = {}

    def run(self, *words: str, code: int = 0) -> Result:
        """Run a command that ends with this exit code."""
        result = self._publish(*words, cwd=self.folder, environ=self._environ)
        assert result.code == code, result.stderr
        return result

    def says(self, *words: str, code: int = 0) -> str:
        """What a command prints and tells, in one line."""
        result = self.run(*words, code=code)
        return " ".join(f"{result.stdout} {result.stderr}".split())

    def release(self, version: str) -> None:
        """Release an image of its own."""
        self.digests[version] = str(make_layout(self.folder / version, version))
        self.run("release", f"oci:{version}", "--image", IMAGE, "--version", version)

    def holds(self, tag: str) -> str:
        """The version that a tag holds."""
        rows = self.run("tags", IMAGE, "--filter", tag, "--format", "json").document["tags"]
        return {digest: version for version, digest in self.digests.items()}[rows[0]["digest"]]


@pytest.fixture
def operator(publish: Publish, tmp_path: Path) -> Iterator[Operator]:
    """With three versions, `latest` pointed at the oldest by hand, and `2` gone."""
    with Sandbox() as sandbox:
        operator = Operator(publish, tmp_path, sandbox.url)
        for version in VERSIONS:
            operator.release(version)
        sandbox.store.delete(IMAGE, "2")
        operator.run("retag", f"{IMAGE}:1.9.0", ":latest", ":stable", "--force")
        yield operator


def test_what_is_not_there_yet(operator: Operator) -> None:
    """A name that nobody has published under is told as that, by whatever looks at it."""
    assert "nothing is published there yet" in operator.says("status", "--image", "acme/shopp")
    for words in (("tags", "acme/shopp"), ("verify", "acme/shopp", "--all")):
        told = operator.says(*words, code=5)
        assert "There is no repository acme/shopp" in told
        assert "Look at its spelling" in told


def test_the_walk(operator: Operator) -> None:
    """Look, repair, take a version back, change one's mind, and see what was done."""
    # What is wrong.
    told = operator.says("status", "--image", IMAGE, code=4)
    assert "by the default rules" in told
    assert "2 floating tags are not where they belong" in told
    assert "publish reconcile" in told
    document = operator.run("status", "--image", IMAGE, "--limit", "1", "--format", "json", code=4).document
    repository = document["repositories"][0]
    assert ([one["version"] for one in repository["versions"]], repository["omitted"]) == (["2.0.0"], 2)
    assert [line["tag"] for line in repository["floating"]] == ["latest", "2", "2.0", "1", "1.10", "1.9"]
    assert {line["tag"]: line["state"] for line in repository["floating"] if line["state"] != "ok"} == {
        "latest": "drift",
        "2": "missing",
    }
    some = operator.run("status", "--image", IMAGE, "--filter", "1.*", "--format", "json").document["repositories"][0]
    assert [line["tag"] for line in some["floating"]] == ["1.10", "1.9"]
    # Putting it right, first on paper.
    assert "2 not-done" not in (dry := operator.says("reconcile", "--image", IMAGE, "--dry-run"))
    assert operator.holds("latest") == "1.9.0", dry
    operator.run("reconcile", "--image", IMAGE)
    assert operator.holds("latest") == operator.holds("2") == "2.0.0"
    assert "every floating tag is true" in operator.says("status", "--image", IMAGE)
    # A version that should not have been.
    operator.run("yank", "2.0.0", "--image", IMAGE)
    assert operator.holds("latest") == "1.10.0"
    assert "yanked" in operator.says("status", "--image", IMAGE)
    yank = operator.run("history", "--format", "json").document["receipts"][0]
    whole = operator.says("history", yank["id"])
    assert "run yank" in whole
    assert "latest" in whole
    assert operator.run("history", yank["id"], "--format", "json").document == yank
    assert len(operator.run("history", "--image", IMAGE, "--limit", "2", "--format", "json").document["receipts"]) == 2
    # It was right after all.
    operator.run("undo", yank["id"])
    assert operator.holds("latest") == "2.0.0"
    # What is there now, and that all of it is whole.
    listed = [line.split()[0] for line in operator.run("tags", IMAGE).stdout.splitlines() if line][1:-1]
    assert listed == ["latest", "2", "2.0", "2.0.0", "1", "1.10", "1.10.0", "1.9", "1.9.0", "stable"]
    assert "3 of 10 tags" in operator.says("tags", IMAGE, "--limit", "3")
    results = operator.run("verify", IMAGE, "--all", "--format", "json").document["results"]
    assert {result["state"] for result in results} == {"equal"}
    assert len(results) == 10


SLIPS = {
    "all-and-limit": ("status", "--image", IMAGE, "--all", "--limit", "3"),
    "all-tags-of-a-tag": ("verify", f"{IMAGE}:2.0.0", "--all"),
    "delete-a-glob": ("tags", IMAGE, "--delete", "stable", "--filter", "1*", "-y"),
    "one-run-of-many": ("history", "2026", "--limit", "3"),
    "no-such-run": ("history", "19990101T000000"),
}


@pytest.mark.parametrize("words", SLIPS.values(), ids=SLIPS)
def test_slips_change_nothing(publish: Publish, sandbox_url: str, words: tuple[str, ...]) -> None:
    """What makes no sense together, and a receipt that isn't there, are slips."""
    assert publish(*words, environ={"PUBLISH_SANDBOX": sandbox_url}).code == 2


@pytest.mark.parametrize(
    "words",
    [("release", "oci:image", "--version", "1.0.0"), ("reconcile",), ("yank", "1.0.0"), ("retag", f"{IMAGE}:1", ":x")],
    ids=lambda words: words[0],
)
def test_a_dead_registry_moves_no_tag(publish: Publish, tmp_path: Path, words: tuple[str, ...]) -> None:
    """Each command that moves tags says that it has moved none, and what to do."""
    make_layout(tmp_path / "image", "app")
    named = () if words[0] == "retag" else ("--image", IMAGE)
    result = publish(*words, *named, cwd=tmp_path, environ={"PUBLISH_SANDBOX": f"http://127.0.0.1:{free_port()}"})
    assert result.code == 6
    assert "No tag was moved; run the same command again." in result.stderr
