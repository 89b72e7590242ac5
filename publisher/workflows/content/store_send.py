"""Send an image of an engine with a containerd store: its blobs by a relay, or by an export as it comes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from publisher.model.manifest import Descriptor
from publisher.registry.relay.store import StoreRelay
from publisher.registry.relay.uploads import StreamLost
from publisher.threads import deferred_signals
from publisher.transfer.blob_stream import send_streamed
from publisher.transfer.copy import blob_exists, blobs_of, collect, find_missing, send_stored
from publisher.workflows.content.engine_push import EnginePush

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from publisher.model.digest import Digest
    from publisher.model.manifest import Content
    from publisher.model.protocols import Meter
    from publisher.registry.repository import RemoteRepository
    from publisher.workflows.content.store_image import StoreImage
    from publisher.workflows.session import Session

_PUSHES: Final = 3
"""In the first, which is the quickest, each blob passes in one request; the others survive what broke that."""


class _BrokenOff(Exception):
    """The engine's push is over before all has come: its meter is not to say that it were done."""


class Unpacked(Exception):
    """The image's layers turn out not to be compressed: they have no blobs that are worth sending."""


def send_from_store(
    session: Session, image: StoreImage, root: Content | None, remote: RemoteRepository, *, by_engine: bool
) -> Content:
    """Send what `remote` lacks of an image, then its manifests by digest; returns its root.

    What the engine lacks comes from where it pulled the image from. root: what to send instead of the image's own.
    by_engine: whether the engine pushes to a relay, else its export is read. Raises Refused for a blob that can't be
    had, and Unpacked, before a manifest was sent, where that shows only now.
    """
    sending = _Sending(session, image, remote)
    if by_engine or image.is_read:
        blobs = blobs_of(collect(image, root))
        # What another image of this run is about to send is there once it has.
        with session.blob_cache.turns.take(remote.repository.registry, blobs):
            present = frozenset(blobs) - sending.send(blobs, by_engine=by_engine).keys()
    else:
        present = sending.send_all()
    return send_stored(
        image, remote, session.progress, origins=sending.near, root=root, cache=session.blob_cache, present=present
    )


class _Sending:
    """What all ways of one sending have in common."""

    def __init__(self, session: Session, image: StoreImage, remote: RemoteRepository) -> None:
        self._session = session
        self._image = image
        self._remote = remote
        self.near = image.origins.near(remote.repository.registry)

    def send(self, blobs: Mapping[Digest, Descriptor], *, by_engine: bool) -> dict[Digest, Descriptor]:
        """Send what the registry lacks; returns what the engine lacks too."""
        missing = self.by_relay(blobs) if by_engine else self.find_missing(blobs)
        digests = self.by_export(missing) if missing else ()
        return {digest: blob for digest, blob in missing.items() if digest not in digests}

    def find_missing(self, blobs: Mapping[Digest, Descriptor]) -> dict[Digest, Descriptor]:
        """Those that the registry neither holds nor can take over."""
        return find_missing(self._remote, blobs.values(), self.near, self._session.blob_cache)

    def by_relay(self, blobs: Mapping[Digest, Descriptor]) -> dict[Digest, Descriptor]:
        """Let the engine push what is missing; it gets no credential and moves no tag. Returns what it lacks too.

        Raises what went wrong on the way to the registry.
        """
        with (
            suppress(_BrokenOff),
            self._session.progress.meter("push", sum(blob.size for blob in blobs.values())) as meter,
            ThreadPoolExecutor(1, "lookup") as pool,
        ):
            # The engine takes its time to begin.
            looking = pool.submit(self.find_missing, blobs)
            relay = StoreRelay(self._remote, looking.result, meter=meter)
            push = EnginePush(self._session, self._image.held, relay)
            push.start()
            with deferred_signals() as signals:
                (missing,) = signals.results([looking])
            meter.advance(sum(blob.size for digest, blob in blobs.items() if digest not in missing))
            relay.check_arrival()
            missing = self._pushed(push, relay, missing, meter)
            if missing:
                raise _BrokenOff
        return missing

    def _pushed(
        self, push: EnginePush, relay: StoreRelay, missing: dict[Digest, Descriptor], meter: Meter
    ) -> dict[Digest, Descriptor]:
        """Wait for a push; where the registry lost some of it, push the rest piece by piece. Returns what is left."""
        for again in range(_PUSHES):
            error = push.wait()
            relay.settle()
            for digest in relay.sent:
                self._session.blob_cache.remember_blob(self._remote.repository, missing[digest])
            missing = {digest: blob for digest, blob in missing.items() if digest not in relay.sent}
            self._session.tell(f"transfer: {len(relay.sent)} blobs came by the engine's push")
            if error is None:
                return missing
            self._session.tell(f"transfer: the engine's push ended: {error.message}")
            if relay.failure is None:
                return missing
            if not isinstance(relay.failure, StreamLost) or again == _PUSHES - 1:
                raise relay.failure
            relay = StoreRelay(self._remote, partial(dict, missing), in_one=False, meter=meter)
            push = EnginePush(self._session, self._image.held, relay)
        return missing

    def by_export(self, missing: Mapping[Digest, Descriptor]) -> frozenset[Digest]:
        """Send those of them that the engine's export holds."""
        total = sum(blob.size for blob in missing.values())
        return self._streamed(
            self._image, lambda digest, size: digest in missing and missing[digest].size == size, total
        )

    def send_all(self) -> frozenset[Digest]:
        """Send all blobs of an export before its manifests are known; returns what the registry holds then."""
        held: set[Digest] = set()

        def wants(digest: Digest, size: int) -> bool:
            if digest in self._image.held.diff_ids:
                raise Unpacked
            if self._exists(digest, size):
                held.add(digest)
            return digest not in held

        digests = self._streamed(self._image, wants, self._image.held.size)
        self._image.settle()
        self._image.whole()
        return digests | held

    def _exists(self, digest: Digest, size: int) -> bool:
        known = self._session.blob_cache.origins(self._remote.repository, [digest])
        return blob_exists(self._remote, Descriptor("", digest, size), self.near, known)

    def _streamed(self, source: StoreImage, wants: Callable[[Digest, int], bool], size: int) -> frozenset[Digest]:
        def remember(blob: Descriptor) -> None:
            self._session.blob_cache.remember_blob(self._remote.repository, blob)

        return send_streamed(source, self._remote, wants, size, self._session.progress, remember)
