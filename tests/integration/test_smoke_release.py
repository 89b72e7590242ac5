"""Releases that run what they pushed, from a real registry, on both engines."""

from __future__ import annotations

import json
import urllib.request
from typing import TYPE_CHECKING

import pytest

from tests.support.smoke_runs import SERVE, SmokeRuns

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.engine import EngineProcess
    from tests.support.registry import RegistryProcess


@pytest.fixture
def smoking(any_engine: EngineProcess, tmp_path: Path) -> SmokeRuns:
    """`publish` with each engine."""
    return SmokeRuns(any_engine, tmp_path)


def tags(registry: RegistryProcess, name: str) -> dict[str, str]:
    """Every tag with its digest, as the registry itself tells."""
    found = {}
    with urllib.request.urlopen(f"{registry.url}/v2/{name}/tags/list") as answer:
        listed = json.load(answer)["tags"] or ()
    for tag in listed:
        asked = urllib.request.Request(f"{registry.url}/v2/{name}/manifests/{tag}", method="HEAD")
        kinds = ("manifest", "index")
        asked.add_header("Accept", ", ".join(f"application/vnd.oci.image.{kind}.v1+json" for kind in kinds))
        with urllib.request.urlopen(asked) as answer:
            found[tag] = answer.headers["Docker-Content-Digest"]
    return found


def test_a_broken_image_moves_no_tag(smoking: SmokeRuns, registry: RegistryProcess, name: str) -> None:
    """A failing smoke run is exit 5 and leaves every tag as it was; one that passes is in the receipt."""
    head = f'images = ["{registry.host}/{name}"]\n'
    words = ("release", f"docker-daemon:{smoking.base}", "--format", "json")
    smoking.configure(SERVE + 'http = { path = "/health", contains = "ok" }', head=head)
    first = smoking.publish(*words, "--version", "1.0.0", cwd=smoking.folder)
    assert first.code == 0, first.stderr
    assert first.document["verification"]["smoke"]["passed"] is True
    before, everything = tags(registry, name), smoking.everything()
    assert set(before) == {"1.0.0", "1.0", "1", "latest"}
    smoking.configure('command = ["sh", "-c", "echo broken; exit 1"]', head=head)
    words = ("release", f"docker-daemon:{smoking.checked}", "--format", "json")
    failed = smoking.publish(*words, "--version", "1.1.0", cwd=smoking.folder)
    assert (failed.code, failed.document["kind"]) == (5, "smoke"), failed.stderr
    assert "log: broken" in failed.stderr
    assert "exit code 1, wanted 0" in failed.stderr
    assert tags(registry, name) == before
    assert smoking.everything() == everything
    skipped = smoking.publish(*words, "--version", "1.1.0", "--no-smoke", cwd=smoking.folder)
    assert skipped.code == 0, skipped.stderr
    assert tags(registry, name)["latest"] != before["latest"]
    assert not smoking.left()


def test_nonsense_is_refused_before_anything_is_sent(smoking: SmokeRuns, registry: RegistryProcess, name: str) -> None:
    """A [smoke] that can't be run is found in the preflight."""
    smoking.configure('volumes = ["./absent:/data"]', head=f'images = ["{registry.host}/{name}"]\n')
    words = ("release", f"docker-daemon:{smoking.base}", "--version", "1.0.0")
    sent = len(registry.requests())
    refused = smoking.publish(*words, cwd=smoking.folder)
    assert (refused.code, "doesn't exist" in refused.stderr) == (2, True)
    assert len(registry.requests()) == sent


@pytest.mark.parametrize("via", ["direct", "engine"])
def test_ways(via: str, smoking: SmokeRuns, registry: RegistryProcess, name: str) -> None:
    """Either way the bytes that were sent are pulled again, and run."""
    smoking.configure('command = ["true"]', head=f'images = ["{registry.host}/{name}"]\n')
    words = ("release", f"docker-daemon:{smoking.base}", "--version", "1.0.0", "--via", via, "--format", "json")
    done = smoking.publish(*words, cwd=smoking.folder)
    assert done.code == 0, done.stderr
    expected = "direct" if smoking.engine.kind == "podman" else via
    assert (done.document["via"], "podman wants TLS" in done.stderr) == (expected, expected != via)
    verification = done.document["verification"]
    assert (verification["level"], verification["smoke"]["passed"]) == ("pull", True)
    named = smoking.engine.docker("images", "--format", "{{.Repository}}").split()
    assert f"{registry.host}/{name}" not in named, "the name that the pull left is gone"
    again = smoking.publish(*words, cwd=smoking.folder)
    assert (again.code, again.document["adopted"]) == (0, True), again.stderr
