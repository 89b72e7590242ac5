"""The same image, or another."""

from __future__ import annotations

from dataclasses import replace

import pytest

from publisher.model import media
from publisher.model.digest import Digest
from publisher.model.errors import BadManifest
from publisher.model.manifest import Content, Descriptor, Manifest, Platform, compose_index, compose_manifest
from publisher.transfer.identity import identity, single

KNOWN: dict[Digest, Content] = {}


def load(descriptor: Descriptor) -> Content:
    return KNOWN[descriptor.digest]


def image(config: str, layer: str = "") -> Manifest:
    manifest = compose_manifest(
        Descriptor(media.OCI_CONFIG, Digest.of(config.encode()), len(config)),
        (Descriptor(media.OCI_LAYER_GZIP, Digest.of(layer.encode()), len(layer)),),
    )
    KNOWN[manifest.digest] = manifest
    return manifest


def entry(config: str, architecture: str, layer: str = "", **marks: str) -> Descriptor:
    plain = image(config, layer).descriptor
    annotations = {"vnd.docker.reference.type": "attestation-manifest"} if marks else {}
    return replace(plain, platform=Platform("linux", architecture), annotations=annotations)


BOTH = compose_index((entry("a", "amd64"), entry("b", "arm64")))


@pytest.mark.parametrize(
    ("other", "same"),
    [
        pytest.param(compose_index((entry("a", "amd64", "zstd"), entry("b", "arm64"))), True, id="other-compression"),
        pytest.param(
            compose_index((entry("a", "amd64"), entry("b", "arm64"), entry("c", "unknown", kind="x"))),
            True,
            id="attested",
        ),
        pytest.param(compose_index((entry("a", "amd64"), entry("c", "arm64"))), False, id="other-config"),
        pytest.param(compose_index((entry("b", "amd64"), entry("a", "arm64"))), False, id="swapped"),
        pytest.param(compose_index((entry("a", "amd64"),)), False, id="fewer"),
        pytest.param(image("a"), False, id="one"),
    ],
)
def test_index_is_its_platforms_and_configs(other: Content, same: bool) -> None:
    """Compression and attestations make no other image."""
    assert (identity(BOTH, load) == identity(other, load)) is same


def test_index_of_one_image_is_that_image() -> None:
    """An engine with a containerd store makes such indexes."""
    assert identity(compose_index((entry("a", "amd64"),)), load) == single(str(Digest.of(b"a")))


def test_nesting_is_bounded() -> None:
    """A hostile index doesn't exhaust the stack."""
    content: Content = image("a")
    for _ in range(9):
        KNOWN[content.digest] = content
        content = compose_index((content.descriptor,))
    with pytest.raises(BadManifest):
        identity(content, load)
