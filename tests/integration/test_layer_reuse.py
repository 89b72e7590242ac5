"""Layers that a registry has already: found by what is remembered, what was released, and what the engine met there."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.support.engine import BUSYBOX, run_engine
from tests.support.layout import make_layout
from tests.support.parts import CLASSIC

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.command import Publish, Result
    from tests.support.engine import EngineProcess
    from tests.support.order import LoggedRequest
    from tests.support.registry import RegistryProcess

LARGE = 12_000_000
"""Bytes; the engine looks for smaller layers in one repository only."""


class Workshop:
    """Images on one large base, and what releasing them asks of the registry."""

    def __init__(
        self, engine: EngineProcess, registry: RegistryProcess, publish: Publish, folder: Path, name: str
    ) -> None:
        self.engine, self.registry, self.publish, self.folder = engine, registry, publish, folder
        self.base = f"base-{name[2:]}"
        shutil.copy(BUSYBOX, folder / "busybox")
        # Noise: what can be compressed away would hide whether it was sent.
        with (folder / "large").open("wb") as file:
            subprocess.run(["head", "-c", str(LARGE), "/dev/urandom"], stdout=file, check=True)
        self.build(self.base, "FROM scratch\nCOPY large /large\nCOPY busybox /bin/busybox\n")

    def build(self, name: str, dockerfile: str) -> str:
        """Build an image from the folder; returns its name."""
        (self.folder / "Dockerfile").write_text(dockerfile)
        self.engine.docker("build", "-q", "-t", name, str(self.folder))
        return name

    def on_base(self, content: str) -> str:
        """An image with one small layer on the base, the same again for the same `content`."""
        (self.folder / "content").write_text(content)
        return self.build(f"{self.base}-{content}", f"FROM {self.base}\nCOPY content /content\n")

    def release(self, source: str, image: str, version: str, *words: str) -> tuple[Result, list[LoggedRequest]]:
        """Release, and what the registry was asked for it."""
        start = len(self.registry.requests())
        words = ("release", f"docker-daemon:{source}", "--image", image, "--version", version, *words)
        result = self.publish("-v", *words, "--format", "json")
        assert result.code == 0, result.stderr
        return result, self.registry.requests()[start:]


@pytest.fixture
def workshop(
    engine: EngineProcess, registry: RegistryProcess, publish_with_engine: Publish, name: str, tmp_path: Path
) -> Workshop:
    """One of them."""
    (tmp_path / "work").mkdir()
    return Workshop(engine, registry, publish_with_engine, tmp_path / "work", name)


def sent(asked: list[LoggedRequest]) -> int:
    """Blobs that were uploaded, the config among them."""
    return sum(one.method == "PUT" and "/blobs/uploads/" in one.path for one in asked)


def mounted(asked: list[LoggedRequest]) -> int:
    """Blobs that were taken over from another repository."""
    return sum(one.method == "POST" and "mount=" in one.path and one.status == 201 for one in asked)


@CLASSIC
@pytest.mark.parametrize("forgets", [False, True], ids=["cache", "previous-release"])
def test_only_the_new_layer_is_sent(workshop: Workshop, name: str, forgets: bool) -> None:
    """What this machine remembers tells, or the release before; the image is whole for the engine all the same."""
    image = f"{workshop.registry.host}/{name}"
    workshop.release(workshop.on_base("one"), image, "1.0.0", "--via", "direct")
    cache = workshop.publish.home / "cache" / "publish" / "blobs.jsonl"
    assert [json.loads(line)["repository"] for line in cache.read_text().splitlines()] == [image] * 3
    if forgets:
        cache.unlink()
    result, asked = workshop.release(workshop.on_base("two"), image, "1.1.0", "--via", "direct")
    assert (sent(asked), mounted(asked)) == (2, 0)
    assert "transfer: 2 layers were there, 0 mounted, 1 compressed and sent" in result.stderr
    assert result.document["verification"]["level"] == "pull"


@CLASSIC
def test_base_of_another_repository_is_mounted(workshop: Workshop, name: str) -> None:
    """The engine knows the base from that registry: its blobs are used as they are, and the digests stay docker's."""
    host = workshop.registry.host
    workshop.engine.docker("tag", workshop.base, f"{host}/{name}/base:1")
    workshop.engine.docker("push", "-q", f"{host}/{name}/base:1")
    result, asked = workshop.release(workshop.on_base("one"), f"{host}/{name}/app", "1.0.0", "--via", "direct")
    assert (sent(asked), mounted(asked)) == (2, 2)
    assert "0 layers were there, 2 mounted, 1 compressed and sent" in result.stderr


@CLASSIC
def test_auto_lets_the_engine_push_what_it_knows(workshop: Workshop, name: str) -> None:
    """An export would read the whole base again; -v says why, and the receipt says which way it went."""
    host = workshop.registry.host
    workshop.engine.docker("tag", workshop.base, f"{host}/{name}/base:1")
    workshop.engine.docker("push", "-q", f"{host}/{name}/base:1")
    result, asked = workshop.release(workshop.on_base("auto"), f"{host}/{name}/app", "1.0.0")
    # A base of 12 MB is exported in no time; the same reasoning with hundreds is in the unit tests and the bench.
    assert result.document["via"] == "direct"
    assert "transfer: direct: about 0." in result.stderr
    result, asked = workshop.release(workshop.on_base("eng"), f"{host}/{name}/eng", "1.0.0", "--via", "engine")
    assert result.document["via"] == "engine"
    # The engine asks for the digests it knows, and the relay has them mounted: only what is new goes up.
    assert (sent(asked), mounted(asked)) == (2, 2)
    assert "transfer: 0 blobs were there, 2 mounted, 2 sent" in result.stderr


@CLASSIC
def test_another_compression_uses_nothing_of_the_first(workshop: Workshop, name: str) -> None:
    """Who asks for zstd gets it, for every layer; skopeo reads it. An engine that can't is found out before."""
    image = f"{workshop.registry.host}/{name}"
    workshop.release(workshop.on_base("one"), image, "1.0.0", "--via", "direct")
    words = ("--compression", "zstd", "--via", "direct")
    _result, asked = workshop.release(workshop.on_base("two"), image, "1.1.0", *words, "--verify", "digest")
    assert sent(asked) == 4
    shown = subprocess.run(
        ["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{image}:1.1.0"], capture_output=True, check=True
    )
    layers = json.loads(shown.stdout)["layers"]
    assert {layer["mediaType"] for layer in layers} == {"application/vnd.oci.image.layer.v1.tar+zstd"}
    source = f"docker-daemon:{workshop.on_base('three')}"
    start = len(workshop.registry.requests())
    refused = workshop.publish("release", source, "--image", image, "--version", "1.2.0", "--compression", "zstd")
    assert refused.code == 2
    assert "can't pull layers compressed with zstd" in refused.stderr
    assert not [one for one in workshop.registry.requests()[start:] if one.method not in {"GET", "HEAD"}]


def test_engine_that_cant_reach_us_is_served_directly(
    registry: RegistryProcess, publish: Publish, name: str, tmp_path: Path
) -> None:
    """It runs here and says so, and its loopback is another all the same."""
    with run_engine(40, "classic", apart=True) as far:
        image_id = far.build(name, "apart", tmp_path / "context")
        words = ("release", f"docker-daemon:{name}", "--image", f"{registry.host}/{name}", "--version", "1.0.0")
        options = ("--via", "engine", "--verify", "digest", "--format", "json")
        result = publish(*words, *options, environ={"DOCKER_HOST": far.host})
        assert result.code == 0, result.stderr
        assert (result.document["via"], result.document["image"]["config"]) == ("direct", image_id)
        assert "the engine can't reach a relay on this machine" in result.stderr
        assert far.docker("image", "ls", "-q", "--no-trunc") == image_id


def test_blob_of_a_layout_is_mounted_the_second_time(
    registry: RegistryProcess, publish: Publish, name: str, tmp_path: Path
) -> None:
    """Another repository of the registry has it, as this machine remembers; without its memory it is sent."""
    make_layout(tmp_path / "layout", name)
    words = ("push", f"oci:{tmp_path / 'layout'}", "--image")
    counts = []
    for repository in ("one", "two", "three"):
        if repository == "three":
            (publish.home / "cache" / "publish" / "blobs.jsonl").unlink()
        start = len(registry.requests())
        assert publish(*words, f"{registry.host}/{name}/{repository}").code == 0
        asked = registry.requests()[start:]
        counts.append((sent(asked), mounted(asked)))
    assert counts == [(2, 0), (0, 2), (2, 0)]
