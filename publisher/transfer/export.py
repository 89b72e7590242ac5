"""The pipeline from an engine's export to a registry: read and hash, compress, send, side by side."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Final

from publisher.model import media
from publisher.model.artifact import SmallBlob
from publisher.model.digest import Digest
from publisher.model.errors import BadArchive, VerificationFailed
from publisher.model.manifest import Descriptor, Manifest, compose_manifest, read_document
from publisher.model.value import Value
from publisher.threads import deferred_signals
from publisher.transfer.layer_upload import THREADS, ExportPass, LayerUpload, SentLayer
from publisher.transfer.pipe import MEMORY, Halt, halting
from publisher.transfer.reuse import PresentLayers, look_up

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from publisher.model.protocols import Layer, LooseImage, Meter, Progress, PushTarget
    from publisher.transfer.compression import Compression
    from publisher.transfer.reuse import BlobLocation

_LARGE: Final = 12 << 20
"""What a large layer takes of the memory: its pipes, and its share of what uploads keep to send again."""
_SMALL: Final = 1 << 20


class Delivery(Value, frozen=True):
    """The manifest made for an image, which is not sent yet; what was found there, and the layers that were sent."""

    manifest: Manifest
    present: PresentLayers
    sent: Mapping[Digest, Descriptor]


def _forget(_diff_id: Digest, _blob: Descriptor) -> None:
    """Remember nothing."""


def send_loose(
    image: LooseImage,
    store: PushTarget,
    compression: Compression,
    guesses: Mapping[Digest, BlobLocation],
    progress: Progress,
    remember: Callable[[Digest, Descriptor], None] = _forget,
) -> Delivery:
    """Send the layers and the config of `image`.

    One destination: others get it from this one, by `send_stored` with `root=` the manifest, which mounts within
    a registry and streams between two, so that nothing is exported or compressed twice and no blob is ever held.
    guesses: layers that the registry may hold already, by diffID; each is looked up before it is relied on, and an
    image all of whose layers are there is not exported for them.
    remember: told what a layer became before its upload is closed.
    Layers in the export that the config doesn't name are sent and left out of the manifest.
    Raises what the source or the registry raises; VerificationFailed where the export isn't what the config says.
    """
    compression.check()
    present = look_up(store, guesses, image.diff_ids)
    missing = frozenset(image.diff_ids) - present.layers.keys()
    sent: dict[Digest, Descriptor] = {}
    # An image that is said to have no layers is read all the same: its config may know better.
    if missing or not image.diff_ids:
        sent = _run(ExportPass(image, store, compression, missing, remember), progress)
    layers = {**sent, **present.layers}
    diff_ids = _listed_diff_ids(image.config)
    if diff_ids != image.diff_ids:
        raise VerificationFailed("the image's config lists other layers than the engine said before")
    if absent := [diff_id for diff_id in diff_ids if diff_id not in layers]:
        raise VerificationFailed(f"the export lacks the layer {absent[0]} that its config names")
    config = _send_config(store, SmallBlob(media.OCI_CONFIG, image.config), resumes=not sent)
    return Delivery(compose_manifest(config, tuple(layers[diff_id] for diff_id in diff_ids)), present, sent)


def _send_config(store: PushTarget, blob: SmallBlob, *, resumes: bool) -> Descriptor:
    """The config goes last: where no layer was left to send, a run before this one may have sent it too."""
    descriptor = blob.descriptor()
    if resumes and store.blob_size(descriptor.digest) == descriptor.size:
        return descriptor
    return store.upload(blob)


def _listed_diff_ids(config: bytes) -> tuple[Digest, ...]:
    """The diffIDs in a config's bytes."""
    try:
        return tuple(Digest.parse(text) for text in read_document(config)["rootfs"].get("diff_ids") or ())
    except (KeyError, TypeError, AttributeError) as error:
        raise BadArchive("the image's config has no list of layers") from error


def _run(work: ExportPass, progress: Progress) -> dict[Digest, Descriptor]:
    """One pass over the export; returns what was sent, by diffID."""
    sent: list[SentLayer] = []
    with ExitStack() as stack:
        stack.enter_context(work.compressors)
        pool = stack.enter_context(ThreadPoolExecutor(THREADS, thread_name_prefix="upload"))
        stack.enter_context(halting(work.halt))
        meter = stack.enter_context(progress.meter("push", work.image.size_of(work.missing)))
        with work.image.layers(work.missing) as layers:
            sent.extend(_read(layers, work, pool, meter))
        with deferred_signals() as signals:
            signals.wait([layer.job for layer in sent])
        # Within the meter, which is to end as what it measures.
        if work.halt.cause is not None:
            raise work.halt.cause
    if work.halt.cause is not None:
        raise work.halt.cause
    return {layer.diff_id: layer.result() for layer in sent}


def _read(
    layers: Iterator[tuple[Digest | None, Layer]], work: ExportPass, pool: ThreadPoolExecutor, meter: Meter
) -> Iterator[SentLayer]:
    """Take the layers one after another; each is on its way while the next is read."""
    diff_ids = set[Digest]()
    for number, (listed_id, layer) in enumerate(layers):
        if listed_id in diff_ids or (listed_id is not None and listed_id not in work.missing):
            continue
        share = MEMORY.acquire(max(_SMALL, min(layer.size, _LARGE)), work.halt)
        upload = LayerUpload(work, number, layer.size)
        with deferred_signals():
            job = pool.submit(work.store.upload, upload)
        job.add_done_callback(partial(_on_end, upload, work.halt, share))
        diff_id = upload.read_layer(layer, meter)
        if listed_id not in {None, diff_id}:
            raise VerificationFailed(f"the export's layer {listed_id} is {diff_id} by its bytes")
        diff_ids.add(diff_id)
        yield SentLayer(diff_id, upload, job)


def _on_end(upload: LayerUpload, halt: Halt, share: int, done: Future[Descriptor]) -> None:
    upload.stop_reading()
    if (error := done.exception()) is not None:
        halt.fail(error)
    MEMORY.release(share)
