"""Layers that a registry has already: what is guessed, and what turns out to be so."""

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
    from publisher.model.protocols import PushTarget
    from publisher.model.reference import Repository


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

    layers: Mapping[Digest, Descriptor]
    mounted: frozenset[Digest] = frozenset()


def look_up(store: PushTarget, guesses: Mapping[Digest, BlobLocation], diff_ids: Iterable[Digest]) -> PresentLayers:
    """Find out which guesses are true, side by side; a blob of another repository of the registry is mounted."""
    ids = [diff_id for diff_id in dict.fromkeys(diff_ids) if diff_id in guesses]
    if not ids:
        return PresentLayers({})
    results = run_parallel(lambda diff_id: _locate(store, guesses[diff_id]), ids, threads=_THREADS, name="lookup")
    answers = dict(zip(ids, results, strict=True))
    present = {diff_id: guesses[diff_id].blob for diff_id, answer in answers.items() if answer}
    return PresentLayers(present, frozenset(diff_id for diff_id, answer in answers.items() if answer == "mounted"))


def _locate(store: PushTarget, guess: BlobLocation) -> str:
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
    diff_ids = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    if not isinstance(diff_ids, list):
        return {}
    return pair_layers(manifest, [Digest.parse(str(diff_id)) for diff_id in diff_ids])


def pair_layers(manifest: Manifest, diff_ids: Iterable[Digest]) -> dict[Digest, Descriptor]:
    """The layers of a manifest by the diffIDs that its config lists; none where there are more of the one."""
    ids = list(diff_ids)
    if len(ids) != len(manifest.layers):
        return {}
    return {
        diff_id: Descriptor(_REUSABLE[layer.media_type], layer.digest, layer.size)
        for diff_id, layer in zip(ids, manifest.layers, strict=True)
        if layer.media_type in _REUSABLE
    }
