"""OCI artifacts of our own: small documents that live beside images in a registry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from publisher.model import media
from publisher.model.digest import Digest
from publisher.model.manifest import Descriptor, Manifest, compose

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

EMPTY_TYPE: Final = "application/vnd.oci.empty.v1+json"
RECEIPT_TYPE: Final = "application/vnd.publish.receipt.v1+json"
"""A release's receipt, which refers to what was released."""


@dataclass(slots=True)
class SmallBlob:
    """A blob that is held in memory; an Upload."""

    media_type: str
    content: bytes

    def chunks(self) -> Iterator[bytes]:
        """All of it."""
        yield self.content

    def descriptor(self) -> Descriptor:
        """What it is."""
        return Descriptor(self.media_type, Digest.of(self.content), len(self.content))


EMPTY: Final = SmallBlob(EMPTY_TYPE, b"{}")


def compose_artifact(
    artifact_type: str,
    document: SmallBlob | None = None,
    subject: Descriptor | None = None,
    annotations: Mapping[str, str] | None = None,
) -> tuple[Manifest, tuple[SmallBlob, ...]]:
    """An artifact and the blobs that it needs; without a document it is as empty as can be.

    subject: what it speaks of. Source: image-spec, "Guidelines for Artifact Usage".
    """
    layer = document or EMPTY
    fields: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": media.OCI_MANIFEST,
        "artifactType": artifact_type,
        "config": EMPTY.descriptor().document(),
        "layers": [layer.descriptor().document()],
    }
    if subject:
        plain = Descriptor(subject.media_type, subject.digest, subject.size)
        fields["subject"] = plain.document()
    if annotations:
        fields["annotations"] = dict(sorted(annotations.items()))
    manifest = compose(fields)
    assert isinstance(manifest, Manifest)  # noqa: S101 - by its media type
    return manifest, (EMPTY,) if document is None else (EMPTY, document)
