"""Archives that real tools wrote, released."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from publisher.model.digest import Digest
from publisher.model.errors import SourceNotFound
from tests.support.parts import CLASSIC
from tests.support.saved_image import open_docker_archive

if TYPE_CHECKING:
    from pathlib import Path

    from publisher.model.protocols import LooseImage
    from tests.support.command import Publish
    from tests.support.engine import EngineProcess
    from tests.support.registry import RegistryProcess


def skopeo(*words: str) -> str:
    """An independent tool."""
    return subprocess.run(["skopeo", *words], capture_output=True, text=True, check=True).stdout.strip()


def layers_of(image: LooseImage) -> list[tuple[Digest | None, Digest]]:
    """What the archive says of each layer, and what its bytes say."""
    with image.layers(frozenset(image.diff_ids)) as layers:
        return [(diff_id, Digest.of(layer.read(1 << 24))) for diff_id, layer in layers]


@CLASSIC
def test_real_docker_archives_are_read_in_place(engine: EngineProcess, name: str, tmp_path: Path) -> None:
    """The engine's with two images, and skopeo's of one of them: the image id, and layers that are what they say."""
    image_id = engine.build(name, "one", tmp_path / "one")
    engine.build(f"{name}-other", "other", tmp_path / "other")
    saved, made = tmp_path / "saved.tar", tmp_path / "made.tar"
    engine.docker("save", "-o", str(saved), name, f"{name}-other")
    daemon = ("--src-daemon-host", engine.host, f"docker-daemon:{name}:latest")
    skopeo("--insecure-policy", "copy", *daemon, f"docker-archive:{made}:{name}:latest")
    for image in (open_docker_archive(saved, name), open_docker_archive(made)):
        assert str(image.config_digest) == image_id
        assert layers_of(image) == [(diff_id, diff_id) for diff_id in image.diff_ids]
    with pytest.raises(SourceNotFound, match="holds 2 images"):
        open_docker_archive(saved)


@pytest.mark.parametrize("transport", ["docker-archive", "oci", "oci-archive"])
def test_an_archive_is_released(
    transport: str, engine: EngineProcess, registry: RegistryProcess, publish: Publish, name: str, tmp_path: Path
) -> None:
    """skopeo sees the receipt's digest; the engine's id is that, or the config's in the classic store."""
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
        assert result.document["image"]["config" if engine.store == "classic" else "digest"] == image_id


def test_what_the_engine_saves_comes_on_a_pipe(
    engine: EngineProcess, registry: RegistryProcess, publish: Publish, name: str, tmp_path: Path
) -> None:
    """`docker save | gzip | publish release -` is the image that the archive's file gives."""
    engine.build(name, "piped", tmp_path / "context")
    saved = tmp_path / "saved.tar"
    engine.docker("save", "-o", str(saved), name)
    image = f"{registry.host}/{name}"
    pipe = 'gzip -c "$1" | "$2" release - --image "$3" --version 1.0.0 --format json'
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", pipe, "pipe", str(saved), publish.program, image],
        env=publish.environ, cwd=publish.home, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    piped = json.loads(done.stdout)["image"]
    again = publish("release", f"docker-archive:{saved}", "--image", image, "--version", "1.0.0", "--format", "json")
    assert again.document["adopted"]
    assert again.document["image"]["digest"] == piped["digest"]
