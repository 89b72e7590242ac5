"""Archives that real tools wrote, released."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.parts.command import Publish
    from tests.parts.engine import Engine
    from tests.parts.registry import Registry


def skopeo(*words: str) -> str:
    """An independent tool."""
    return subprocess.run(["skopeo", *words], capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize("transport", ["docker-archive", "oci", "oci-archive"])
def test_an_archive_is_released(
    transport: str, engine: Engine, registry: Registry, publish: Publish, name: str, tmp_path: Path
) -> None:
    """skopeo sees the receipt's digest, and the config is the engine's image."""
    image_id = engine.build(name, transport, tmp_path / "context")
    saved = tmp_path / "saved.tar"
    engine.docker("save", "-o", str(saved), name)
    source = f"docker-archive:{saved}"
    if transport != "docker-archive":
        source = f"{transport}:{tmp_path / 'made'}:v1"
        skopeo("--insecure-policy", "copy", f"docker-archive:{saved}", source)
    image = f"{registry.host}/{name}"
    result = publish("release", source, "--image", image, "--version", "1.0.0", "--format", "json")
    assert result.code == 0, result.stderr
    seen = skopeo("inspect", "--tls-verify=false", "--format", "{{.Digest}}", f"docker://{image}:1.0.0")
    assert seen == result.document["image"]["digest"]
    if transport == "docker-archive":
        assert result.document["image"]["config"] == image_id
