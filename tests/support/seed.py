"""What a simulated registry holds before a test begins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.model import media
from publisher.model.manifest import Descriptor, Manifest, compose_manifest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tests.support.simulation import World


def put_image(world: World, name: str, text: str, *tags: str) -> Manifest:
    """Have an image there by its digest, as `publish push` leaves it, or under tags."""
    config, layer = f'{{"architecture":"amd64","os":"linux","x":"{text}"}}'.encode(), f"layer of {text}".encode()
    manifest = compose_manifest(
        Descriptor(media.OCI_CONFIG, world.put_blob(name, config), len(config)),
        (Descriptor(media.OCI_LAYER_GZIP, world.put_blob(name, layer), len(layer)),),
    )
    world.put(name, manifest, *tags)
    return manifest


def put_versions(world: World, name: str, versions: Iterable[str]) -> dict[str, str]:
    """Have these versions published, every floating tag in its place; returns their digests."""
    digests = {version: str(put_image(world, name, version, version).digest) for version in versions}
    for tag, digest in floating_tags(digests).items():
        world.put(name, world.manifest(name, digest), tag)
    return digests


def floating_tags(digests: Mapping[str, str]) -> dict[str, str]:
    """What each floating tag has to hold where these versions are published."""
    tags: dict[str, str] = {}
    for version in sorted(digests, key=lambda text: [int(part) for part in text.split(".")]):
        major, minor, _patch = version.split(".")
        tags |= dict.fromkeys((f"{major}.{minor}", major, "latest"), digests[version])
    return tags
