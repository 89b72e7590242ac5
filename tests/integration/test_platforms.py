"""Images that the engine at hand can't run, released with the defaults: verified by a pull where it can hold them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from publisher.model import media
from publisher.model.digest import Digest
from publisher.model.manifest import Descriptor, compose
from tests.support.layout import make_layout

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.command import Publish
    from tests.support.registry import RegistryProcess


@pytest.mark.parametrize("platforms", [("linux/arm64", "linux/arm/v7"), ("linux/arm64",)], ids=["index", "manifest"])
def test_an_image_for_other_machines_is_pulled_by_its_own_platform(
    platforms: tuple[str, ...], publish_with_engine: Publish, registry: RegistryProcess, name: str, tmp_path: Path
) -> None:
    """The engine's default pull finds none of them."""
    digest = make_layout(tmp_path / "layout", name, platforms)
    done = release(publish_with_engine, tmp_path / "layout", f"{registry.host}/{name}")
    assert done["verification"]["level"] == "pull"
    assert done["image"]["digest"] == str(digest)


@pytest.mark.parametrize("kind", ["windows", "windows-index", "artifact"])
def test_what_the_engine_can_not_hold_is_verified_by_digest(
    kind: str, publish_with_engine: Publish, registry: RegistryProcess, name: str, tmp_path: Path
) -> None:
    """With a warning that says why; where it can hold it, by pull."""
    layout = tmp_path / "layout"
    if kind == "artifact":
        make_artifact(layout)
    else:
        make_layout(layout, name, ("windows/amd64", "windows/arm64")[: 2 if kind == "windows-index" else 1])
    release(publish_with_engine, layout, f"{registry.host}/{name}")


def release(publish: Publish, layout: Path, image: str) -> dict[str, dict[str, str]]:
    """A release whose verification is told; returns its receipt."""
    done = publish("release", f"oci:{layout}", "--image", image, "--version", "1.0.0", "--format", "json")
    assert done.code == 0, done.stderr
    level = done.document["verification"]["level"]
    assert (level, "verified by digest only" in done.stderr) in {("pull", False), ("digest", True)}
    return done.document


def make_artifact(folder: Path) -> None:
    """A layout that holds no image: an artifact of one file."""
    entries = {}
    for blob in (b"{}", b"some file"):
        path = folder / "blobs/sha256" / Digest.of(blob).hex
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(blob)
        entries[blob] = {"digest": str(Digest.of(blob)), "size": len(blob)}
    content = compose(
        {
            "schemaVersion": 2,
            "mediaType": media.OCI_MANIFEST,
            "artifactType": "application/vnd.example",
            "config": {"mediaType": "application/vnd.oci.empty.v1+json", **entries[b"{}"]},
            "layers": [{"mediaType": "application/octet-stream", **entries[b"some file"]}],
        }
    )
    (folder / "blobs/sha256" / content.digest.hex).write_bytes(content.content)
    root = Descriptor(content.media_type, content.digest, len(content.content))
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [root.document()]}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
