"""Copies: what is sent, in which order, and what stops them."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from io import BytesIO
from typing import TYPE_CHECKING, BinaryIO

import pytest

from publisher.model import media
from publisher.model.digest import Digest
from publisher.model.errors import BadManifest, Unreachable, VerificationFailed
from publisher.model.manifest import Content, Descriptor, Manifest, Platform, compose_index, compose_manifest
from publisher.model.reference import Repository
from publisher.transfer.copy import collect, send_stored

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from publisher.model.protocols import Meter, Upload

NEARBY = Repository.parse("127.0.0.1:1/base")


class Quiet:
    def advance(self, amount: int) -> None: ...

    def step(self, text: str) -> None: ...

    def warn(self, text: str, place: object = None) -> None: ...

    def group(self, title: str) -> AbstractContextManager[None]:
        return nullcontext()

    def meter(self, label: str, total: int | None) -> AbstractContextManager[Meter]:
        return nullcontext(self)


class Image:
    def __init__(self) -> None:
        self.contents: dict[Digest, Content] = {}
        self.blobs: dict[Digest, bytes] = {}
        self.top: Content | None = None

    def blob(self, content: bytes, media_type: str) -> Descriptor:
        self.blobs[Digest.of(content)] = content
        return Descriptor(media_type, Digest.of(content), len(content))

    def add(self, content: Content) -> Descriptor:
        self.contents[content.digest] = self.top = content
        return content.descriptor

    def single(self, name: str) -> Descriptor:
        config = self.blob(b'{"os":"%s"}' % name.encode(), media.OCI_CONFIG)
        layers = (self.blob(name.encode() * 1000, media.OCI_LAYER_GZIP), self.blob(b"common", media.OCI_LAYER_GZIP))
        manifest = self.add(compose_manifest(config, layers))
        return Descriptor(manifest.media_type, manifest.digest, manifest.size, Platform("linux", name))

    def root(self) -> Content:
        assert self.top
        return self.top

    def manifest(self, descriptor: Descriptor) -> Content:
        if descriptor.digest not in self.contents:
            raise VerificationFailed(f"{descriptor.digest} is missing")
        return self.contents[descriptor.digest]

    def open_blob(self, descriptor: Descriptor) -> BinaryIO:
        return BytesIO(self.blobs[descriptor.digest])


class Store:
    def __init__(self, blobs: tuple[Digest, ...] = (), nearby: tuple[Digest, ...] = ()) -> None:
        self.repository = Repository.parse("127.0.0.1:1/t")
        self.sizes: dict[Digest, int] = dict.fromkeys(blobs, 6)
        self.events: list[str] = []
        self._nearby = nearby

    def blob_size(self, digest: Digest) -> int | None:
        return self.sizes.get(digest)

    def mount(self, digest: Digest, origin: Repository) -> bool:
        assert origin == NEARBY
        if digest in self._nearby:
            self.events.append(f"mount {digest}")
        return digest in self._nearby

    def upload(self, blob: Upload) -> Descriptor:
        content = b"".join(blob.chunks())
        assert blob.descriptor().digest.matches(content)
        self.events.append(f"upload {blob.descriptor().digest}")
        return blob.descriptor()

    def put_manifest(self, content: Content) -> None:
        self.events.append(f"put {content.digest}")


def two_platforms() -> Image:
    image = Image()
    image.add(compose_index((image.single("amd64"), image.single("arm64"))))
    return image


def test_blobs_go_before_manifests_and_the_root_goes_last() -> None:
    """No manifest is ever there before what it names."""
    image, store = two_platforms(), Store()
    assert send_stored(image, store, Quiet()) == image.root()
    kinds = [event.partition(" ")[0] for event in store.events]
    assert kinds == ["upload"] * 5 + ["put"] * 3
    assert store.events[-1] == f"put {image.root().digest}"


def test_blob_that_is_there_is_not_sent() -> None:
    """A HEAD is enough."""
    image, store = two_platforms(), Store(blobs=(Digest.of(b"common"),))
    send_stored(image, store, Quiet())
    assert f"upload {Digest.of(b'common')}" not in store.events


def test_blob_of_another_size_is_sent_again() -> None:
    """What is torn in the registry isn't taken for the blob."""
    image, store = two_platforms(), Store(blobs=(Digest.of(b"amd64" * 1000),))
    send_stored(image, store, Quiet())
    assert f"upload {Digest.of(b'amd64' * 1000)}" in store.events


def test_blob_nearby_is_mounted() -> None:
    """The others are sent."""
    image, store = two_platforms(), Store(nearby=(Digest.of(b"common"),))
    send_stored(image, store, Quiet(), origins=(NEARBY, store.repository))
    assert f"mount {Digest.of(b'common')}" in store.events
    assert len([event for event in store.events if event.startswith("upload")]) == 4


def test_partial_index_sends_nothing() -> None:
    """All manifests are read first."""
    image, store = two_platforms(), Store()
    image.contents.popitem()
    image.contents.popitem()
    with pytest.raises(VerificationFailed, match="missing"):
        send_stored(image, store, Quiet())
    assert store.events == []


def test_manifest_that_is_not_what_its_digest_says_is_refused() -> None:
    """A source is checked, whatever it promises."""
    image, store = two_platforms(), Store()
    first, second, _root = image.contents
    image.contents[first] = image.contents[second]
    with pytest.raises(VerificationFailed, match="digest"):
        send_stored(image, store, Quiet())
    assert store.events == []


@pytest.mark.parametrize("content", [b"amd64" * 999, b"amd64" * 1001, b"x" * 5000, b""])
def test_changed_blob_is_found(content: bytes) -> None:
    """No manifest is put then, and no thread stays."""
    image, store = two_platforms(), Store()
    image.blobs[Digest.of(b"amd64" * 1000)] = content
    with pytest.raises(VerificationFailed, match="isn't what"):
        send_stored(image, store, Quiet())
    assert not [event for event in store.events if event.startswith("put")]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("copy")]


def test_first_failure_ends_the_copy() -> None:
    """What waits isn't begun."""

    class Broken(Store):
        def upload(self, blob: Upload) -> Descriptor:
            raise Unreachable("gone")

    with pytest.raises(Unreachable, match="gone"):
        send_stored(two_platforms(), Broken(), Quiet())


@pytest.mark.parametrize(("levels", "fine"), [(8, True), (9, False)])
def test_nesting_is_bounded(levels: int, fine: bool) -> None:
    """Eight levels of indexes are read."""
    image = Image()
    entry = image.single("amd64")
    for _ in range(levels):
        entry = image.add(compose_index((entry,)))
    if fine:
        assert len(collect(image)) == levels + 1
    else:
        with pytest.raises(BadManifest, match="nested"):
            collect(image)


def test_one_manifest_can_stand_for_the_root() -> None:
    """Only its blobs are sent."""
    image, store = two_platforms(), Store()
    part = next(content for content in image.contents.values() if isinstance(content, Manifest))
    assert send_stored(image, store, Quiet(), root=part) == part
    assert len(store.events) == 4
