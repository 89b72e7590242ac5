"""Small blobs, for artifacts of our own."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from publisher.model.artifact import SmallBlob
    from publisher.registry.repository import RemoteRepository


def send_blobs(remote: RemoteRepository, blobs: Iterable[SmallBlob]) -> None:
    """Send those that aren't there yet."""
    for blob in blobs:
        if remote.blob_size(blob.descriptor().digest) is None:
            remote.upload(blob)
