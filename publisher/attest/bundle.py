"""Sigstore bundles: a signed statement and what it takes to check it, as an artifact beside an image.

Source: sigstore/protobuf-specs, sigstore_bundle.proto v0.3; sigstore/cosign, "Bundle spec: OCI referrers".
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from publisher.attest.dsse import Envelope, decode, encode, read_envelope
from publisher.http.headers import read_number
from publisher.model.artifact import SmallBlob, compose_artifact
from publisher.model.errors import BadAttestation, BadManifest
from publisher.model.manifest import Manifest, read_document
from publisher.model.value import Value

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from publisher.attest.keys import PublicKey
    from publisher.model.manifest import Content, Descriptor

BUNDLE_TYPE: Final = "application/vnd.dev.sigstore.bundle.v0.3+json"
_READ: Final = frozenset({BUNDLE_TYPE, "application/vnd.dev.sigstore.bundle+json;version=0.3"})
PREDICATE_ANNOTATION: Final = "dev.sigstore.bundle.predicateType"
_CONTENT_ANNOTATION: Final = "dev.sigstore.bundle.content"
LARGEST: Final = 4 << 20
"""Bytes of a bundle that holds a signature or provenance."""
LARGEST_SBOM: Final = 24 << 20
"""Bytes of a bundle that holds an SBOM of 16 MiB, in base64."""
_KEYS: Final = frozenset({"mediaType", "verificationMaterial", "dsseEnvelope", "messageSignature"})
_MATERIAL: Final = frozenset({"publicKey", "certificate", "tlogEntries", "timestampVerificationData"})


class Bundle(Value, frozen=True):
    """A bundle as read. certificate: the signer's, in DER; empty where a key signed. content: its own bytes."""

    content: bytes
    envelope: Envelope
    certificate: bytes = b""
    log_entries: tuple[Mapping[str, Any], ...] = ()

    @property
    def by_key(self) -> bool:
        """Whether it names a key, and no certificate."""
        return not self.certificate

    @property
    def log_index(self) -> int | None:
        """Where the public log holds it."""
        return read_number(str(self.log_entries[0].get("logIndex", ""))) if self.log_entries else None


def read_bundle(content: bytes) -> Bundle:
    """Read a bundle; raises BadAttestation for one that is malformed, or of a form not known here."""
    try:
        document = read_document(content, largest=LARGEST_SBOM)
    except BadManifest as error:
        raise BadAttestation(f"the bundle can't be read: {error.message}") from error
    if document.get("mediaType") not in _READ or not set(document) <= _KEYS:
        raise BadAttestation(f"the bundle is of an unknown form, {document.get('mediaType')!r}")
    if "messageSignature" in document:
        raise BadAttestation("the bundle holds the signature of a file, and no statement about an image")
    material = document.get("verificationMaterial")
    if not isinstance(material, dict) or not set(material) <= _MATERIAL:
        raise BadAttestation("the bundle says nothing that is known here about who signed it")
    envelope = read_envelope(document.get("dsseEnvelope"))
    entries = material.get("tlogEntries") or []
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise BadAttestation("the bundle's log entries are none")
    return Bundle(content, envelope, _certificate(material), tuple(entries))


def _certificate(material: Mapping[str, Any]) -> bytes:
    key, certificate = material.get("publicKey"), material.get("certificate")
    if (key is None) == (certificate is None):
        raise BadAttestation("the bundle names neither one key nor one certificate")
    if key is not None:
        if not isinstance(key, dict) or not set(key) <= {"hint"} or not isinstance(key.get("hint", ""), str):
            raise BadAttestation("the bundle's key is malformed")
        return b""
    if not isinstance(certificate, dict) or set(certificate) != {"rawBytes"}:
        raise BadAttestation("the bundle's certificate is malformed")
    return decode(certificate["rawBytes"])


def key_bundle(envelope: Envelope, key: PublicKey) -> bytes:
    """The bundle of what a key has signed."""
    return _compose(envelope, {"publicKey": {"hint": key.fingerprint}})


def certificate_bundle(envelope: Envelope, certificate: bytes, entries: Sequence[Mapping[str, Any]]) -> bytes:
    """The bundle of what a certificate's owner has signed, and the public log has recorded."""
    material = {"certificate": {"rawBytes": encode(certificate)}, "tlogEntries": [dict(entry) for entry in entries]}
    return _compose(envelope, material)


def _compose(envelope: Envelope, material: Mapping[str, Any]) -> bytes:
    document = {"mediaType": BUNDLE_TYPE, "verificationMaterial": material, "dsseEnvelope": envelope.document()}
    return json.dumps(document, separators=(",", ":")).encode()


def bundle_artifact(bundle: bytes, predicate_type: str, subject: Descriptor) -> tuple[Manifest, tuple[SmallBlob, ...]]:
    """The artifact that holds a bundle and refers to `subject`, and the blobs that it needs."""
    annotations = {_CONTENT_ANNOTATION: "dsse-envelope", PREDICATE_ANNOTATION: predicate_type}
    return compose_artifact(BUNDLE_TYPE, SmallBlob(BUNDLE_TYPE, bundle), subject, annotations)


def bundle_layer(artifact: Content) -> Descriptor | None:
    """Where an artifact keeps its bundle; None for an artifact of another kind."""
    if not isinstance(artifact, Manifest) or len(artifact.layers) != 1:
        return None
    kinds = {artifact.artifact_type, artifact.config.media_type, artifact.layers[0].media_type}
    return artifact.layers[0] if kinds & _READ else None
