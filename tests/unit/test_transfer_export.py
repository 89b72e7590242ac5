"""The pipeline from an export: what is sent, what is left out, and how it ends."""

from __future__ import annotations

import gzip
import json
import os
import threading
import time
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from publisher.model import media
from publisher.model.digest import Digest
from publisher.model.errors import ConfigError, PublishError, Unreachable, VerificationFailed
from publisher.model.manifest import Content, Descriptor, Platform
from publisher.model.reference import Repository
from publisher.transfer.compression import Compression
from publisher.transfer.export import send_loose
from publisher.transfer.reuse import BlobLocation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from publisher.model.protocols import Layer, Meter, Upload


class Quiet:
    def advance(self, amount: int) -> None: ...

    def step(self, text: str) -> None: ...

    def warn(self, text: str, place: object = None) -> None: ...

    def group(self, title: str) -> AbstractContextManager[None]:
        return nullcontext()

    def meter(self, label: str, total: int | None) -> AbstractContextManager[Meter]:
        return nullcontext(self)


class Bytes:
    def __init__(self, content: bytes, broken: BaseException | None) -> None:
        self.size = len(content)
        self._rest = memoryview(content)
        self._broken = broken

    def read(self, size: int, /) -> bytes:
        if self._broken and len(self._rest) < self.size:
            raise self._broken
        piece, self._rest = bytes(self._rest[: min(size, 300_000)]), self._rest[min(size, 300_000) :]
        return piece


@dataclass
class Export:
    """An export of `contents`; diffIDs are stated ahead if `ahead`."""

    contents: list[bytes]
    ahead: bool = False
    config: bytes = b""
    platform: Platform = field(default_factory=lambda: Platform("linux", "amd64"))
    diff_ids: tuple[Digest, ...] = ()
    broken: BaseException | None = None
    passes: int = 0
    open: int = 0

    def __post_init__(self) -> None:
        self.diff_ids = self.diff_ids or tuple(Digest.of(content) for content in self.contents)
        document = {"rootfs": {"type": "layers", "diff_ids": [str(diff_id) for diff_id in self.diff_ids]}}
        self.config = self.config or json.dumps(document).encode()

    def size_of(self, diff_ids: frozenset[Digest]) -> int:
        return sum(len(content) for content in self.contents if Digest.of(content) in diff_ids)

    @contextmanager
    def layers(self, needed: frozenset[Digest]) -> Iterator[Iterator[tuple[Digest | None, Layer]]]:
        self.passes += 1
        self.open += 1
        try:
            yield (
                (Digest.of(content) if self.ahead else None, Bytes(content, self.broken)) for content in self.contents
            )
        finally:
            self.open -= 1


class Store:
    """Blobs in memory; `fail` is called before each piece with the number of the upload and of its piece."""

    def __init__(
        self,
        fail: Callable[[int, int], None] = lambda _upload, _piece: None,
        elsewhere: dict[Digest, bytes] | None = None,
    ) -> None:
        self.repository = Repository.parse("127.0.0.1:1/t")
        self.blobs: dict[Digest, bytes] = {}
        self._elsewhere = elsewhere or {}
        self.uploads = 0
        self._fail = fail

    def blob_size(self, digest: Digest) -> int | None:
        return len(self.blobs[digest]) if digest in self.blobs else None

    def mount(self, digest: Digest, origin: Repository) -> bool:
        assert origin != self.repository
        if digest in self._elsewhere:
            self.blobs[digest] = self._elsewhere[digest]
        return digest in self._elsewhere

    def upload(self, blob: Upload) -> Descriptor:
        self.uploads += 1
        number = self.uploads
        while True:
            chunks: list[bytes] = []
            try:
                for piece, content in enumerate(blob.chunks()):
                    self._fail(number, piece)
                    chunks.append(content)
            except ConnectionResetError:
                continue
            descriptor = blob.descriptor()
            self.blobs[descriptor.digest] = b"".join(chunks)
            return descriptor

    def put_manifest(self, content: Content) -> None:
        raise AssertionError


def layer(seed: int, size: int = 3_000_000) -> bytes:
    return Digest.of(str(seed).encode()).hex.encode() * (size // 64) + bytes(seed)


def test_manifest_lists_the_layers_in_the_configs_order() -> None:
    """An archive's order is not the image's."""
    contents = [layer(seed) for seed in range(5)]
    export = Export(list(reversed(contents)), diff_ids=tuple(Digest.of(content) for content in contents))
    store = Store()
    manifest = send_loose(export, store, Compression(), {}, Quiet()).manifest
    assert [gzip.decompress(store.blobs[entry.digest]) for entry in manifest.layers] == contents
    assert {entry.media_type for entry in manifest.layers} == {media.OCI_LAYER_GZIP}
    assert store.blobs[manifest.config.digest] == export.config


def test_same_image_gives_the_same_manifest_twice() -> None:
    """Nothing of the clock or of the threads' order gets into it."""
    manifests = {
        send_loose(Export([layer(1), layer(2)]), Store(), Compression(), {}, Quiet()).manifest.digest for _ in range(3)
    }
    assert len(manifests) == 1


def test_layer_that_stands_twice_is_sent_once() -> None:
    """An empty layer is often repeated."""
    store = Store()
    manifest = send_loose(
        Export([layer(1), layer(1), layer(2)], ahead=True), store, Compression(), {}, Quiet()
    ).manifest
    assert (store.uploads, len(manifest.layers)) == (3, 3)


def guess(content: bytes, blob: Descriptor, repository: str = "127.0.0.1:1/t") -> dict[Digest, BlobLocation]:
    return {Digest.of(content): BlobLocation(blob, Repository.parse(repository))}


def test_known_layers_are_neither_compressed_nor_sent() -> None:
    """Only what is new, and the config, goes up."""
    store = Store()
    first = send_loose(Export([layer(1)]), store, Compression(), {}, Quiet()).manifest
    known = guess(layer(1), first.layers[0])
    second = send_loose(Export([layer(1), layer(2)], ahead=True), store, Compression(), known, Quiet())
    assert store.uploads == 4
    assert second.manifest.layers[0] == first.layers[0]
    assert (set(second.present.layers), set(second.sent)) == ({Digest.of(layer(1))}, {Digest.of(layer(2))})


def test_nothing_is_exported_when_all_layers_are_known() -> None:
    """Only the config goes up."""
    store = Store()
    first = send_loose(Export([layer(1)]), store, Compression(), {}, Quiet()).manifest
    again = Export([layer(1)])
    known = guess(layer(1), first.layers[0])
    assert send_loose(again, store, Compression(), known, Quiet()).manifest == first
    assert again.passes == 0


def test_known_layer_that_is_gone_is_sent() -> None:
    """A guess is looked up before it is relied on."""
    gone = guess(layer(1), Descriptor(media.OCI_LAYER_GZIP, Digest.of(b"gone"), 4))
    store = Store()
    manifest = send_loose(Export([layer(1)]), store, Compression(), gone, Quiet()).manifest
    assert gzip.decompress(store.blobs[manifest.layers[0].digest]) == layer(1)


@pytest.mark.parametrize("mounts", [True, False])
def test_layer_of_another_repository_is_mounted_or_sent(mounts: bool) -> None:
    """A registry need not mount; then the layer goes up as any other."""
    blob = Descriptor(media.OCI_LAYER_GZIP, Digest.of(b"made"), 4)
    store = Store(elsewhere={Digest.of(b"made"): b"made"} if mounts else {})
    known = guess(layer(1), blob, "127.0.0.1:1/base")
    delivery = send_loose(Export([layer(1)]), store, Compression(), known, Quiet())
    assert (blob in delivery.manifest.layers, bool(delivery.present.mounted), bool(delivery.sent)) == (
        mounts,
        mounts,
        not mounts,
    )


def test_what_is_sent_is_remembered_before_its_upload_is_closed() -> None:
    """A run that is killed right after it sends no blob again."""
    remembered: dict[Digest, tuple[Descriptor, bool]] = {}
    store = Store()

    def remember(diff_id: Digest, blob: Descriptor) -> None:
        remembered.setdefault(diff_id, (blob, blob.digest in store.blobs))

    delivery = send_loose(Export([layer(1), layer(2)]), store, Compression(), {}, Quiet(), remember)
    assert {diff_id: blob for diff_id, (blob, _was_closed) in remembered.items()} == delivery.sent
    assert not any(was_closed for _blob, was_closed in remembered.values())


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_lost_start_is_read_again_from_the_export(seed: int) -> None:
    """A second pass gives the same bytes, whichever layer it is for."""
    lost = {seed + 1}

    def lose(upload: int, piece: int) -> None:
        if upload in lost:
            lost.discard(upload)
            raise ConnectionResetError

    contents = [layer(number, 12_000_000) for number in range(3)]
    export, store = Export(contents), Store(lose)
    manifest = send_loose(export, store, Compression(), {}, Quiet()).manifest
    assert [gzip.decompress(store.blobs[entry.digest]) for entry in manifest.layers] == contents
    assert (export.passes, export.open) == (2, 0)


@pytest.mark.parametrize("failing", range(1, 5))
def test_failing_upload_ends_all_and_is_the_error(failing: int) -> None:
    """The first cause comes out, the export is closed, no thread stays."""

    def fail(upload: int, piece: int) -> None:
        if upload == failing:
            raise Unreachable("gone")

    export = Export([layer(number, 12_000_000) for number in range(3)])
    with pytest.raises(Unreachable, match="gone"):
        send_loose(export, Store(fail), Compression(), {}, Quiet())
    assert export.open == 0
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(("upload", "lookup"))]


class Metered(Quiet):
    """Remembers the totals, and how many meters ended as done."""

    def __init__(self) -> None:
        self.totals: list[int | None] = []
        self.done = 0

    @contextmanager
    def meter(self, label: str, total: int | None) -> Iterator[Meter]:
        self.totals.append(total)
        yield self
        self.done += 1


@pytest.mark.parametrize("last", [False, True], ids=["amid", "at-the-end"])
def test_what_breaks_off_is_not_measured_as_done(*, last: bool) -> None:
    """Even where all was read, and only the registry failed; the total is known from the start."""

    def fail(_upload: int, piece: int) -> None:
        if not last or piece:
            time.sleep(0.1)
            raise Unreachable("the registry went away")

    export, progress = Export([os.urandom(3_000_000)]), Metered()
    with pytest.raises(Unreachable):
        send_loose(export, Store(fail), Compression(level=0), {}, progress)
    assert (progress.totals, progress.done) == ([len(export.contents[0])], 0)
    send_loose(export, Store(), Compression(), {}, progress)
    assert progress.done == 1


@pytest.mark.parametrize("error", [Unreachable("the engine broke off"), KeyboardInterrupt()], ids=["broken", "ctrl-c"])
def test_source_that_ends_early_ends_all_within_a_second(error: BaseException) -> None:
    """A failing reader stops the senders too."""
    export = Export([layer(number) for number in range(3)], broken=error)
    began = time.monotonic()
    with pytest.raises(type(error)):
        send_loose(export, Store(), Compression(), {}, Quiet())
    assert time.monotonic() - began < 1
    assert export.open == 0


@pytest.mark.parametrize(
    ("export", "expected"),
    [
        pytest.param(Export([layer(1)], diff_ids=(Digest.of(b"other"),)), VerificationFailed, id="layer-missing"),
        pytest.param(Export([layer(1)], config=b'{"rootfs":{"diff_ids":[]}}'), VerificationFailed, id="other-config"),
        pytest.param(Export([layer(1)], config=b"{"), VerificationFailed, id="no-config"),
        pytest.param(Export([layer(1)], config=b"{}"), VerificationFailed, id="config-without-layers"),
    ],
)
def test_export_that_is_not_the_image_is_refused(export: Export, expected: type[PublishError]) -> None:
    """The bytes must be what the config says."""
    with pytest.raises(expected):
        send_loose(export, Store(), Compression(), {}, Quiet())


@pytest.mark.parametrize("compression", [Compression("xz"), Compression(level=10)], ids=["name", "level"])
def test_compression_that_there_isnt_is_refused(compression: Compression) -> None:
    """Nothing is read before that."""
    export = Export([layer(1)])
    with pytest.raises(ConfigError):
        send_loose(export, Store(), compression, {}, Quiet())
    assert export.passes == 0
