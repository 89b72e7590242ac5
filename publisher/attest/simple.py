"""cosign's older form: signatures as layers of an image under the tag `sha256-HEX.sig`.

Source: sigstore/cosign, "Signature spec"; containers/image, "containers-signature". cosign 2 and podman read it.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING, Any, Final

import msgspec

from publisher.model import media
from publisher.model.artifact import SmallBlob
from publisher.model.digest import Digest
from publisher.model.errors import BadAttestation, BadManifest, BadReference
from publisher.model.manifest import Manifest, compose, read_document
from publisher.model.reference import Tag
from publisher.model.value import Value

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from publisher.model.manifest import Descriptor
    from publisher.model.reference import Repository

LAYER_TYPE: Final = "application/vnd.dev.cosign.simplesigning.v1+json"
SIGNATURE_ANNOTATION: Final = "dev.cosignproject.cosign/signature"
CERTIFICATE_ANNOTATION: Final = "dev.sigstore.cosign/certificate"
LARGEST: Final = 64 << 10
"""Bytes of a payload."""
MOST: Final = 50
_TYPE: Final = "cosign container image signature"
_NEVER: Final = "0001-01-01T00:00:00Z"


class SimplePayload(Value, frozen=True):
    """What such a signature covers. `optional` is what the signer adds, as a version."""

    digest: Digest
    reference: str
    optional: Mapping[str, str] = msgspec.field(default_factory=dict)

    def content(self) -> bytes:
        """Its bytes: podman demands that the reference is the repository's own."""
        critical = {
            "identity": {"docker-reference": self.reference},
            "image": {"docker-manifest-digest": str(self.digest)},
            "type": _TYPE,
        }
        document = {"critical": critical, "optional": dict(sorted(self.optional.items())) or None}
        return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def read_payload(content: bytes) -> SimplePayload:
    """Read a payload; raises BadAttestation."""
    try:
        document = read_document(content, largest=LARGEST)
        critical = document["critical"]
        if critical["type"] != _TYPE:
            raise BadAttestation(f"the payload is {critical['type']!r}, no image's signature")
        digest = Digest.parse(critical["image"]["docker-manifest-digest"])
        reference = critical["identity"]["docker-reference"]
        optional = document.get("optional") or {}
        texts = {key: text for key, text in optional.items() if isinstance(text, str)}
    except (BadManifest, BadReference, KeyError, TypeError, AttributeError) as error:
        raise BadAttestation("the payload is no image's signature") from error
    return SimplePayload(digest, str(reference), texts)


def signature_tag(digest: Digest) -> Tag:
    """Where the signatures of an image stand."""
    return Tag(f"{digest.algorithm}-{digest.hex}.sig"[:128])


def payload_of(digest: Digest, repository: Repository, version: str | None, key: str) -> SimplePayload:
    """What is signed: the image, under its repository's full name, and the version that it is published as."""
    name = f"{'index.docker.io' if repository.on_hub else repository.registry}/{repository.name}"
    return SimplePayload(digest, name, {key: version} if version else {})


def layer_of(payload: bytes, signature: bytes) -> tuple[SmallBlob, dict[str, str]]:
    """The blob of a signature, and the annotations that its layer bears."""
    return SmallBlob(LAYER_TYPE, payload), {SIGNATURE_ANNOTATION: base64.b64encode(signature).decode()}


def signature_of(layer: Descriptor) -> bytes:
    """The signature that a layer bears; raises BadAttestation."""
    try:
        return base64.b64decode(layer.annotations.get(SIGNATURE_ANNOTATION, ""), validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadAttestation("the layer's signature isn't base64") from error


def compose_signatures(layers: Sequence[Mapping[str, Any]]) -> tuple[Manifest, SmallBlob]:
    """The image that holds signatures: each a layer, as it stands in a manifest; and its config."""
    config = {
        "architecture": "",
        "config": {},
        "created": _NEVER,
        "history": [{"created": _NEVER} for _layer in layers],
        "os": "",
        "rootfs": {"diff_ids": [layer["digest"] for layer in layers], "type": "layers"},
    }
    blob = SmallBlob(media.OCI_CONFIG, json.dumps(config, separators=(",", ":")).encode())
    manifest = compose(
        {
            "schemaVersion": 2,
            "mediaType": media.OCI_MANIFEST,
            "config": blob.descriptor().document(),
            "layers": [dict(layer) for layer in layers],
        }
    )
    assert isinstance(manifest, Manifest)  # noqa: S101 - by its media type
    return manifest, blob
