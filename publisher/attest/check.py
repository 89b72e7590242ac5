"""The one verifier: what a signature is worth, for one image and those who should have signed it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.attest.bundle import read_bundle
from publisher.attest.dsse import parse_envelope
from publisher.attest.identity import ProjectSigner
from publisher.attest.keys import PublicKey
from publisher.attest.simple import read_payload, read_signature
from publisher.attest.statements import SIGNATURE, Statement, Subject, read_statement
from publisher.model.attestation import SignatureRecord
from publisher.model.errors import BadAttestation
from publisher.model.manifest import VERSION_ANNOTATION
from publisher.model.value import Value

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from publisher.attest.bundle import Bundle
    from publisher.attest.identity import Certificate, Signer
    from publisher.attest.keyless import Keyless
    from publisher.attest.simple import SimpleSignature
    from publisher.model.digest import Digest
    from publisher.model.manifest import Descriptor


class Attestation(Value, frozen=True, kw_only=True):
    """A statement that holds. signer: who signed it, for people. payload: its own bytes. version: as signed."""

    statement: Statement
    subject: Subject
    signer: str
    payload: bytes
    log_index: int | None = None

    @property
    def word(self) -> str:
        """What it is for people: signature, provenance, sbom, or its type."""
        return self.statement.word

    @property
    def version(self) -> str | None:
        """The version that the image was signed as."""
        return self.subject.annotations.get(VERSION_ANNOTATION)


class StoredAttestation(Value, frozen=True):
    """A statement that holds, and the artifact that keeps it."""

    attestation: Attestation
    artifact: Digest
    bundle: bytes = b""

    def record(self, repository: object, subject: Digest) -> SignatureRecord:
        """As receipts and `publish verify` tell it."""
        return SignatureRecord(
            repository=str(repository),
            subject=str(subject),
            predicate=self.attestation.statement.predicate_type,
            digest=str(self.artifact),
            signer=self.attestation.signer,
            log_index=self.attestation.log_index,
        )


class Checker:
    """Checks for certain signers; any of them is enough."""

    def __init__(self, signers: Sequence[Signer], keyless: Keyless) -> None:
        self._keys = [signer for signer in signers if isinstance(signer, PublicKey)]
        self._identities = [signer for signer in signers if not isinstance(signer, PublicKey)]
        self._keyless = keyless

    def bundle(self, content: bytes, digest: Digest, platforms: Sequence[Digest] = ()) -> Attestation:
        """What a bundle says of `digest`; raises BadAttestation unless one of the signers says it.

        platforms: what an index lists: an SBOM may be of one of them, a signature has to be of the index.
        """
        bundle = read_bundle(content)
        statement = read_statement(bundle.envelope.payload)
        subject = _subject_of(statement, digest, platforms)
        signer = self._key_of(bundle) if bundle.by_key else self._identity_of(lambda: self._keyless.check(bundle))
        return Attestation(
            statement=statement,
            subject=subject,
            signer=signer,
            payload=bundle.envelope.payload,
            log_index=bundle.log_index,
        )

    def simple(self, payload: bytes, layer: Descriptor, digest: Digest) -> Attestation:
        """What a layer of cosign's older form says of `digest`; raises BadAttestation."""
        simple, signature = read_payload(payload), read_signature(layer)
        if simple.digest != digest:
            raise BadAttestation(f"the signature speaks of {simple.digest}, not of {digest}")
        subject = Subject(digest, simple.reference, simple.optional)
        return Attestation(
            statement=Statement(SIGNATURE, (subject,), {}),
            subject=subject,
            signer=self._simple_signer(signature, payload),
            payload=payload,
            log_index=signature.log_index,
        )

    def older_statement(
        self, content: bytes, layer: Descriptor, digest: Digest, platforms: Sequence[Digest] = ()
    ) -> Attestation:
        """What an envelope under cosign's older tag for statements says of `digest`, as a bundle would say it."""
        envelope = parse_envelope(content)
        statement = read_statement(envelope.payload)
        subject = _subject_of(statement, digest, platforms)
        signature = read_signature(layer, envelope.signature)
        signer = (
            self._identity_of(lambda: self._keyless.check_envelope(signature, content))
            if signature.certificate
            else self._owner(envelope.signature, envelope.signed_bytes)
        )
        return Attestation(
            statement=statement,
            subject=subject,
            signer=signer,
            payload=envelope.payload,
            log_index=signature.log_index,
        )

    def _simple_signer(self, signature: SimpleSignature, payload: bytes) -> str:
        if not signature.certificate:
            return self._owner(signature.signature, payload)
        return self._identity_of(lambda: self._keyless.check_simple(signature, payload))

    def _key_of(self, bundle: Bundle) -> str:
        return self._owner(bundle.envelope.signature, bundle.envelope.signed_bytes)

    def _owner(self, signature: bytes, content: bytes) -> str:
        if not self._keys:
            raise BadAttestation("it was signed by a key, and by none of those asked for")
        for key in self._keys:
            if key.verifies(signature, content):
                return str(key)
        raise BadAttestation(f"it was not signed by {' or '.join(map(str, self._keys))}")

    def _identity_of(self, check: Callable[[], Certificate]) -> str:
        if not self._identities:
            raise BadAttestation("it was signed by a certificate, not by the key asked for")
        certificate = check()
        refusals = [signer.refusal(certificate) for signer in self._identities]
        if all(refusals):
            raise BadAttestation(refusals[0])
        signer = self._identities[refusals.index("")]
        return str(certificate) if isinstance(signer, ProjectSigner) else str(signer)


def _subject_of(statement: Statement, digest: Digest, platforms: Sequence[Digest]) -> Subject:
    subjects = {subject.digest: subject for subject in statement.subjects}
    inner = next((platform for platform in platforms if platform in subjects), None)
    if digest not in subjects and inner and statement.predicate_type != SIGNATURE:
        return subjects[inner]
    return statement.subject(digest)
