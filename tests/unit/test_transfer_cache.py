"""The cache of compressed layers: guesses that may be lost."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from publisher.model import media
from publisher.model.digest import Digest
from publisher.model.manifest import Descriptor, compose_manifest
from publisher.transfer.cache import BlobCache, layers_of
from publisher.transfer.compression import Compression

if TYPE_CHECKING:
    from pathlib import Path

GZIP = Compression()
DIFF = Digest.of(b"raw")
BLOB = Descriptor(media.OCI_LAYER_GZIP, Digest.of(b"made"), 4)


@pytest.mark.parametrize(
    ("host", "compression", "found"),
    [
        pytest.param("a.example", GZIP, {DIFF: BLOB}, id="same"),
        pytest.param("b.example", GZIP, {}, id="other-host"),
        pytest.param("a.example", Compression(level=2), {}, id="other-level"),
    ],
)
def test_guess_is_for_one_host_and_one_way(
    tmp_path: Path, host: str, compression: Compression, found: dict[Digest, Descriptor]
) -> None:
    """Else a level that was asked for would be silently another."""
    cache = BlobCache(tmp_path / "new" / "blobs.json")
    cache.remember("a.example", GZIP, {DIFF: BLOB})
    assert cache.known(host, compression, [DIFF]) == found


def test_cut_anywhere_it_is_empty(tmp_path: Path) -> None:
    """A torn file is no file."""
    path = tmp_path / "blobs.json"
    BlobCache(path).remember("a.example", GZIP, {DIFF: BLOB})
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at])
        assert BlobCache(path).known("a.example", GZIP, [DIFF]) == {}


def test_oldest_guesses_go(tmp_path: Path) -> None:
    """The file doesn't grow without end."""
    cache = BlobCache(tmp_path / "blobs.json")
    cache.remember("a.example", GZIP, {DIFF: BLOB})
    cache.remember("a.example", GZIP, {Digest.of(str(number).encode()): BLOB for number in range(4_096)})
    assert cache.known("a.example", GZIP, [DIFF]) == {}
    assert len(json.loads((tmp_path / "blobs.json").read_bytes())["rows"]) == 4_096


def test_cache_that_cant_be_written_is_none(tmp_path: Path) -> None:
    """A release doesn't fail for it."""
    (tmp_path / "file").write_bytes(b"")
    BlobCache(tmp_path / "file" / "blobs.json").remember("a.example", GZIP, {DIFF: BLOB})


def test_published_layers_are_named_by_their_configs_diff_ids() -> None:
    """Docker's media type is told as OCI's: the bytes are the same."""
    config = json.dumps({"rootfs": {"diff_ids": [str(DIFF)]}}).encode()
    held = Descriptor(media.DOCKER_LAYER_GZIP, BLOB.digest, BLOB.size)
    manifest = compose_manifest(Descriptor(media.OCI_CONFIG, Digest.of(config), len(config)), (held,))
    assert layers_of(manifest, config) == {DIFF: BLOB}


@pytest.mark.parametrize("config", [b"{}", b'{"rootfs":{"diff_ids":[]}}', b'{"rootfs":[]}'])
def test_config_that_doesnt_fit_names_none(config: bytes) -> None:
    """An artifact's config lists no layers."""
    manifest = compose_manifest(Descriptor(media.OCI_CONFIG, Digest.of(config), len(config)), (BLOB,))
    assert layers_of(manifest, config) == {}
