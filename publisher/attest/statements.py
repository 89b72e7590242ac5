"""In-toto statements: which artifacts, and what is said of them.

Source: in-toto/attestation, "Statement layer v1"; cosign's sign/v1 predicate; slsa.dev/provenance/v1.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import msgspec

from publisher.model.digest import Digest
from publisher.model.errors import BadAttestation, BadManifest, BadReference
from publisher.model.manifest import LARGEST, read_document
from publisher.model.value import Value

if TYPE_CHECKING:
    from collections.abc import Mapping

SIGNATURE: Final = "https://sigstore.dev/cosign/sign/v1"
PROVENANCE: Final = "https://slsa.dev/provenance/v1"
SPDX: Final = "https://spdx.dev/Document"
CYCLONEDX: Final = "https://cyclonedx.org/bom"
_WORDS: Final = {SIGNATURE: "signature", PROVENANCE: "provenance", CYCLONEDX: "sbom"}
# BuildKit before 0.14 and GitHub's own steps write these.
_OLDER_PROVENANCE: Final = "https://slsa.dev/provenance/v0."
_TYPES: Final = frozenset({"https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1"})
_KEYS: Final = frozenset({"_type", "subject", "predicateType", "predicate"})


class Subject(Value, frozen=True):
    """An artifact by its content; `name` and `annotations` are what the signer says of it."""

    digest: Digest
    name: str = ""
    annotations: Mapping[str, str] = msgspec.field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """As it stands in a statement."""
        document: dict[str, Any] = {"name": self.name, "digest": {self.digest.algorithm: self.digest.hex}}
        return document | ({"annotations": dict(sorted(self.annotations.items()))} if self.annotations else {})


class Statement(Value, frozen=True):
    """What is said of the subjects; the predicate is a JSON object."""

    predicate_type: str
    subjects: tuple[Subject, ...]
    predicate: Mapping[str, Any]

    @property
    def word(self) -> str:
        """What it is for people: signature, provenance, sbom, or the type itself."""
        return word_of(self.predicate_type)

    def content(self) -> bytes:
        """Its bytes: the same statement gives the same."""
        document = {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [subject.document() for subject in self.subjects],
            "predicateType": self.predicate_type,
            "predicate": self.predicate,
        }
        return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()

    def subject(self, digest: Digest) -> Subject:
        """What it says of `digest`; raises BadAttestation where it speaks of other content."""
        for subject in self.subjects:
            if subject.digest == digest:
                return subject
        other = ", ".join(str(subject.digest) for subject in self.subjects[:2])
        raise BadAttestation(f"the {self.word} speaks of {other}, not of {digest}")


def word_of(predicate_type: str) -> str:
    """What a predicate is for people."""
    if predicate_type.startswith(_OLDER_PROVENANCE):
        return "provenance"
    if predicate_type == SPDX or predicate_type.startswith(f"{SPDX}/"):
        return "sbom"
    return _WORDS.get(predicate_type, predicate_type)


def read_statement(payload: bytes) -> Statement:
    """Read a statement; raises BadAttestation where two readers could see two things."""
    try:
        document = read_document(payload, largest=LARGEST)
    except BadManifest as error:
        raise BadAttestation(f"the statement can't be read: {error.message}") from error
    if document.get("_type") not in _TYPES or not set(document) <= _KEYS:
        raise BadAttestation("the payload is no in-toto statement")
    kind, subjects, predicate = document.get("predicateType"), document.get("subject"), document.get("predicate", {})
    if not isinstance(kind, str) or not isinstance(subjects, list) or not subjects:
        raise BadAttestation("the statement names no subject, or no predicate type")
    if not isinstance(predicate, dict | None):
        raise BadAttestation("the statement's predicate is no object")
    return Statement(kind, tuple(map(_subject, subjects)), predicate or {})


def _subject(document: object) -> Subject:
    digests = document.get("digest") if isinstance(document, dict) else None
    if not isinstance(document, dict) or not isinstance(digests, dict):
        raise BadAttestation("a subject of the statement has no digest")
    try:
        digest = Digest.parse(f"sha256:{digests.get('sha256')}")
    except BadReference as error:
        raise BadAttestation("a subject of the statement has no sha256") from error
    name, annotations = document.get("name") or "", document.get("annotations") or {}
    if not isinstance(name, str) or not isinstance(annotations, dict):
        raise BadAttestation("a subject of the statement is malformed")
    texts = {key: text for key, text in annotations.items() if isinstance(text, str)}
    return Subject(digest, name, texts)
