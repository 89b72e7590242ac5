"""An engine's push of one image through the relay: what its requests do."""

from __future__ import annotations

import secrets
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from publisher.model.digest import Digest
from publisher.model.errors import BadManifest, BadReference, PublishError
from publisher.model.manifest import parse_manifest
from publisher.registry.relay.uploads import RelayedUpload, UnknownUpload
from publisher.registry.upload import SMALL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from publisher.model.manifest import Content, Descriptor
    from publisher.model.reference import Repository
    from publisher.registry.repository import RemoteRepository

_MOST_CLOSING: Final = 8
"""Small blobs that the engine has sent and the registry has still to take."""
_THREADS: Final = 256
"""Far more than an engine has requests and uploads under way; its older ones open a connection for each request."""


class EnginePush:
    """Sends blobs and manifests on to `target`, manifests by digest. Safe to use from several threads.

    origins: repositories of the target's registry from which a blob that the engine asks for may be mounted.
    """

    def __init__(self, target: RemoteRepository, origins: Sequence[Repository] = ()) -> None:
        self.target = target
        self._origins = tuple(origin for origin in origins if origin != target.repository)
        self.name = f"{secrets.token_hex(8)}/{target.repository.name.rpartition('/')[2]}"
        """The one repository that the relay knows."""
        self.content: Content | None = None
        """What the engine put last, as it stands in the target."""
        self.was_reached = False
        """Whether the engine came to the relay at all."""
        self.failure: PublishError | None = None
        """What went wrong last on the way to the target; the engine only prints its text."""
        self._uploads: dict[str, RelayedUpload] = {}
        self._closing: deque[RelayedUpload] = deque()
        self._blobs: dict[Digest, int] = {}
        self._sent: list[int] = []
        self._mounted = 0
        self._manifests: dict[str, Content] = {}
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(_THREADS, "relayed")

    @property
    def tally(self) -> str:
        """What became of the blobs, in one line."""
        present = len(self._blobs) - len(self._sent) - self._mounted
        sent = f"{len(self._sent)} sent ({sum(self._sent):,} bytes)"
        return f"{present} blobs were there, {self._mounted} mounted, {sent}"

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
            self._closing.append(upload)
            self._blobs[blob.digest] = blob.size
            self._sent.append(blob.size)
        self._wait_for_uploads(_MOST_CLOSING)
        return blob.digest

    def _wait_for_uploads(self, most: int) -> None:
        """Wait until at most so many uploads have still to be closed; raises what one of them raised."""
        while True:
            with self._lock:
                if len(self._closing) <= most:
                    return
                oldest = self._closing.popleft()
            oldest.result()

    def cancel_upload(self, name: str) -> None:
        """Forget a session, ending it where it isn't over."""
        with self._lock:
            upload = self._uploads.pop(name, None)
        if upload:
            upload.cancel("the engine gave the upload up")

    def put_manifest(self, target: str, body: bytes, media_type: str) -> Digest:
        """Send a manifest on by its digest; the tag is remembered here alone."""
        content = parse_manifest(body, media_type)
        if ":" in target and not Digest.parse(target).matches(body):
            raise BadReference(f"the engine's manifest is not {target}")
        self._wait_for_uploads(0)
        self.target.put_manifest(content)
        self._manifests |= {target: content, str(content.digest): content}
        self.content, self.failure = content, None
        return content.digest

    def manifest(self, target: str) -> Content | None:
        """What was put under a tag or digest."""
        return self._manifests.get(target)

    def note_failure(self, error: PublishError) -> None:
        """Keep what the workflow has to raise when the engine's push fails."""
        self.failure = error

    def close(self) -> None:
        """End every upload that is still open."""
        for upload in (*self._uploads.values(), *self._closing):
            upload.cancel("the relay has ended")


def _complete(upload: RelayedUpload, digest: str) -> Descriptor:
    """End an upload; one that is too large to be held is waited for."""
    upload.end()
    if upload.blob.received > SMALL:
        upload.result()
    blob = upload.blob.descriptor()
    if Digest.parse(digest) != blob.digest:
        raise BadManifest(f"the engine sent {blob.digest} as {digest}")
    return blob
