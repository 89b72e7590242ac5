"""Send an image of an engine with a containerd store: its blobs by a relay, or by an export as it comes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from publisher.model.manifest import Descriptor
from publisher.registry.relay.store import StoreRelay
from publisher.registry.relay.uploads import StreamLost
from publisher.transfer.blob_stream import send_streamed
from publisher.transfer.copy import blobs_of, collect, find_missing, is_there, send_stored
from publisher.workflows.content.engine_push import EnginePush

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from publisher.model.digest import Digest
    from publisher.model.manifest import Content
    from publisher.registry.repository import RemoteRepository
    from publisher.workflows.content.store_image import StoreImage
    from publisher.workflows.session import Session

_PUSHES: Final = (True, False, False)
"""Whether blobs pass in one request each: the first push is the quickest, the others survive what broke it."""


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
        missing = find_missing(remote, blobs.values(), sending.near, session.blob_cache)
        if missing:
            sent = sending.by_relay(missing) if by_engine else frozenset()
            left = {digest: blob for digest, blob in missing.items() if digest not in sent}
            sent |= sending.by_export(left) if left else frozenset()
            missing = {digest: blob for digest, blob in missing.items() if digest not in sent}
        present = frozenset(blobs) - missing.keys()
    else:
        present = sending.unseen()
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

    def by_relay(self, missing: Mapping[Digest, Descriptor]) -> frozenset[Digest]:
        """Let the engine push them; it gets no credential and moves no tag. Returns what arrived.

        Raises what went wrong on the way to the registry; that the engine lacks some of them isn't raised.
        """
        sent: set[Digest] = set()
        with self._session.progress.meter("push", sum(blob.size for blob in missing.values())) as meter:
            for in_one in _PUSHES:
                left = {digest: blob for digest, blob in missing.items() if digest not in sent}
                relay = StoreRelay(self._remote, left, in_one=in_one, meter=meter)
                error = EnginePush(self._session, self._image.held, relay).wait()
                relay.settle()
                sent |= relay.sent
                if error is None or not isinstance(relay.failure, StreamLost):
                    break
        for digest in sent:
            self._session.blob_cache.remember_blob(self._remote.repository, missing[digest])
        self._session.tell(f"transfer: {len(sent)} of {len(missing)} blobs that were missing came by the engine's push")
        if error is not None:
            self._session.tell(f"transfer: the engine's push ended: {error.message}")
            if relay.failure is not None:
                raise relay.failure
        return frozenset(sent)

    def by_export(self, missing: Mapping[Digest, Descriptor]) -> frozenset[Digest]:
        """Send those of them that the engine's export holds."""
        return self._streamed(self._image, lambda digest, size: digest in missing and missing[digest].size == size)

    def unseen(self) -> frozenset[Digest]:
        """Send all blobs of an export before its manifests are known; returns what the registry holds then."""
        held: set[Digest] = set()

        def wants(digest: Digest, size: int) -> bool:
            if digest in self._image.held.diff_ids:
                raise Unpacked
            if self._is_there(digest, size):
                held.add(digest)
            return digest not in held

        sent = self._streamed(self._image, wants)
        self._image.settle()
        self._image.whole()
        return sent | held

    def _is_there(self, digest: Digest, size: int) -> bool:
        places = self._session.blob_cache.places(self._remote.repository, [digest])
        return is_there(self._remote, Descriptor("", digest, size), self.near, places)

    def _streamed(self, source: StoreImage, wants: Callable[[Digest, int], bool]) -> frozenset[Digest]:
        def remember(blob: Descriptor) -> None:
            self._session.blob_cache.remember_blob(self._remote.repository, blob)

        return send_streamed(source, self._remote, wants, self._session.progress, remember)
