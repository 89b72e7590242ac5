"""Layers that a registry has already: what is guessed, and what is found to be so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from publisher.model import media
from publisher.model.digest import Digest
from publisher.model.manifest import Descriptor, read_document
from publisher.model.value import Value
from publisher.threads import run_parallel

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from publisher.model.manifest import Manifest
    from publisher.model.protocols import BlobStore
    from publisher.model.reference import Repository


# Bytes a second, measured with Docker Engine 20.10 on two cores; only what they are to each other matters here.
_EXPORT: Final = 160e6
"""`docker save`: the whole image, always, before its first byte comes."""
_SEND: Final = 400e6
"""Read, hashed, compressed and sent by us, uncompressed bytes, on top of the export."""
_ENGINE: Final = 35e6
"""Compressed and sent by the engine."""
_ENGINE_STARTS: Final = 0.2
"""Seconds to begin and end the engine's push."""
_EXPORT_LAYER: Final = 0.025
_ENGINE_LAYER: Final = 0.018
"""Seconds that each layer takes besides, however small."""


class TransferCost(Value, frozen=True, kw_only=True):
    """What there is to bring over. All sizes are of uncompressed layers, in bytes.

    total: the whole image. missing: layers that the registry isn't thought to hold. fresh: layers that the engine
    would compress and send, since it doesn't know them by the registry's digests. layers, fresh_layers: how many.
    bar: why the engine can't push to a relay; "" where it can.
    """

    total: int
    missing: int
    fresh: int
    layers: int
    fresh_layers: int
    bar: str = ""


class Route(Value, frozen=True):
    """The way, "direct" or "engine", and why, in half a sentence."""

    name: str
    reason: str


def choose(cargo: TransferCost) -> Route:
    """The cheaper way, by estimate."""
    if cargo.bar:
        return Route("direct", cargo.bar)
    direct = cargo.total / _EXPORT + cargo.layers * _EXPORT_LAYER + cargo.missing / _SEND
    engine = _ENGINE_STARTS + cargo.fresh / _ENGINE + cargo.fresh_layers * _ENGINE_LAYER
    compared = (
        f"about {direct:.1f} s for {_megabytes(cargo.total)} exported and {_megabytes(cargo.missing)} sent, "
        f"{engine:.1f} s for {_megabytes(cargo.fresh)} pushed by the engine"
    )
    return Route("engine" if engine < direct else "direct", compared)


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


_THREADS: Final = 6
_REUSABLE: Final = {
    media.OCI_LAYER_GZIP: media.OCI_LAYER_GZIP,
    media.DOCKER_LAYER_GZIP: media.OCI_LAYER_GZIP,  # the same bytes under docker's name
    media.OCI_LAYER_ZSTD: media.OCI_LAYER_ZSTD,
    media.OCI_LAYER_TAR: media.OCI_LAYER_TAR,
}


class BlobLocation(Value, frozen=True):
    """A blob and a repository that is thought to hold it."""

    blob: Descriptor
    repository: Repository


class PresentLayers(Value, frozen=True):
    """What a store turned out to hold of the layers asked for, by diffID; `mounted` were taken over just now."""

    held: Mapping[Digest, Descriptor]
    mounted: frozenset[Digest] = frozenset()


def look_up(store: BlobStore, guesses: Mapping[Digest, BlobLocation], diff_ids: Iterable[Digest]) -> PresentLayers:
    """Find out which guesses are true, side by side; a blob of another repository of the registry is mounted."""
    asked = [diff_id for diff_id in dict.fromkeys(diff_ids) if diff_id in guesses]
    if not asked:
        return PresentLayers({})
    found = run_parallel(lambda diff_id: _hold(store, guesses[diff_id]), asked, threads=_THREADS, name="lookup")
    answers = dict(zip(asked, found, strict=True))
    held = {diff_id: guesses[diff_id].blob for diff_id, answer in answers.items() if answer}
    return PresentLayers(held, frozenset(diff_id for diff_id, answer in answers.items() if answer == "mounted"))


def _hold(store: BlobStore, guess: BlobLocation) -> str:
    """How the store came to hold the blob: "there", "mounted", or "" where it doesn't."""
    blob = guess.blob
    if store.blob_size(blob.digest) == blob.size:
        return "there"
    if guess.repository == store.repository or not store.mount(blob.digest, guess.repository):
        return ""
    # The size was another repository's word: what is put into a manifest is looked at.
    return "mounted" if store.blob_size(blob.digest) == blob.size else ""


def layers_of(manifest: Manifest, config: bytes) -> dict[Digest, Descriptor]:
    """The layers of a published image by diffID, as its config lists them; none where the two don't fit together.

    Raises BadManifest or BadReference for a config that is malformed.
    """
    rootfs = read_document(config).get("rootfs")
    listed = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    if not isinstance(listed, list):
        return {}
    return pair_layers(manifest, [Digest.parse(str(diff_id)) for diff_id in listed])


def pair_layers(manifest: Manifest, diff_ids: Iterable[Digest]) -> dict[Digest, Descriptor]:
    """The layers of a manifest by the diffIDs that its config lists; none where there are more of the one."""
    listed = list(diff_ids)
    if len(listed) != len(manifest.layers):
        return {}
    return {
        diff_id: Descriptor(_REUSABLE[layer.media_type], layer.digest, layer.size)
        for diff_id, layer in zip(listed, manifest.layers, strict=True)
        if layer.media_type in _REUSABLE
    }
