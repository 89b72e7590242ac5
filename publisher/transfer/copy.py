"""Copies of images whose manifests exist: bytes pass as they are."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from publisher.model.errors import BadManifest, VerificationFailed
from publisher.model.manifest import MOST_ENTRIES, Content, Index, Manifest
from publisher.model.value import Value
from publisher.threads import run_parallel
from publisher.transfer.pipe import MEMORY, Halt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from publisher.model.digest import Digest
    from publisher.model.manifest import Descriptor
    from publisher.model.protocols import Meter, Progress, PushTarget, StoredImage
    from publisher.model.reference import Repository
    from publisher.transfer.turns import BlobTurns

_PIECE: Final = 1 << 20
_THREADS: Final = 6
"""Blobs on their way at once."""
_LOOKS: Final = 32
"""Small requests at once: on a long line a second round takes as long as the first."""
_LARGE: Final = 16 << 20
"""What a large blob takes of the memory: its upload keeps so much to send again."""
_DEEPEST: Final = 8


class Cache(Protocol):
    """What is remembered of blobs between runs; guesses, of which a wrong one costs a request.

    turns: of the blobs that several images are about to send.
    """

    @property
    def turns(self) -> BlobTurns:
        """Kept for the run."""

    def origins(self, target: Repository, digests: Iterable[Digest]) -> Mapping[Digest, Repository]:
        """Other repositories of the target's registry, by the blobs that they hold."""

    def remember_blob(self, repository: Repository, blob: Descriptor) -> None:
        """Add a blob."""


def collect(image: StoredImage, root: Content | None = None) -> tuple[Content, ...]:
    """Every manifest of an image, children before their index, the root last.

    Raises BadManifest for more than 8 levels or 1,000 manifests, and what `image` raises for one that is missing.
    """
    manifests: dict[str, Content] = {}
    _collect(image, root or image.root(), manifests, 0)
    return tuple(manifests.values())


def _collect(image: StoredImage, content: Content, manifests: dict[str, Content], depth: int) -> None:
    if depth > _DEEPEST:
        raise BadManifest(f"the index is nested deeper than {_DEEPEST} levels")
    if isinstance(content, Index):
        new = [entry for entry in content.manifests if str(entry.digest) not in manifests]
        if len(new) + len(manifests) > MOST_ENTRIES:
            raise BadManifest(f"the image has more than {MOST_ENTRIES:,} manifests")
        for child in run_parallel(partial(_child, image), new, threads=_LOOKS, name="collect"):
            _collect(image, child, manifests, depth + 1)
    manifests[str(content.digest)] = content
    if len(manifests) > MOST_ENTRIES + 1:
        raise BadManifest(f"the image has more than {MOST_ENTRIES:,} manifests")


def blobs_of(manifests: Iterable[Content]) -> dict[Digest, Descriptor]:
    """The blobs of all manifests, each once."""
    return {blob.digest: blob for content in manifests if isinstance(content, Manifest) for blob in content.blobs}


def _child(image: StoredImage, entry: Descriptor) -> Content:
    content = image.manifest(entry)
    if len(content.content) != entry.size or not entry.digest.matches(content.content):
        raise VerificationFailed(f"manifest {entry.digest} isn't what its digest and size say")
    return content


class _CopyPass(Value, frozen=True):
    """What all blobs of one copy have in common."""

    image: StoredImage
    store: PushTarget
    mountable: tuple[Repository, ...]
    origins_by_blob: Mapping[Digest, Repository]
    cache: Cache | None
    meter: Meter
    halt: Halt

    def exists(self, blob: Descriptor) -> bool:
        """Whether the blob needn't be sent."""
        exists = blob_exists(self.store, blob, self.mountable, self.origins_by_blob)
        if exists:
            self.meter.advance(blob.size)
        return exists

    def send(self, blob: Descriptor) -> None:
        """Bring one blob over, unless another image of this run brings it: then it is mounted from there."""
        if self.cache is None:
            self._upload(blob)
        else:
            with self.cache.turns.take(self.store.repository.registry, [blob.digest], self.halt.check):
                home = self.cache.turns.home(self.store.repository.registry, blob.digest)
                if home is None or not blob_exists(self.store, blob, (), {blob.digest: home}):
                    self._upload(blob)
                self.cache.turns.add_home(self.store.repository, blob.digest)
        self.meter.advance(blob.size)

    def _upload(self, blob: Descriptor) -> None:
        self.halt.check()
        share = MEMORY.acquire(min(blob.size, _LARGE), self.halt)
        try:
            self.store.upload(_CopiedBlob(self.image, blob, self.halt, self.remember))
        finally:
            MEMORY.release(share)

    def remember(self, blob: Descriptor) -> None:
        """Keep where a blob is, for later runs."""
        if self.cache is not None:
            self.cache.remember_blob(self.store.repository, blob)


def blob_exists(
    store: PushTarget, blob: Descriptor, mountable: Iterable[Repository], origins_by_blob: Mapping[Digest, Repository]
) -> bool:
    """Whether a store holds a blob, or has just taken it over from another repository of its registry.

    Where a home of the blob is known it is mounted at once: one request, whether it is there already or not.
    """
    origin = origins_by_blob.get(blob.digest)
    origins = dict.fromkeys((*mountable, origin) if origin and origin != store.repository else mountable)
    return any(store.mount(blob.digest, each) for each in origins) or store.blob_size(blob.digest) == blob.size


def find_missing(
    store: PushTarget, blobs: Iterable[Descriptor], mountable: Iterable[Repository], cache: Cache
) -> dict[Digest, Descriptor]:
    """Those blobs that a store lacks and can't take over, by digest; they are asked for side by side."""
    wanted, origins = list(blobs), tuple(origin for origin in mountable if origin != store.repository)
    if not wanted:
        return {}
    known = cache.origins(store.repository, [blob.digest for blob in wanted])
    exist = run_parallel(lambda blob: blob_exists(store, blob, origins, known), wanted, threads=_LOOKS, name="lookup")
    return {blob.digest: blob for blob, exists in zip(wanted, exist, strict=True) if not exists}


def send_stored(
    image: StoredImage,
    store: PushTarget,
    progress: Progress,
    *,
    origins: Iterable[Repository] = (),
    root: Content | None = None,
    cache: Cache | None = None,
    present: frozenset[Digest] = frozenset(),
    beside: Sequence[Callable[[], None]] = (),
) -> Content:
    """Send all blobs that are missing, then the manifests by digest, the root last; returns the root.

    All manifests are read before anything is sent, so a partial index sends nothing.
    origins: repositories of the same registry that may hold the blobs: they are mounted from there.
    cache: what is remembered of blobs in other repositories of the registry; told of each before its upload ends.
    present: blobs that the store is known to hold. beside: what is done while the store is asked for the others, and
    raises before anything is sent.
    root: what to send instead of `image`'s own root: an index of some of its platforms, or one manifest of it.
    """
    manifests = collect(image, root)
    blobs = blobs_of(manifests)
    mountable = tuple(origin for origin in origins if origin != store.repository)
    halt = Halt()
    origins_by_blob = cache.origins(store.repository, blobs) if cache else {}
    with progress.meter("copy", sum(blob.size for blob in blobs.values())) as meter:
        copying = _CopyPass(image, store, mountable, origins_by_blob, cache, meter, halt)
        meter.advance(sum(blob.size for digest, blob in blobs.items() if digest in present))
        missing = _blobs_to_send(copying, [blob for digest, blob in blobs.items() if digest not in present], beside)
        # The first failure, or an interrupt, ends the rest, also in the midst of a blob.
        run_parallel(copying.send, missing, threads=_THREADS, name="copy", on_stop=halt.fail)
    _put_manifests(store, manifests)
    return manifests[-1]


def _blobs_to_send(
    copying: _CopyPass, blobs: Sequence[Descriptor], beside: Sequence[Callable[[], None]]
) -> list[Descriptor]:
    """Those blobs that have to be sent."""
    missing: list[Descriptor] = []

    def check(blob: Descriptor) -> None:
        if not copying.exists(blob):
            missing.append(blob)

    works: list[Callable[[], None]] = [*beside, *(partial(check, blob) for blob in blobs)]
    run_parallel(lambda work: work(), works, threads=_LOOKS, name="lookup", finish_all=True)
    return missing


def _put_manifests(store: PushTarget, manifests: tuple[Content, ...]) -> None:
    """Images side by side, then the indexes that list them, each after its children."""
    images = [content for content in manifests if isinstance(content, Manifest)]
    run_parallel(store.put_manifest, images, threads=_LOOKS, name="manifest")
    for content in manifests:
        if isinstance(content, Index):
            store.put_manifest(content)


class _CopiedBlob:
    """A blob read from one place while it is sent to another."""

    def __init__(
        self, image: StoredImage, blob: Descriptor, halt: Halt, remember: Callable[[Descriptor], None]
    ) -> None:
        self.media_type = blob.media_type
        self._image = image
        self._blob = blob
        self._halt = halt
        self._remember = remember

    def chunks(self) -> Iterator[bytes]:
        hasher = self._blob.digest.hasher()
        length = 0
        with self._image.open_blob(self._blob) as stream:
            while (piece := stream.read(_PIECE)) and length <= self._blob.size:
                self._halt.check()
                hasher.update(piece)
                length += len(piece)
                yield piece
        if length != self._blob.size or hasher.hexdigest() != self._blob.digest.hex:
            raise VerificationFailed(f"blob {self._blob.digest} isn't what its digest and size say")

    def descriptor(self) -> Descriptor:
        self._remember(self._blob)
        return self._blob
