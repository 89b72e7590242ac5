"""Artifacts that refer to images: their blobs, and the lists that they are found by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.model.manifest import compose_index
from publisher.model.reference import Tag

if TYPE_CHECKING:
    from collections.abc import Iterable

    from publisher.model.artifact import SmallBlob
    from publisher.model.digest import Digest
    from publisher.model.manifest import Descriptor
    from publisher.registry.repository import RemoteRepository


def send_blobs(remote: RemoteRepository, blobs: Iterable[SmallBlob]) -> None:
    """Send those that aren't there yet."""
    for blob in blobs:
        if remote.blob_size(blob.descriptor().digest) is None:
            remote.upload(blob)


def announce(remote: RemoteRepository, entry: Descriptor, subject: Digest) -> None:
    """Let an artifact that is there be found by its subject.

    A registry with the referrers API does so by itself; elsewhere the tag that stands in for it lists the artifact.
    Source: distribution-spec, "Pushing manifests with subject".
    """
    listed = remote.referrers(subject)
    if all(other.digest != entry.digest for other in listed):
        remote.put(compose_index((*listed, entry)), fallback_tag(subject))


def fallback_tag(subject: Digest) -> Tag:
    """The tag that lists what refers to `subject` where there is no API for it."""
    return Tag(f"{subject.algorithm}-{subject.hex}"[:128])
