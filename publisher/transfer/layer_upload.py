"""One layer on its way: read from an export, compressed, and handed to the upload, each in a thread of its own."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

import msgspec

from publisher.model.digest import Digest
from publisher.model.errors import Unreachable, VerificationFailed
from publisher.model.value import Value
from publisher.transfer.compression import Compressed, Compression
from publisher.transfer.pipe import Cancellation, Halt, Pipe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future

    from publisher.model.manifest import Descriptor
    from publisher.model.protocols import BlobStore, Layer, LooseImage, Meter

THREADS: Final = 6
_PIECE: Final = 1 << 20
_DEPTH: Final = 4
"""Pieces of a layer that wait for the compressor: 4 MiB."""
_MADE: Final = 4
"""Pieces that wait to be sent: 1 to 4 MiB."""
_ALONE: Final = 1 << 20
"""Up to so many bytes a thread more costs more than it gains."""


class Work(Value, frozen=True):
    """What all layers of one pass have in common.

    wanted: the diffIDs still to be sent. remember: told of each layer before its upload is closed.
    """

    image: LooseImage
    store: BlobStore
    compression: Compression
    wanted: frozenset[Digest]
    remember: Callable[[Digest, Descriptor], None]
    halt: Halt = msgspec.field(default_factory=Halt)
    compressors: ThreadPoolExecutor = msgspec.field(default_factory=lambda: ThreadPoolExecutor(THREADS, "compress"))


class LayerUpload:
    """One layer, compressed as it is sent; asked for its start again, it reads the export once more."""

    def __init__(self, work: Work, place: int, size: int) -> None:
        self.media_type = work.compression.media_type
        self.diff_id: Digest | None = None
        """By the bytes that were read; known before the last of them is handed on."""
        self.replayed: Digest | None = None
        """By the bytes of a second reading."""
        self._pipe = Pipe(_DEPTH, work.halt)
        self._work = work
        self._place = place
        self._small = size <= _ALONE
        self._started = False
        self._compressed = Compressed(work.compression)

    def feed(self, layer: Layer, meter: Meter) -> Digest:
        """Read the layer into the pipe; returns its diffID."""
        hasher = hashlib.sha256()
        for piece in _pieces(layer):
            self._pipe.put(piece)
            hasher.update(piece)
            meter.advance(len(piece))
        self.diff_id = Digest.finish(hasher)
        self._pipe.put(b"")
        return self.diff_id

    def leave(self) -> None:
        """Take no more from the pipe."""
        self._pipe.leave()

    def chunks(self) -> Iterator[bytes]:
        """The compressed bytes from the start."""
        self._compressed = Compressed(self._work.compression)
        raw = self._again() if self._started else iter(self._pipe)
        self._started = True
        made = self._compressed.run(raw) if self._small else self._beside(self._compressed.run(raw))
        return self._compressed.counted(made)

    def _beside(self, made: Iterator[bytes]) -> Iterator[bytes]:
        """Compress while what was made before is sent: a registry that takes its time must not stop the one."""
        waiting = Pipe(_MADE, self._work.halt)
        job = self._work.compressors.submit(_fill, waiting, made)
        try:
            yield from waiting
            job.result()
        finally:
            waiting.leave()

    def _again(self) -> Iterator[bytes]:
        self._pipe.leave()
        hasher = hashlib.sha256()
        with self._work.image.layers(self._work.wanted) as layers:
            for piece in _pieces(_nth(layers, self._place)):
                self._work.halt.check()
                hasher.update(piece)
                yield piece
        self.replayed = Digest.finish(hasher)

    def descriptor(self) -> Descriptor:
        """What was sent; valid after the last chunk."""
        made = self._compressed.descriptor()
        # Before the upload is closed: a run that is killed just after it must not send the blob again.
        if self.diff_id is not None:
            self._work.remember(self.diff_id, made)
        return made


def _fill(pipe: Pipe, made: Iterator[bytes]) -> None:
    """Hand on what is made, until nobody takes it any more; the pipe ends even where making failed."""
    try:
        for piece in made:
            if not pipe.put(piece):
                return
    finally:
        _end(pipe)


def _end(pipe: Pipe) -> None:
    try:
        pipe.put(b"")
    except Cancellation:
        return


def _nth(layers: Iterator[tuple[Digest | None, Layer]], place: int) -> Layer:
    for at, (_diff_id, layer) in enumerate(layers):
        if at == place:
            return layer
    raise Unreachable("the export has fewer layers than when it was read before", hint="run the same again")


def _pieces(layer: Layer) -> Iterator[bytes]:
    while piece := layer.read(_PIECE):
        yield piece


class Sent(Value, frozen=True):
    """A layer that was read to its end: its diffID by its bytes, and its upload."""

    diff_id: Digest
    upload: LayerUpload
    job: Future[Descriptor]

    def settled(self) -> Descriptor:
        """What the registry holds; raises VerificationFailed where a second reading gave another layer."""
        if self.upload.replayed not in {None, self.diff_id}:
            raise VerificationFailed(
                f"the export changed while it was read: layer {self.diff_id} became {self.upload.replayed}"
            )
        return self.job.result()
