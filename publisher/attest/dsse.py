"""DSSE: what a signature of a statement covers, and the envelope that holds both.

Source: secure-systems-lab/dsse, "Signature Definition" and "Envelope".
"""

from __future__ import annotations

import base64
import binascii
from typing import Any, Final

from publisher.model.errors import BadAttestation, BadManifest
from publisher.model.manifest import read_document
from publisher.model.value import Value

STATEMENT_TYPE: Final = "application/vnd.in-toto+json"
LARGEST: Final = 24 << 20
"""Bytes of an envelope: it may hold an SBOM."""
_KEYS: Final = frozenset({"payload", "payloadType", "signatures"})
_SIGNATURE_KEYS: Final = frozenset({"sig", "keyid"})


def signed_bytes(payload: bytes, payload_type: str = STATEMENT_TYPE) -> bytes:
    """The pre-authentication encoding: no payload can be taken for one of another type."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


class Envelope(Value, frozen=True):
    """A payload with one signature."""

    payload: bytes
    signature: bytes
    payload_type: str = STATEMENT_TYPE

    @property
    def signed_bytes(self) -> bytes:
        """What the signature covers."""
        return signed_bytes(self.payload, self.payload_type)

    def document(self) -> dict[str, Any]:
        """As it stands in a bundle."""
        return {
            "payload": encode(self.payload),
            "payloadType": self.payload_type,
            "signatures": [{"sig": encode(self.signature)}],
        }


def parse_envelope(content: bytes) -> Envelope:
    """Read an envelope that stands by itself; raises BadAttestation."""
    try:
        return read_envelope(read_document(content, largest=LARGEST))
    except BadManifest as error:
        raise BadAttestation(f"the envelope can't be read: {error.message}") from error


def read_envelope(document: object) -> Envelope:
    """Read an envelope; raises BadAttestation where it isn't one statement with exactly one signature."""
    if not isinstance(document, dict) or not set(document) <= _KEYS:
        raise BadAttestation("the envelope is no DSSE envelope")
    if document.get("payloadType") != STATEMENT_TYPE:
        raise BadAttestation(f"the envelope's payload is {document.get('payloadType')!r}, not an in-toto statement")
    signatures = document.get("signatures")
    if not isinstance(signatures, list) or len(signatures) != 1:
        raise BadAttestation("the envelope doesn't hold exactly one signature")
    signature = signatures[0]
    if not isinstance(signature, dict) or not set(signature) <= _SIGNATURE_KEYS:
        raise BadAttestation("the envelope's signature is none")
    return Envelope(decode(document.get("payload")), decode(signature.get("sig")))


def encode(content: bytes) -> str:
    """Standard base64."""
    return base64.b64encode(content).decode()


def decode(text: object) -> bytes:
    """Standard base64 in its one canonical form; raises BadAttestation."""
    try:
        content = base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except (binascii.Error, ValueError) as error:
        raise BadAttestation("a field isn't base64") from error
    if not content or encode(content) != text:
        raise BadAttestation("a field isn't base64, or not in its canonical form")
    return content
