"""The pipeline from an engine's export to a registry: read and hash, compress, send, side by side."""

from __future__ import annotations

import hashlib
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from publisher.model import media
from publisher.model.digest import Digest
from publisher.model.errors import BadArchive, Unreachable, VerificationFailed
from publisher.model.manifest import Descriptor, Manifest, compose_manifest, read_document
from publisher.transfer.compression import Compressed, Compression
from publisher.transfer.halt import Budget, Halt, Stopped
from publisher.transfer.pipe import Pipe

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from publisher.model.protocols import BlobStore, Layer, LooseImage, Meter, Progress

_PIECE: Final = 1 << 20
_DEPTH: Final = 8
"""Pieces of a layer that wait for the compressor: 8 MiB."""
_THREADS: Final = 6
_BUDGET: Final = 40 << 20
_LARGE: Final = 20 << 20
"""What a large layer takes of the budget, for its pipe and what its upload keeps to send again."""
_SMALL: Final = 1 << 20


class _LayerUpload:
    """One layer, compressed as it is sent; asked for its start again, it reads the export once more."""

    def __init__(self, work: _Work, place: int) -> None:
        self.media_type = work.compression.media_type
        self.pipe = Pipe(_DEPTH, work.halt)
        self.replayed: Digest | None = None
        self._work = work
        self._place = place
        self._started = False
        self._compressed = Compressed(work.compression)

    def chunks(self) -> Iterator[bytes]:
        self._compressed = Compressed(self._work.compression)
        raw = self._again() if self._started else iter(self.pipe)
        self._started = True
        return self._compressed.run(raw)

    def _again(self) -> Iterator[bytes]:
        self.pipe.leave()
        hasher = hashlib.sha256()
        with self._work.image.layers(self._work.wanted) as layers:
            for piece in _pieces(_nth(layers, self._place)):
                self._work.halt.check()
                hasher.update(piece)
                yield piece
        self.replayed = Digest.finish(hasher)

    def descriptor(self) -> Descriptor:
        return self._compressed.descriptor()


def _nth(layers: Iterator[tuple[Digest | None, Layer]], place: int) -> Layer:
    for at, (_diff_id, layer) in enumerate(layers):
        if at == place:
            return layer
    raise Unreachable("the export has fewer layers than when it was read before", hint="run the same again")


class _WholeBlob:
    """A blob small enough to be held: a config."""

    def __init__(self, content: bytes, media_type: str) -> None:
        self.media_type = media_type
        self._content = content

    def chunks(self) -> Iterator[bytes]:
        yield self._content

    def descriptor(self) -> Descriptor:
        return Descriptor(self.media_type, Digest.of(self._content), len(self._content))


@dataclass(frozen=True, slots=True)
class _Work:
    """What all layers of one pass have in common; `wanted` are the diffIDs still to be sent."""

    image: LooseImage
    store: BlobStore
    compression: Compression
    wanted: frozenset[Digest]
    halt: Halt


@dataclass(frozen=True, slots=True)
class _Sent:
    """A layer that was read to its end: its diffID by its bytes, and its upload."""

    diff_id: Digest
    upload: _LayerUpload
    job: Future[Descriptor]

    def settled(self) -> Descriptor:
        """What the registry holds; raises VerificationFailed where a second reading gave another layer."""
        if self.upload.replayed not in {None, self.diff_id}:
            raise VerificationFailed(
                f"the export changed while it was read: layer {self.diff_id} became {self.upload.replayed}"
            )
        return self.job.result()


def send_loose(
    image: LooseImage,
    store: BlobStore,
    compression: Compression,
    known: Mapping[Digest, Descriptor],
    progress: Progress,
) -> Manifest:
    """Send the layers and the config of `image`; returns the manifest made for them, which is not sent here.

    One destination: others get it from this one, by `send_stored` with `root=` this manifest, which mounts within
    a registry and streams between two, so that nothing is exported or compressed twice and no blob is ever held.
    known: layers that the registry may hold already, by diffID; each is looked up before it is relied on, and an
    image all of whose layers are there is not exported for them.
    Layers in the export that the config doesn't name are sent and left out of the manifest.
    Raises what the source or the registry raises; VerificationFailed where the export isn't what the config says.
    """
    compression.check()
    sent = _there(image, store, known)
    if not image.diff_ids or not sent.keys() >= set(image.diff_ids):
        sent = _run(_Work(image, store, compression, frozenset(image.diff_ids) - sent.keys(), Halt()), progress) | sent
    diff_ids = _listed(image.config)
    if diff_ids != image.diff_ids:
        raise VerificationFailed("the image's config lists other layers than the engine said before")
    if missing := [diff_id for diff_id in diff_ids if diff_id not in sent]:
        raise VerificationFailed(f"the export lacks the layer {missing[0]} that its config names")
    config = store.upload(_WholeBlob(image.config, media.OCI_CONFIG))
    return compose_manifest(config, tuple(sent[diff_id] for diff_id in diff_ids))


def _listed(config: bytes) -> tuple[Digest, ...]:
    """The diffIDs in a config's bytes."""
    try:
        return tuple(Digest.parse(text) for text in read_document(config)["rootfs"].get("diff_ids") or ())
    except (KeyError, TypeError, AttributeError) as error:
        raise BadArchive("the image's config has no list of layers") from error


def _there(image: LooseImage, store: BlobStore, known: Mapping[Digest, Descriptor]) -> dict[Digest, Descriptor]:
    asked = [diff_id for diff_id in dict.fromkeys(image.diff_ids) if diff_id in known]
    if not asked:
        return {}
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="lookup") as pool:
        sizes = pool.map(lambda diff_id: store.blob_size(known[diff_id].digest), asked)
        return {
            diff_id: known[diff_id] for diff_id, size in zip(asked, sizes, strict=True) if size == known[diff_id].size
        }


def _run(work: _Work, progress: Progress) -> dict[Digest, Descriptor]:
    """One pass over the export; returns what was sent, by diffID."""
    sent: list[_Sent] = []
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="upload") as pool:
        try:
            with progress.meter("push", None) as meter:
                with work.image.layers(work.wanted) as layers:
                    sent.extend(_read(layers, work, pool, meter))
                wait([layer.job for layer in sent])
        except BaseException as error:
            work.halt.fail(error)
            if not isinstance(error, Stopped):
                raise
    if work.halt.cause is not None:
        raise work.halt.cause
    return {layer.diff_id: layer.settled() for layer in sent}


def _read(
    layers: Iterator[tuple[Digest | None, Layer]], work: _Work, pool: ThreadPoolExecutor, meter: Meter
) -> Iterator[_Sent]:
    """Take the layers one after another; each is on its way while the next is read."""
    budget = Budget(_BUDGET, work.halt)
    taken = set[Digest]()
    for place, (stated, layer) in enumerate(layers):
        if stated in taken or (stated is not None and stated not in work.wanted):
            continue
        share = budget.take(max(_SMALL, min(layer.size, _LARGE)))
        upload = _LayerUpload(work, place)
        job = pool.submit(work.store.upload, upload)
        job.add_done_callback(partial(_ended, upload, work.halt, budget, share))
        diff_id = _feed(layer, upload.pipe, meter)
        if stated not in {None, diff_id}:
            raise VerificationFailed(f"the export's layer {stated} is {diff_id} by its bytes")
        taken.add(diff_id)
        yield _Sent(diff_id, upload, job)


def _ended(upload: _LayerUpload, halt: Halt, budget: Budget, share: int, done: Future[Descriptor]) -> None:
    upload.pipe.leave()
    if (error := done.exception()) is not None:
        halt.fail(error)
    budget.give(share)


def _feed(layer: Layer, pipe: Pipe, meter: Meter) -> Digest:
    """Read a layer into the pipe; returns its diffID."""
    hasher = hashlib.sha256()
    for piece in _pieces(layer):
        pipe.put(piece)
        hasher.update(piece)
        meter.advance(len(piece))
    pipe.put(b"")
    return Digest.finish(hasher)


def _pieces(layer: Layer) -> Iterator[bytes]:
    while piece := layer.read(_PIECE):
        yield piece
