"""Layers of published images, to be used again."""

from __future__ import annotations

import json

import pytest

from publisher.model import media
from publisher.model.digest import Digest
from publisher.model.manifest import Descriptor, compose_manifest
from publisher.transfer.reuse import layers_of

DIFF = Digest.of(b"raw")
BLOB = Descriptor(media.OCI_LAYER_GZIP, Digest.of(b"made"), 4)


def test_published_layers_are_named_by_their_configs_diff_ids() -> None:
    """Docker's media type is told as OCI's: the bytes are the same."""
    config = json.dumps({"rootfs": {"diff_ids": [str(DIFF)]}}).encode()
    layer = Descriptor(media.DOCKER_LAYER_GZIP, BLOB.digest, BLOB.size)
    manifest = compose_manifest(Descriptor(media.OCI_CONFIG, Digest.of(config), len(config)), (layer,))
    assert layers_of(manifest, config) == {DIFF: BLOB}


@pytest.mark.parametrize("config", [b"{}", b'{"rootfs":{"diff_ids":[]}}', b'{"rootfs":[]}'])
def test_config_that_doesnt_fit_names_none(config: bytes) -> None:
    """An artifact's config lists no layers."""
    manifest = compose_manifest(Descriptor(media.OCI_CONFIG, Digest.of(config), len(config)), (BLOB,))
    assert layers_of(manifest, config) == {}
