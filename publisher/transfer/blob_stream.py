"""Blobs of an archive that is read in one pass: each is sent meanwhile, under the digest that its bytes prove."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Final

from publisher.model.errors import Unreachable, VerificationFailed
from publisher.model.manifest import Descriptor
from publisher.threads import deferred_signals
from publisher.transfer.layer_upload import THREADS
from publisher.transfer.pipe import MEMORY, Halt, Pipe, halting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from publisher.model.digest import Digest
    from publisher.model.protocols import BlobStream, Meter, Progress, PushTarget, StreamedBlob

_PIECE: Final = 1 << 20
_DEPTH: Final = 4
"""Pieces of a blob that wait to be sent: 4 MiB."""
_LARGE: Final = 12 << 20
"""What a large blob takes of the memory: its pipe, and its share of what uploads keep to send again."""
_SMALL: Final = 1 << 20
_MEDIA_TYPE: Final = "application/octet-stream"


def send_streamed(
    source: BlobStream,
    store: PushTarget,
    wants: Callable[[Digest, int], bool],
    size: int,
    progress: Progress,
    remember: Callable[[Descriptor], None],
) -> frozenset[Digest]:
    """Send those blobs of an archive that `wants` is true of, by digest and size; returns what was sent.

    size: about how many bytes that will be. remember: told of each blob before its upload is closed.
    Raises what the archive or the registry raises; VerificationFailed for a blob that isn't what its name says.
    """
    halt, uploads = Halt(), list[BlobUpload]()
    with ExitStack() as opened:
        pool = opened.enter_context(ThreadPoolExecutor(THREADS, thread_name_prefix="upload"))
        opened.enter_context(halting(halt))
        meter = opened.enter_context(progress.meter("push", size))
        with source.blobs() as blobs:
            wanted = (blob for blob in blobs if wants(blob.digest, blob.size))
            for upload in _read(source, wanted, _Sender(store, pool, halt, remember), meter):
                uploads.append(upload)
        with deferred_signals() as signals:
            signals.wait([upload.job for upload in uploads])
        # Within the meter, which is to end as what it measures.
        if halt.cause is not None:
            raise halt.cause
    if halt.cause is not None:
        raise halt.cause
    return frozenset(upload.job.result().digest for upload in uploads)


class _Sender:
    """Where all blobs of one pass go."""

    def __init__(
        self, store: PushTarget, pool: ThreadPoolExecutor, halt: Halt, remember: Callable[[Descriptor], None]
    ) -> None:
        self.halt = halt
        self.remember = remember
        self._store = store
        self._pool = pool

    def submit(self, upload: BlobUpload, size: int) -> Future[Descriptor]:
        """Begin an upload, once there is memory for it."""
        share = MEMORY.acquire(max(_SMALL, min(size, _LARGE)), self.halt)
        with deferred_signals():
            job = self._pool.submit(self._store.upload, upload)
        job.add_done_callback(partial(self._ended, upload, share))
        return job

    def _ended(self, upload: BlobUpload, share: int, done: Future[Descriptor]) -> None:
        upload.stop_reading()
        if (error := done.exception()) is not None:
            self.halt.fail(error)
        MEMORY.release(share)


def _read(source: BlobStream, blobs: Iterable[StreamedBlob], sender: _Sender, meter: Meter) -> Iterator[BlobUpload]:
    """Take the blobs one after another; each is on its way while the next is read."""
    for blob in blobs:
        upload = BlobUpload(source, Descriptor(_MEDIA_TYPE, blob.digest, blob.size), sender)
        upload.feed(blob, meter)
        yield upload


class BlobUpload:
    """One blob, sent as it is read; asked for its start again, it goes through the archive once more."""

    media_type = _MEDIA_TYPE

    def __init__(self, source: BlobStream, described: Descriptor, sender: _Sender) -> None:
        self._source = source
        self._described = described
        self._sender = sender
        self._pipe = Pipe(_DEPTH, sender.halt)
        self._started = False
        self.job = sender.submit(self, described.size)

    def feed(self, blob: StreamedBlob, meter: Meter) -> None:
        """Read the blob into the pipe."""
        for piece in _pieces(blob):
            self._pipe.put(piece)
            meter.advance(len(piece))
        self._pipe.put(b"")

    def stop_reading(self) -> None:
        """Take no more from the pipe."""
        self._pipe.stop_reading()

    def chunks(self) -> Iterator[bytes]:
        """The bytes from the start; raises VerificationFailed at their end where they aren't what the name says."""
        read = self._again() if self._started else iter(self._pipe)
        self._started = True
        hasher, length = self._described.digest.hasher(), 0
        for piece in read:
            hasher.update(piece)
            length += len(piece)
            yield piece
        if length != self._described.size or hasher.hexdigest() != self._described.digest.hex:
            raise VerificationFailed(f"blob {self._described.digest} of the export isn't what its name says")

    def _again(self) -> Iterator[bytes]:
        self._pipe.stop_reading()
        with self._source.blobs() as blobs:
            for blob in blobs:
                if blob.digest == self._described.digest:
                    for piece in _pieces(blob):
                        self._sender.halt.check()
                        yield piece
                    return
        raise Unreachable(
            f"the export has no blob {self._described.digest} any more", hint="run the same command again"
        )

    def descriptor(self) -> Descriptor:
        """What was sent; valid after the last chunk."""
        # Before the upload is closed: a run that is killed just after it must not send the blob again.
        self._sender.remember(self._described)
        return self._described


def _pieces(blob: StreamedBlob) -> Iterator[bytes]:
    while piece := blob.read(_PIECE):
        yield piece
