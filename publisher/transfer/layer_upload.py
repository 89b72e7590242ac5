"""One layer on its way: read from an export, compressed, and handed to the upload, each in a thread of its own."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

import msgspec

from publisher.model.digest import Digest
from publisher.model.errors import Unreachable, VerificationFailed
from publisher.model.value import Value
from publisher.transfer.compression import Compression, LayerCompressor
from publisher.transfer.pipe import Cancellation, Halt, Pipe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future

    from publisher.model.manifest import Descriptor
    from publisher.model.protocols import Layer, LooseImage, Meter, PushTarget

THREADS: Final = 6
_PIECE: Final = 1 << 20
_READ_DEPTH: Final = 4
"""Pieces of a layer that wait for the compressor: 4 MiB."""
_SEND_DEPTH: Final = 4
"""Pieces that wait to be sent: 1 to 4 MiB."""
_SMALL: Final = 1 << 20
"""Up to so many bytes a thread more costs more than it gains."""


class ExportPass(Value, frozen=True):
    """What all layers of one pass have in common.

    missing: the diffIDs still to be sent. remember: takes each layer before its upload is closed.
    """

    image: LooseImage
    store: PushTarget
    compression: Compression
    missing: frozenset[Digest]
    remember: Callable[[Digest, Descriptor], None]
    halt: Halt = msgspec.field(default_factory=Halt)
    compressors: ThreadPoolExecutor = msgspec.field(default_factory=lambda: ThreadPoolExecutor(THREADS, "compress"))


class LayerUpload:
    """One layer, compressed as it is sent; asked for its start again, it reads the export once more."""

    def __init__(self, work: ExportPass, number: int, size: int) -> None:
        self.media_type = work.compression.media_type
        self.diff_id: Digest | None = None
        """By the bytes that were read; known before the last of them is handed on."""
        self.second_diff_id: Digest | None = None
        """By the bytes of a second reading."""
        self._pipe = Pipe(_READ_DEPTH, work.halt)
        self._work = work
        self._number = number
        self._is_small = size <= _SMALL
        self._is_started = False
        self._compressor = LayerCompressor(work.compression)

    def read_layer(self, layer: Layer, meter: Meter) -> Digest:
        """Read the layer into the pipe; returns its diffID."""
        hasher = hashlib.sha256()
        for piece in _pieces(layer):
            self._pipe.put(piece)
            hasher.update(piece)
            meter.advance(len(piece))
        self.diff_id = Digest.finish(hasher)
        self._pipe.put(b"")
        return self.diff_id

    def stop_reading(self) -> None:
        """Take no more from the pipe."""
        self._pipe.stop_reading()

    def chunks(self) -> Iterator[bytes]:
        """The compressed bytes from the start."""
        self._compressor = LayerCompressor(self._work.compression)
        raw = self._read_again() if self._is_started else iter(self._pipe)
        self._is_started = True
        compressed = self._compressor.run(raw)
        return self._compressor.count(compressed if self._is_small else self._compress_in_thread(compressed))

    def _compress_in_thread(self, compressed: Iterator[bytes]) -> Iterator[bytes]:
        """Compress while earlier pieces are sent: a slow registry must not stop the compressor."""
        pipe = Pipe(_SEND_DEPTH, self._work.halt)
        job = self._work.compressors.submit(_fill, pipe, compressed)
        try:
            yield from pipe
            job.result()
        finally:
            pipe.stop_reading()

    def _read_again(self) -> Iterator[bytes]:
        self._pipe.stop_reading()
        hasher = hashlib.sha256()
        with self._work.image.layers(self._work.missing) as layers:
            for piece in _pieces(_nth(layers, self._number)):
                self._work.halt.check()
                hasher.update(piece)
                yield piece
        self.second_diff_id = Digest.finish(hasher)

    def descriptor(self) -> Descriptor:
        """What was sent; valid after the last chunk."""
        blob = self._compressor.descriptor()
        # Before the upload is closed: a run that is killed just after it must not send the blob again.
        if self.diff_id is not None:
            self._work.remember(self.diff_id, blob)
        return blob


def _fill(pipe: Pipe, pieces: Iterator[bytes]) -> None:
    """Hand the pieces on until nobody reads any more; the pipe ends even where making them failed."""
    try:
        for piece in pieces:
            if not pipe.put(piece):
                return
    finally:
        _end(pipe)


def _end(pipe: Pipe) -> None:
    try:
        pipe.put(b"")
    except Cancellation:
        return


def _nth(layers: Iterator[tuple[Digest | None, Layer]], number: int) -> Layer:
    for position, (_diff_id, layer) in enumerate(layers):
        if position == number:
            return layer
    raise Unreachable("the export has fewer layers than when it was read before", hint="run the same again")


def _pieces(layer: Layer) -> Iterator[bytes]:
    while piece := layer.read(_PIECE):
        yield piece


class SentLayer(Value, frozen=True):
    """A layer that was read to its end: its diffID by its bytes, and its upload."""

    diff_id: Digest
    upload: LayerUpload
    job: Future[Descriptor]

    def result(self) -> Descriptor:
        """What the registry holds; raises VerificationFailed where a second reading gave another layer."""
        if self.upload.second_diff_id not in {None, self.diff_id}:
            raise VerificationFailed(
                f"the export changed while it was read: layer {self.diff_id} became {self.upload.second_diff_id}"
            )
        return self.job.result()
