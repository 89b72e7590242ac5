"""cosign's older form: signatures as layers of an image under the tag `sha256-HEX.sig`.

Source: sigstore/cosign, "Signature spec" and "bundle" (RekorBundle); containers/image, "containers-signature". cosign 2
and podman read it.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any, Final

import msgspec

from publisher.attest.dsse import decode, encode
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
_CERTIFICATE: Final = "dev.sigstore.cosign/certificate"
_CHAIN: Final = "dev.sigstore.cosign/chain"
_LOG: Final = "dev.sigstore.cosign/bundle"
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


def attestation_tag(digest: Digest) -> Tag:
    """Where cosign 2 keeps its other statements, each a signed envelope; nothing of ours stands there."""
    return Tag(f"{digest.algorithm}-{digest.hex}.att"[:128])


def payload_of(digest: Digest, repository: Repository, version: str | None, key: str) -> SimplePayload:
    """What is signed: the image, under its repository's full name, and the version that it is published as."""
    name = f"{'index.docker.io' if repository.on_hub else repository.registry}/{repository.name}"
    return SimplePayload(digest, name, {key: version} if version else {})


class SimpleSignature(Value, frozen=True, kw_only=True):
    """The signature that a layer bears.

    certificate: the signer's, in PEM, where it was no key, and chain what stands above it. log_entry: Rekor's, as
    bundles have one, with its promise and without its proof: the older form keeps no more.
    """

    signature: bytes
    certificate: bytes = b""
    chain: bytes = b""
    log_entry: Mapping[str, Any] = msgspec.field(default_factory=dict)

    @property
    def log_index(self) -> int | None:
        """Where the public log holds it."""
        return int(self.log_entry["logIndex"]) if self.log_entry else None

    def annotations(self) -> dict[str, str]:
        """As its layer bears it."""
        annotations = {SIGNATURE_ANNOTATION: encode(self.signature)}
        if self.certificate:
            texts = {_CERTIFICATE: self.certificate.decode(), _CHAIN: self.chain.decode(), _LOG: self._log_text()}
            annotations |= {key: text for key, text in texts.items() if text}
        return annotations

    def _log_text(self) -> str:
        entry = self.log_entry
        payload = {
            "body": entry["canonicalizedBody"],
            "integratedTime": int(entry["integratedTime"]),
            "logIndex": int(entry["logIndex"]),
            "logID": base64.b64decode(entry["logId"]["keyId"]).hex(),
        }
        stamp = entry["inclusionPromise"]["signedEntryTimestamp"]
        return json.dumps({"SignedEntryTimestamp": stamp, "Payload": payload}, separators=(",", ":"))


def layer_of(payload: bytes, signature: SimpleSignature) -> tuple[SmallBlob, dict[str, Any]]:
    """The blob of a payload, and the layer that bears its signature."""
    blob = SmallBlob(LAYER_TYPE, payload)
    return blob, {**blob.descriptor().document(), "annotations": signature.annotations()}


def read_signature(layer: Descriptor, signature: bytes = b"") -> SimpleSignature:
    """The signature that a layer bears; raises BadAttestation. signature: where it stands in an envelope instead."""
    signature = signature or decode(layer.annotations.get(SIGNATURE_ANNOTATION))
    certificate = layer.annotations.get(_CERTIFICATE, "").encode()
    if not certificate:
        return SimpleSignature(signature=signature)
    if _LOG not in layer.annotations:
        raise BadAttestation("the signature has a certificate, and no word of the public log")
    return SimpleSignature(
        signature=signature,
        certificate=certificate,
        chain=layer.annotations.get(_CHAIN, "").encode(),
        log_entry=_read_log(layer.annotations[_LOG].encode()),
    )


def _read_log(content: bytes) -> dict[str, Any]:
    """What the layer has kept of Rekor's answer, as bundles have it."""
    try:
        document = read_document(content, largest=LARGEST)
        payload, stamp = document["Payload"], document["SignedEntryTimestamp"]
        kind = read_document(decode(payload["body"]), largest=LARGEST)
        return {
            "logIndex": str(int(payload["logIndex"])),
            "logId": {"keyId": encode(bytes.fromhex(payload["logID"]))},
            "kindVersion": {"kind": str(kind["kind"]), "version": str(kind["apiVersion"])},
            "integratedTime": str(int(payload["integratedTime"])),
            "inclusionPromise": {"signedEntryTimestamp": encode(decode(stamp))},
            "canonicalizedBody": payload["body"],
        }
    except (BadManifest, KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadAttestation("what the layer says of the public log can't be read") from error


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
