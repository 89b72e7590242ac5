"""Transfers to a real registry, seen again from the outside."""

from __future__ import annotations

import gzip
import io
import json
import socket
import subprocess
import tarfile
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING

import pytest

from publisher.http.client import Client
from publisher.http.tls import HostSettings
from publisher.model.digest import Digest
from publisher.model.reference import Reference, Repository
from publisher.registry.endpoint import locate
from publisher.registry.image import RemoteImage
from publisher.registry.repository import RemoteRepository
from publisher.transfer.compression import Compression
from publisher.transfer.copy import send_stored
from publisher.transfer.export import send_loose
from publisher.transfer.reuse import BlobLocation, layers_of
from tests.support.saved_image import open_docker_archive

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from publisher.model.protocols import Meter

LAYERS = tuple(Digest.of(str(seed).encode()).hex.encode() * 50_000 for seed in range(3))


class Quiet:
    def advance(self, amount: int) -> None: ...

    def step(self, text: str) -> None: ...

    def warn(self, text: str, place: object = None) -> None: ...

    def group(self, title: str) -> AbstractContextManager[None]:
        return nullcontext()

    def meter(self, label: str, total: int | None) -> AbstractContextManager[Meter]:
        return nullcontext(self)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry of our own, as host:port."""
    folder = tmp_path_factory.mktemp("registry")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (folder / "config.yml").write_text(
        f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {folder}/data}}}}\n"
        f"http: {{addr: '127.0.0.1:{port}'}}\n"
    )
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            ["docker-registry", "serve", str(folder / "config.yml")], stdout=log, stderr=log, stdin=subprocess.DEVNULL
        )
    try:
        _await(port)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def _await(port: int) -> None:
    for _ in range(100):
        try:
            return socket.create_connection(("127.0.0.1", port), 1).close()
        except ConnectionRefusedError:
            time.sleep(0.05)
    raise TimeoutError


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    made = Client(lambda _host, _path: None, lambda host: HostSettings.gather(host, None, tmp_path))
    yield made
    made.close()


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """An image of three layers, as docker 20.10 saves it; its first layer stands twice."""
    listed = (*LAYERS, LAYERS[0])
    config = json.dumps(
        {"architecture": "amd64", "os": "linux", "rootfs": {"diff_ids": [str(Digest.of(each)) for each in listed]}}
    ).encode()
    name = f"{Digest.of(config).hex}.json"
    paths = [f"{Digest.of(each + b'id').hex}/layer.tar" for each in LAYERS]
    manifest = json.dumps([{"Config": name, "RepoTags": ["t:1"], "Layers": [*paths, paths[0]]}]).encode()
    path = tmp_path / "image.tar"
    members = (*zip(paths, LAYERS, strict=True), (name, config), ("manifest.json", manifest))
    with tarfile.open(path, "w") as made:
        for member, content in reversed(members[:3]):
            _add(made, member, content)
        for member, content in members[3:]:
            _add(made, member, content)
    return path


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))


def remote(client: Client, host: str, name: str) -> RemoteRepository:
    return RemoteRepository(client, locate(Repository.parse(f"{host}/{name}"), None))


def test_archive_arrives_as_an_image_that_skopeo_reads(registry: str, client: Client, archive: Path) -> None:
    """An independent eye sees the same config, and the layers uncompress to what was saved."""
    target = remote(client, registry, "loose")
    made = send_loose(open_docker_archive(archive), target, Compression(), {}, Quiet()).manifest
    target.put_manifest(made)
    target.close()
    seen = subprocess.run(
        ["skopeo", "inspect", "--tls-verify=false", "--config", "--raw", f"docker://{registry}/loose@{made.digest}"],
        capture_output=True,
        check=True,
    )
    assert Digest.of(seen.stdout) == made.config.digest
    for entry, content in zip(made.layers, (*LAYERS, LAYERS[0]), strict=True):
        with target.open_blob(entry) as stream:
            assert gzip.decompress(stream.read()) == content


def test_second_release_sends_no_layer(registry: str, client: Client, archive: Path) -> None:
    """What the previous release's manifest and config name is found again."""
    target = remote(client, registry, "again")
    first = send_loose(open_docker_archive(archive), target, Compression(), {}, Quiet()).manifest
    with target.open_blob(first.config) as stream:
        layers = layers_of(first, stream.read())
    known = {diff_id: BlobLocation(blob, target.repository) for diff_id, blob in layers.items()}
    second = send_loose(open_docker_archive(archive), target, Compression(), known, Quiet())
    target.close()
    assert (second.manifest, second.sent) == (first, {})


@pytest.mark.parametrize("mounted", [True, False], ids=["mounted", "streamed"])
def test_copy_keeps_every_byte(registry: str, client: Client, archive: Path, mounted: bool) -> None:
    """To another repository by mounts, to another registry through this process."""
    source = remote(client, registry, "source")
    made = send_loose(open_docker_archive(archive), source, Compression(), {}, Quiet()).manifest
    source.put_manifest(made)
    target = remote(client, registry, f"copy-{mounted}".lower())
    image = RemoteImage(source, Reference(source.repository, digest=made.digest))
    send_stored(image, target, Quiet(), origins=(source.repository,) if mounted else ())
    source.close()
    target.close()
    assert target.get(made.digest) == made
    assert all(target.blob_size(blob.digest) == blob.size for blob in made.blobs)
