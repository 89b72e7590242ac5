"""The relay: a registry on loopback that an engine pushes to, and that sends everything on without moving a tag."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from publisher.model.digest import Digest
from publisher.model.errors import BadManifest
from publisher.registry.relay.listener import PushListener
from publisher.registry.relay.uploads import ClosingUploads, RelayedUpload, UnknownUpload
from publisher.registry.upload import SMALL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from publisher.model.manifest import Content, Descriptor
    from publisher.model.reference import Repository
    from publisher.registry.repository import RemoteRepository

_MOST_CLOSING: Final = 8
"""Small blobs that the engine has sent and the registry has still to take."""


class Relay(PushListener):
    """Takes an engine's push of one image and sends it to `target`, manifests by digest; the engine gets no credential.

    origins: repositories of the target's registry from which a blob that the engine asks for may be mounted.
    """

    def __init__(self, target: RemoteRepository, origins: Sequence[Repository] = ()) -> None:
        self.target = target
        self._origins = tuple(origin for origin in origins if origin != target.repository)
        super().__init__(target.repository.name.rpartition("/")[2])
        self.content: Content | None = None
        """What the engine put last, as it stands in the target."""
        self._uploads: dict[str, RelayedUpload] = {}
        self._closing = ClosingUploads()
        self._blobs: dict[Digest, int] = {}
        self._sent: list[int] = []
        self._mounted = 0
        self._lock = threading.Lock()

    @property
    def tally(self) -> str:
        """What became of the blobs, in one line."""
        present = len(self._blobs) - len(self._sent) - self._mounted
        sent = f"{len(self._sent)} sent ({sum(self._sent):,} bytes)"
        return f"{present} blobs were there, {self._mounted} mounted, {sent}"

    def close(self) -> None:
        """End the uploads that are under way."""
        for upload in tuple(self._uploads.values()):
            upload.cancel("the relay has ended")
        self._closing.cancel("the relay has ended")

    # What the engine's requests do.

    def blob_size(self, digest: Digest) -> int | None:
        """The size of a blob that the target holds, or has just taken over from another repository."""
        if digest not in self._blobs:
            size = self.target.blob_size(digest)
            if size is None and any(self.target.mount(digest, origin) for origin in self._origins):
                size = self.target.blob_size(digest)
                self._mounted += 1
            if size is None:
                return None
            self._blobs[digest] = size
        return self._blobs[digest]

    def initiate_upload(self) -> RelayedUpload:
        """Open a session; the target hears of it with the first byte."""
        upload = RelayedUpload(self.target.upload, self._threads)
        with self._lock:
            self._uploads[upload.name] = upload
        return upload

    def upload(self, name: str) -> RelayedUpload:
        """A session; raises UnknownUpload."""
        try:
            return self._uploads[name]
        except KeyError:
            raise UnknownUpload("no such upload") from None

    def commit_upload(self, name: str, digest: str) -> Digest:
        """Complete a session; raises BadManifest where the bytes aren't what the engine says.

        A small blob is held whole until the registry has it, so that the engine needn't wait for that: the manifest
        does.
        """
        upload = self.upload(name)
        try:
            blob = _complete(upload, digest)
        except BaseException:
            self.cancel_upload(name)
            raise
        with self._lock:
            self._uploads.pop(name, None)
            self._closing.add(upload)
            self._blobs[blob.digest] = blob.size
            self._sent.append(blob.size)
        self.settle(_MOST_CLOSING)
        return blob.digest

    def settle(self, most: int = 0) -> None:
        """Wait until at most so many uploads have still to be closed; raises what one of them raised."""
        self._closing.settle(most)

    def cancel_upload(self, name: str) -> None:
        """Forget a session, ending it where it isn't over."""
        with self._lock:
            upload = self._uploads.pop(name, None)
        if upload:
            upload.cancel("the engine gave the upload up")

    def accept(self, content: Content) -> None:
        """Send a manifest on by its digest; its tag is remembered here alone."""
        self.settle()
        self.target.put_manifest(content)
        self.content, self.failure = content, None


def _complete(upload: RelayedUpload, digest: str) -> Descriptor:
    """End an upload; one that is too large to be held is waited for."""
    upload.end()
    if upload.blob.received > SMALL:
        upload.result()
    blob = upload.blob.descriptor()
    if Digest.parse(digest) != blob.digest:
        raise BadManifest(f"the engine sent {blob.digest} as {digest}")
    return blob
