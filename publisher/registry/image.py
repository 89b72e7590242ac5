"""An image in a registry, as a source."""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.model.errors import BadManifest, SourceNotFound, VerificationFailed

if TYPE_CHECKING:
    import io
    from collections.abc import Iterable

    from publisher.model.artifact import SmallBlob
    from publisher.model.manifest import Content, Descriptor
    from publisher.model.reference import Reference
    from publisher.registry.repository import RemoteRepository


def send_blobs(remote: RemoteRepository, blobs: Iterable[SmallBlob]) -> None:
    """Send those that aren't there yet."""
    for blob in blobs:
        if remote.blob_size(blob.descriptor().digest) is None:
            remote.upload_at_once(blob)


class RemoteImage:
    """What `reference` names in `remote`: a model.protocols.StoredImage."""

    def __init__(self, remote: RemoteRepository, reference: Reference) -> None:
        self.remote = remote
        self.reference = reference
        self._root: Content | None = None

    def root(self) -> Content:
        """The manifest or index that the reference names, read once; raises SourceNotFound."""
        if self._root is None:
            self._root = self.remote.find(self.reference.target)
        if self._root is None:
            raise SourceNotFound(
                f"{self.reference} is not in the registry",
                reference=self.reference,
                hint=f"'publish tags {self.reference.repository.familiar}' lists what is there",
            )
        return self._root

    def manifest(self, descriptor: Descriptor) -> Content:
        """A manifest that the root lists, as it says; raises VerificationFailed where it is missing or another."""
        content = self.remote.get(descriptor.digest)
        if len(content.content) != descriptor.size:
            raise VerificationFailed(
                f"{descriptor.digest} has {len(content.content):,} bytes, the index says {descriptor.size:,}",
                reference=self.reference,
            )
        if content.media_type != descriptor.media_type:
            raise BadManifest(
                f"{descriptor.digest} is '{content.media_type}', the index says '{descriptor.media_type}'",
                reference=self.reference,
            )
        return content

    def open_blob(self, descriptor: Descriptor) -> io.BufferedReader:
        """A stream of a blob's bytes, checked at its end."""
        return self.remote.open_blob(descriptor)
