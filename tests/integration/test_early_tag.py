"""Registries that take a manifest by tag only."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from publisher.sandbox.options import Options
from publisher.sandbox.server import Sandbox
from tests.support.layout import make_layout

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.command import Publish

BY_TAG_ONLY = Options(put_by_digest=False)
WORDS = ["release", "oci:layout", "--image", "me/app", "--version", "1.0.0", "--format", "json"]


@pytest.fixture
def url() -> Iterator[str]:
    """A registry that refuses every PUT by digest."""
    with Sandbox(options=BY_TAG_ONLY) as running:
        yield running.url


def test_refused_without_the_option(url: str, publish: Publish, tmp_path: Path) -> None:
    """The reason is told, with the option that helps, and no tag is there."""
    make_layout(tmp_path / "layout", "one")
    result = publish(*WORDS, cwd=tmp_path, environ={"PUBLISH_SANDBOX": url})
    assert result.code == 4
    assert "takes no manifest by digest" in result.stderr
    assert "--allow-early-tag" in result.stderr
    listed = publish("plan", "--image", "me/app", "--version", "1.0.0", "--format", "json",
                     cwd=tmp_path, environ={"PUBLISH_SANDBOX": url})  # fmt: skip
    assert {move["from"] for move in listed.document["moves"]} == {None}


def test_exact_tag_goes_first(url: str, publish: Publish, tmp_path: Path) -> None:
    """With the option the release is done, the exact tag first."""
    digest = make_layout(tmp_path / "layout", "one")
    result = publish(*WORDS, "--allow-early-tag", cwd=tmp_path, environ={"PUBLISH_SANDBOX": url})
    assert result.code == 0, result.stderr
    assert {move["after"] for move in result.document["moves"]} == {str(digest)}


def test_failure_after_the_early_tag(publish: Publish, tmp_path: Path) -> None:
    """A release that fails once the tag is there says that something has changed."""
    make_layout(tmp_path / "layout", "one")
    faults = ("GET /manifests/ every 404",)
    with Sandbox(options=BY_TAG_ONLY, faults=faults) as running:
        environ = {"PUBLISH_SANDBOX": running.url}
        result = publish(*WORDS, "--allow-early-tag", "--verify", "digest", cwd=tmp_path, environ=environ)
    assert result.code == 7, result.stderr
    receipt = json.loads(result.stdout)
    assert "me/app:1.0.0 was written early" in receipt["error"]["message"]
    states = {move["reference"].rpartition(":")[2]: move["state"] for move in receipt["moves"]}
    assert states == {"1.0.0": "unknown", "1.0": "not-done", "1": "not-done", "latest": "not-done"}
