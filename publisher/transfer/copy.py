"""Copies of images whose manifests exist: bytes pass as they are."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, Protocol

from publisher.model.errors import BadManifest, VerificationFailed
from publisher.model.manifest import MOST_ENTRIES, Content, Index, Manifest
from publisher.model.value import Value
from publisher.threads import postponed, side_by_side
from publisher.transfer.pipe import Budget, Halt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from publisher.model.digest import Digest
    from publisher.model.manifest import Descriptor
    from publisher.model.protocols import BlobStore, Meter, Progress, StoredImage
    from publisher.model.reference import Repository

_PIECE: Final = 1 << 20
_THREADS: Final = 6
_BUDGET: Final = 48 << 20
_LARGE: Final = 16 << 20
"""What a large blob takes of the budget: its upload keeps so much to send again."""
_DEEPEST: Final = 8


class Cache(Protocol):
    """What is remembered of blobs between runs; guesses, of which a wrong one costs a request."""

    def places(self, target: Repository, digests: Iterable[Digest]) -> Mapping[Digest, Repository]:
        """Other repositories of the target's registry, by the blobs that they hold."""

    def remember_blob(self, repository: Repository, blob: Descriptor) -> None:
        """Add a blob."""


def collect(image: StoredImage, root: Content | None = None) -> tuple[Content, ...]:
    """Every manifest of an image, children before their index, the root last.

    Raises BadManifest for more than 8 levels or 1,000 manifests, and what `image` raises for one that is missing.
    """
    found: dict[str, Content] = {}
    _collect(image, root or image.root(), found, 0)
    return tuple(found.values())


def _collect(image: StoredImage, content: Content, found: dict[str, Content], depth: int) -> None:
    if depth > _DEEPEST:
        raise BadManifest(f"the index is nested deeper than {_DEEPEST} levels")
    if isinstance(content, Index):
        new = [entry for entry in content.manifests if str(entry.digest) not in found]
        if len(new) + len(found) > MOST_ENTRIES:
            raise BadManifest(f"the image has more than {MOST_ENTRIES:,} manifests")
        for child in side_by_side(_THREADS, "collect", lambda entry: _child(image, entry), new):
            _collect(image, child, found, depth + 1)
    found[str(content.digest)] = content
    if len(found) > MOST_ENTRIES + 1:
        raise BadManifest(f"the image has more than {MOST_ENTRIES:,} manifests")


def blobs_of(manifests: Iterable[Content]) -> dict[Digest, Descriptor]:
    """The blobs of all manifests, each once."""
    return {blob.digest: blob for content in manifests if isinstance(content, Manifest) for blob in content.blobs}


def _child(image: StoredImage, entry: Descriptor) -> Content:
    content = image.manifest(entry)
    if len(content.content) != entry.size or not entry.digest.matches(content.content):
        raise VerificationFailed(f"manifest {entry.digest} isn't what its digest and size say")
    return content


class _Copying(Value, frozen=True):
    """What all blobs of one copy have in common."""

    image: StoredImage
    store: BlobStore
    nearby: tuple[Repository, ...]
    places: Mapping[Digest, Repository]
    remember: Callable[[Descriptor], None]
    meter: Meter
    halt: Halt
    budget: Budget
    present: frozenset[Digest]

    def send(self, blob: Descriptor) -> None:
        """Bring one blob over, by the cheapest way that works."""
        self.halt.check()
        if blob.digest not in self.present and not is_there(self.store, blob, self.nearby, self.places):
            share = self.budget.take(min(blob.size, _LARGE))
            try:
                self.store.upload(_Copy(self.image, blob, self.halt, self.remember))
            finally:
                self.budget.give(share)
        self.meter.advance(blob.size)


def is_there(
    store: BlobStore, blob: Descriptor, nearby: Iterable[Repository], places: Mapping[Digest, Repository]
) -> bool:
    """Whether a store holds a blob, or has just taken it over from a repository near it."""
    if store.blob_size(blob.digest) == blob.size:
        return True
    known = places.get(blob.digest)
    return any(store.mount(blob.digest, origin) for origin in dict.fromkeys((*nearby, known) if known else nearby))


def find_missing(
    store: BlobStore, blobs: Iterable[Descriptor], nearby: Iterable[Repository], cache: Cache
) -> dict[Digest, Descriptor]:
    """Those blobs that a store lacks and can't take over, by digest; they are asked for side by side."""
    asked, origins = list(blobs), tuple(origin for origin in nearby if origin != store.repository)
    if not asked:
        return {}
    places = cache.places(store.repository, [blob.digest for blob in asked])
    found = side_by_side(_THREADS, "lookup", lambda blob: is_there(store, blob, origins, places), asked)
    return {blob.digest: blob for blob, there in zip(asked, found, strict=True) if not there}


def send_stored(
    image: StoredImage,
    store: BlobStore,
    progress: Progress,
    *,
    origins: Iterable[Repository] = (),
    root: Content | None = None,
    cache: Cache | None = None,
    present: frozenset[Digest] = frozenset(),
) -> Content:
    """Send all blobs that are missing, then the manifests by digest, the root last; returns the root.

    All manifests are read before anything is sent, so a partial index sends nothing.
    origins: repositories of the same registry that may hold the blobs: they are mounted from there.
    cache: what is remembered of blobs in other repositories of the registry; told of each before its upload ends.
    present: blobs that the store is known to hold.
    root: what to send instead of `image`'s own root: an index of some of its platforms, or one manifest of it.
    """
    manifests = collect(image, root)
    blobs = blobs_of(manifests)
    nearby = tuple(origin for origin in origins if origin != store.repository)
    halt = Halt()
    places = cache.places(store.repository, blobs) if cache else {}

    def remember(blob: Descriptor) -> None:
        if cache:
            cache.remember_blob(store.repository, blob)

    with progress.meter("copy", sum(blob.size for blob in blobs.values())) as meter:
        copying = _Copying(image, store, nearby, places, remember, meter, halt, Budget(_BUDGET, halt), present)
        _send_blobs(copying, tuple(blobs.values()))
    _put_manifests(store, manifests)
    return manifests[-1]


def _put_manifests(store: BlobStore, manifests: tuple[Content, ...]) -> None:
    """Images side by side, then the indexes that list them, each after its children."""
    images = [content for content in manifests if isinstance(content, Manifest)]
    side_by_side(_THREADS, "manifest", store.put_manifest, images)
    for content in manifests:
        if isinstance(content, Index):
            store.put_manifest(content)


def _send_blobs(copying: _Copying, blobs: tuple[Descriptor, ...]) -> None:
    """Send side by side; the first failure, or an interrupt, ends the rest."""
    with postponed() as signals, ThreadPoolExecutor(_THREADS, thread_name_prefix="copy") as pool:
        try:
            signals.results([pool.submit(copying.send, blob) for blob in blobs])
        except BaseException as error:
            copying.halt.fail(error)
            pool.shutdown(cancel_futures=True)
            raise


class _Copy:
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
