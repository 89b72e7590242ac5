"""What the destination's registry may hold of an image already, and who can tell."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from publisher.model.errors import PublishError
from publisher.model.manifest import LARGEST, Index, Manifest
from publisher.model.value import Value
from publisher.transfer.reuse import BlobLocation, layers_of, pair_layers
from publisher.transfer.route import TransferCost

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from publisher.engine.image import EngineImage
    from publisher.engine.relatives import Relative
    from publisher.model.digest import Digest
    from publisher.model.manifest import Descriptor, Platform
    from publisher.model.protocols import LooseImage
    from publisher.model.reference import Repository
    from publisher.registry.repository import RemoteRepository
    from publisher.transfer.compression import Compression
    from publisher.workflows.jobs import ReleaseDraft
    from publisher.workflows.session import Session

_MOST_READ: Final = 2
"""Images of each kind that are read from the registry: each costs a pull on Docker Hub."""


class LayerHints(Value, frozen=True):
    """Where layers may be already, by diffID, and the images of the engine that told; the nearest first."""

    guesses: Mapping[Digest, BlobLocation]
    relatives: tuple[Relative, ...] = ()

    @property
    def origins(self) -> tuple[Repository, ...]:
        """Repositories that may hold blobs under the digests that the engine knows."""
        return tuple(dict.fromkeys(ref.repository for relative in self.relatives for ref in relative.references))

    def transfer_cost(self, image: EngineImage, sizes: Sequence[int], bar: str) -> TransferCost:
        """What is left to bring over, by either way. sizes: of the image's layers in bytes, the lowest first."""
        nearest = self.relatives[0] if self.relatives else None
        new = next((at for at, diff_id in enumerate(image.diff_ids) if diff_id not in self.guesses), None)
        return TransferCost(
            total=image.size,
            missing=0 if new is None else image.size - sum(sizes[:new]),
            fresh=image.size - nearest.image.size if nearest else image.size,
            layers=len(image.diff_ids),
            fresh_layers=len(image.diff_ids) - (len(nearest.image.diff_ids) if nearest else 0),
            bar=bar,
        )


def earlier_releases(draft: ReleaseDraft) -> tuple[Digest, ...]:
    """What the first repository holds that may share layers with this release: the newest version, and what moves."""
    from publisher.planning.lines import published_versions

    first = draft.job.repositories[0]
    versions = published_versions(draft.candidates.ruleset, draft.published[first])
    newest = [published.digest for _version, published in sorted(versions.items(), reverse=True)]
    moved = (move.before for move in draft.plan.moves if move.reference.repository == first)
    return tuple(dict.fromkeys(digest for digest in [*newest[:1], *moved] if digest))


def find_layer_hints(
    session: Session,
    image: LooseImage,
    held: EngineImage | None,
    remote: RemoteRepository,
    compression: Compression,
    previous: Sequence[Digest],
) -> LayerHints:
    """Ask the cache, then the engine's images of the same registry, then what was released before.

    held: `image` as the engine describes it, None where it comes from a file. previous: manifests in `remote` that
    may be earlier releases. What can't be read tells nothing: a lead only saves time.
    """
    guesses = session.blob_cache.locations(remote.repository, compression, image.diff_ids)
    registry = remote.repository.registry
    relatives = _relatives(session, held, registry) if held else ()

    def add(found: Mapping[Digest, Descriptor], repository: Repository) -> None:
        for diff_id, blob in found.items():
            if blob.media_type == compression.media_type:
                guesses.setdefault(diff_id, BlobLocation(blob, repository))

    def lacks(diff_ids: Iterable[Digest]) -> bool:
        return not guesses.keys() >= set(diff_ids)

    for relative in relatives[:_MOST_READ]:
        if lacks(relative.image.diff_ids):
            add(_layers_of_relative(session, relative), relative.references[0].repository)
    for digest in previous[:_MOST_READ]:
        if lacks(image.diff_ids):
            add(_layers_released(remote, digest, image.platform), remote.repository)
    return LayerHints(guesses, relatives)


def _relatives(session: Session, held: EngineImage, registry: str) -> tuple[Relative, ...]:
    """None in a sandbox, which the engine calls by another name."""
    from publisher.engine.relatives import find_relatives

    with suppress(PublishError):
        return find_relatives(session.engine, held, registry) if not session.sandbox else ()
    return ()


def _layers_of_relative(session: Session, relative: Relative) -> dict[Digest, Descriptor]:
    """Its manifest in the registry lists its layers in the order that the engine knows them in."""
    reference = relative.references[0]
    with suppress(PublishError):
        remote = session.remote(reference.repository)
        manifest = _manifest(remote, reference.digest, relative.image.platform)
        if manifest and manifest.config.digest == relative.image.config:
            return pair_layers(manifest, relative.image.diff_ids)
    return {}


def _layers_released(remote: RemoteRepository, digest: Digest, platform: Platform) -> dict[Digest, Descriptor]:
    with suppress(PublishError):
        manifest = _manifest(remote, digest, platform)
        if manifest:
            with remote.open_blob(manifest.config) as config:
                return layers_of(manifest, config.read(LARGEST + 1))
    return {}


def _manifest(remote: RemoteRepository, digest: Digest | None, platform: Platform) -> Manifest | None:
    """The manifest of one platform; None where it isn't there."""
    found = remote.find(digest) if digest else None
    if isinstance(found, Index):
        entry = next((entry for entry in found.images if entry.platform == platform), None)
        found = remote.find(entry.digest) if entry else None
    return found if isinstance(found, Manifest) else None
