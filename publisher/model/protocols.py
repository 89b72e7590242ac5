"""The joints between rooms: what one needs of another, and no more."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    from publisher.model.credential import Answer
    from publisher.model.digest import Digest
    from publisher.model.manifest import Content, Descriptor, Platform
    from publisher.model.reference import Repository
    from publisher.model.value import Place


class CredentialSource(Protocol):
    """One place where credentials may be."""

    name: str

    def find(self, registry: str, repository: str = "") -> Answer:
        """Ask for `registry` (host[:port], docker.io for Hub); `repository` is a path there, for scoped ones."""


@runtime_checkable
class StoredImage(Protocol):
    """An image whose manifests exist already: its bytes pass as they are."""

    def root(self) -> Content:
        """The manifest or index that names the image."""

    def manifest(self, descriptor: Descriptor) -> Content:
        """A manifest that the root lists; checked against its digest."""

    def open_blob(self, descriptor: Descriptor) -> AbstractContextManager[BinaryIO]:
        """A stream of a blob's bytes; the reader checks them against the digest."""


class Layer(Protocol):
    """One uncompressed layer, met in the order of the archive."""

    size: int

    def read(self, size: int, /) -> bytes:
        """The next bytes, at most `size`; empty at the end."""


@runtime_checkable
class LooseImage(Protocol):
    """An image without a manifest: a config and uncompressed layers (an engine's, a docker-archive's)."""

    platform: Platform
    diff_ids: tuple[Digest, ...]

    @property
    def config(self) -> bytes:
        """The config's exact bytes; a stream has them only after its layers have passed."""

    def size_of(self, diff_ids: frozenset[Digest]) -> int:
        """About how many bytes these layers have, as far as can be told before they pass."""

    def layers(self, needed: frozenset[Digest]) -> AbstractContextManager[Iterator[tuple[Digest | None, Layer]]]:
        """Read the layers once more, from the start; each must be read whole or left before the next is taken.

        needed: the diffIDs to read; others are passed over where the archive tells them apart in time.
        Yields the diffID where the archive states it ahead of the bytes, else None: the reader hashes.
        """


class StreamedBlob(Protocol):
    """A blob that passes in an archive: its digest by its name."""

    digest: Digest
    size: int

    def read(self, size: int, /) -> bytes:
        """The next bytes, at most `size`; empty at the end."""


class BlobStream(Protocol):
    """An archive whose blobs come one after another."""

    def blobs(self) -> AbstractContextManager[Iterator[StreamedBlob]]:
        """Read them once more, from the start; each must be read before the next is taken, or is passed over."""


ImageSource = StoredImage | LooseImage


class PushTarget(Protocol):
    """Where the blobs and manifests of one repository are pushed."""

    repository: Repository

    def blob_size(self, digest: Digest) -> int | None:
        """The size of a blob that is there, in bytes; None if it isn't."""

    def mount(self, digest: Digest, origin: Repository) -> bool:
        """Take a blob over from another repository of the same registry; False if the registry doesn't."""

    def upload(self, blob: Upload) -> Descriptor:
        """Send a blob; returns once the registry has said that it holds it."""

    def put_manifest(self, content: Content) -> None:
        """Put a manifest by its digest; no tag moves."""


class Upload(Protocol):
    """A blob on its way, whose digest may be known only at its end."""

    media_type: str

    def chunks(self) -> Iterator[bytes]:
        """The bytes from the start; may be asked again when the registry lost the first ones."""

    def descriptor(self) -> Descriptor:
        """What was sent; valid after the last chunk."""


class Meter(Protocol):
    """Progress of one thing that has a size."""

    def advance(self, amount: int) -> None:
        """So many bytes more."""


class TagRun(Protocol):
    """A run that has come to its tags."""

    @property
    def is_under_way(self) -> bool:
        """Whether any tag was written, or may have been."""


class Progress(Protocol):
    """Where a run tells what it is doing; never stdout."""

    def step(self, text: str) -> None:
        """A step begins or ended, in one line."""

    def warn(self, text: str, place: Place | None = None) -> None:
        """Something the user should know and needn't act on now; place: the line of a file that it is about."""

    def group(self, title: str) -> AbstractContextManager[None]:
        """A step with many lines, which may be folded away."""

    def meter(self, label: str, total: int | None) -> AbstractContextManager[Meter]:
        """A bar for `total` bytes; None when unknown."""


@runtime_checkable
class ImagesProgress(Progress, Protocol):
    """As Progress, where several images that go on side by side are shown together."""

    def images(self, names: Sequence[str]) -> AbstractContextManager[None]:
        """While the images of these names are released."""
