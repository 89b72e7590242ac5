"""Signatures by a certificate that lived ten minutes: sigstore-python checks them, behind one function."""

from __future__ import annotations

import json
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from publisher.attest.dsse import STATEMENT_TYPE, decode, encode, parse_envelope
from publisher.attest.identity import Certificate
from publisher.model.errors import BadAttestation, ConfigError, UsageError
from publisher.model.installation import reinstall_hint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from cryptography import x509

    from publisher.attest.bundle import Bundle
    from publisher.attest.simple import SimpleSignature

# Source: sigstore/fulcio, "oid-info": the issuer, the source repository and the ref that it was built from.
_ISSUER: Final = "1.3.6.1.4.1.57264.1.8"
_REPOSITORY: Final = "1.3.6.1.4.1.57264.1.12"
_REF: Final = "1.3.6.1.4.1.57264.1.14"
_PUBLIC: Final = "https://tuf-repo-cdn.sigstore.dev"
_MALFORMED: Final = (ValueError, KeyError, TypeError, AttributeError, IndexError)
"""What a malformed bundle or certificate makes the libraries raise."""
_STRANGER: Final = "the trust root doesn't know: the root is too old for it, or another Sigstore's"
# DER: UTF8String, and lengths of more than 127 bytes.
_UTF8, _LONG = 0x0C, 0x80


class Keyless:
    """Checks bundles against one trust root. root: reads its JSON; None for the public instance's, as shipped."""

    def __init__(self, root: Callable[[], bytes] | None = None) -> None:
        self._root = root
        self._content = b""
        self._verifier: Any = None

    def check(self, bundle: Bundle) -> Certificate:
        """Whose certificate has signed a bundle; raises BadAttestation unless all of it holds.

        The certificate is of the root's authority, logged by its certificate log, was valid when the transparency log
        recorded the signature, and the envelope is what was recorded. There is no switch that leaves any of it out.
        """
        from cryptography.x509 import load_der_x509_certificate
        from sigstore.models import Bundle as SigstoreBundle

        owner = _Owner()
        with self._checking(lambda: load_der_x509_certificate(bundle.certificate), bundle.log_entries) as verifier:
            kind, payload = verifier.verify_dsse(SigstoreBundle.from_json(bundle.content), owner)
        if kind != STATEMENT_TYPE or payload != bundle.envelope.payload:
            raise BadAttestation("the certificate's signature covers something else")
        return read_certificate(owner.certificate)

    def check_simple(self, signature: SimpleSignature, payload: bytes) -> Certificate:
        """Whose certificate has signed a payload of cosign's older form; raises BadAttestation unless all of it holds.

        As for a bundle, but for the log's proof: that form keeps its promise alone, as cosign 2 takes it.
        """
        owner = _Owner()
        with self._checking(partial(_certificate_of, signature), [signature.log_entry]) as verifier:
            verifier.verify_artifact(payload, _promised_bundle(signature), owner)
        return read_certificate(owner.certificate)

    def check_envelope(self, signature: SimpleSignature, content: bytes) -> Certificate:
        """Whose certificate has signed an envelope in cosign's older form; raises BadAttestation as for a payload."""
        owner = _Owner()
        with self._checking(partial(_certificate_of, signature), [signature.log_entry]) as verifier:
            kind, payload = verifier.verify_dsse(_promised_bundle(signature, content), owner)
        if kind != STATEMENT_TYPE or payload != parse_envelope(content).payload:
            raise BadAttestation("the certificate's signature covers something else")
        return read_certificate(owner.certificate)

    @contextmanager
    def _checking(
        self, certificate: Callable[[], x509.Certificate], entries: Sequence[Mapping[str, Any]]
    ) -> Iterator[Any]:
        """What sigstore-python raises, as one error; a root that can't know a signature is told from a bad one."""
        verifier = self._verifier = self._verifier or self._make()
        from sigstore.errors import Error

        try:
            yield verifier
        except (Error, *_MALFORMED) as error:
            with suppress(*_MALFORMED):
                if stranger := unknown_to(self._content, certificate(), entries):
                    raise BadAttestation(f"{stranger}: {self._renewal()}") from error
            raise BadAttestation(f"the certificate's signature doesn't hold: {_sentence(error)}") from error

    def _renewal(self) -> str:
        if self._root is None:
            return f"a newer sigstore brings a newer root ({reinstall_hint('sign')})"
        return "take a newer trusted_root.json of that Sigstore in [sign] trust"

    def _make(self) -> Any:
        try:
            from sigstore.models import TrustedRoot
            from sigstore.verify.verifier import Verifier
        except ImportError as error:
            raise missing_extra(error) from error
        from tempfile import NamedTemporaryFile

        root = self._content = self._root() if self._root else _shipped_root()
        try:
            json.loads(root)
            with NamedTemporaryFile(suffix=".json") as file:
                file.write(root)
                file.flush()
                return Verifier(trusted_root=TrustedRoot.from_file(file.name))
        except Exception as error:
            raise ConfigError(f"the trust root can't be read: {_sentence(error)}") from error


def _shipped_root() -> bytes:
    """The public instance's, as it came with sigstore-python: its own way there writes into the user's cache folder."""
    from importlib.resources import files

    folder = files("sigstore") / "_store" / quote(_PUBLIC, safe="")
    return (folder / "trusted_root.json").read_bytes()


class _Owner:
    """Takes note of the certificate once it is checked: whose it may be is decided where all signers are known."""

    certificate: x509.Certificate

    def verify(self, cert: x509.Certificate) -> None:
        """As sigstore's policies do."""
        self.certificate = cert


def _certificate_of(signature: SimpleSignature) -> x509.Certificate:
    from cryptography.x509 import load_pem_x509_certificate

    return load_pem_x509_certificate(signature.certificate)


def _promised_bundle(signature: SimpleSignature, envelope: bytes = b"") -> Any:
    """The older form as sigstore-python's verifier takes a bundle, which it reads from newer ones only."""
    from types import SimpleNamespace

    from sigstore.dsse import Envelope
    from sigstore.models import TransparencyLogEntry
    from sigstore_models.intoto import Envelope as InnerEnvelope

    class PromisedEntry(TransparencyLogEntry):
        def _validate(self) -> None:
            """There is no proof."""

        def _verify(self, keyring: Any) -> None:
            self._verify_set(keyring)

    entry = signature.log_entry
    inner: Any = SimpleNamespace(
        log_index=int(entry["logIndex"]),
        log_id=SimpleNamespace(key_id=decode(entry["logId"]["keyId"])),
        kind_version=SimpleNamespace(**entry["kindVersion"]),
        integrated_time=int(entry["integratedTime"]),
        inclusion_promise=SimpleNamespace(
            signed_entry_timestamp=decode(entry["inclusionPromise"]["signedEntryTimestamp"])
        ),
        inclusion_proof=None,
        canonicalized_body=decode(entry["canonicalizedBody"]),
    )
    message = SimpleNamespace(message_digest=None, signature=signature.signature)
    return SimpleNamespace(
        signing_certificate=_certificate_of(signature),
        log_entry=PromisedEntry(inner),
        verification_material=SimpleNamespace(timestamp_verification_data=None),
        _inner=SimpleNamespace(message_signature=message),
        _dsse_envelope=Envelope(InnerEnvelope.from_json(envelope)) if envelope else None,
    )


def unknown_to(root: bytes, certificate: x509.Certificate, entries: Sequence[Mapping[str, Any]]) -> str:
    """Which part of a signature a root of trust has never heard of, in words; empty where it knows them all.

    A root that is older than an authority or a log can't tell its signatures from another Sigstore's.
    """
    document = json.loads(root)
    date = f"{certificate.not_valid_before_utc:%Y-%m-%d}"
    if not any(_issued(authority, certificate) for authority in _authorities(document)):
        issuer = certificate.issuer.rfc4514_string()
        return f"the certificate of {date} is by '{issuer}', which {_STRANGER}"
    logs = {log["logId"]["keyId"] for log in document.get("tlogs", [])}
    strange = [entry["logId"]["keyId"] for entry in entries if entry["logId"]["keyId"] not in logs]
    if strange:
        return f"the signature of {date} is in a log that {_STRANGER}"
    if not _logged_in(certificate) & {log["logId"]["keyId"] for log in document.get("ctlogs", [])}:
        return f"the certificate of {date} is in a log that {_STRANGER}"
    return ""


def _authorities(document: Mapping[str, Any]) -> Iterator[x509.Certificate]:
    from cryptography.x509 import load_der_x509_certificate

    for authority in document.get("certificateAuthorities", []):
        for certificate in authority["certChain"]["certificates"]:
            yield load_der_x509_certificate(decode(certificate["rawBytes"]))


def _issued(authority: x509.Certificate, certificate: x509.Certificate) -> bool:
    from cryptography.exceptions import InvalidSignature

    try:
        certificate.verify_directly_issued_by(authority)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def _logged_in(certificate: x509.Certificate) -> set[str]:
    """The logs of certificates that vouch for one."""
    from cryptography.x509 import ExtensionNotFound, PrecertificateSignedCertificateTimestamps

    try:
        stamps = certificate.extensions.get_extension_for_class(PrecertificateSignedCertificateTimestamps).value
    except ExtensionNotFound:
        return set()
    return {encode(stamp.log_id) for stamp in stamps}


def missing_extra(error: ImportError) -> UsageError:
    """The error where the extra isn't installed."""
    return UsageError(
        f"signatures need the extra 'sign': {error.name} is not installed",
        hint=reinstall_hint("sign"),
    )


def read_certificate(certificate: x509.Certificate) -> Certificate:
    """What a certificate says about its owner; raises BadAttestation where it has no one name."""
    from cryptography.x509 import ExtensionNotFound, SubjectAlternativeName

    try:
        names = certificate.extensions.get_extension_for_class(SubjectAlternativeName).value
    except ExtensionNotFound as error:
        raise BadAttestation("the certificate names nobody") from error
    texts = [str(getattr(name, "value", "")) for name in names]
    if len(texts) != 1:
        raise BadAttestation("the certificate names nobody, or several")
    issuer, repository, ref = (_extension(certificate, oid) for oid in (_ISSUER, _REPOSITORY, _REF))
    return Certificate(name=texts[0], issuer=issuer, repository=repository, ref=ref)


def _extension(certificate: x509.Certificate, oid: str) -> str:
    """An extension that is one DER UTF8String; empty where it isn't there."""
    from cryptography.x509 import ExtensionNotFound, ObjectIdentifier, UnrecognizedExtension

    try:
        value = certificate.extensions.get_extension_for_oid(ObjectIdentifier(oid)).value
    except ExtensionNotFound:
        return ""
    raw = value.value if isinstance(value, UnrecognizedExtension) else b""
    try:
        return _utf8_string(raw)
    except (IndexError, ValueError) as error:
        raise BadAttestation(f"the certificate's extension {oid} is malformed") from error


def _utf8_string(raw: bytes) -> str:
    if raw[0] != _UTF8:
        raise ValueError
    if raw[1] < _LONG:
        length, start = raw[1], 2
    else:
        start = 2 + (raw[1] & ~_LONG)
        length = int.from_bytes(raw[2:start])
    if length != len(raw) - start:
        raise ValueError
    return raw[start:].decode()


def _sentence(error: BaseException) -> str:
    return " ".join(str(error).split())[:300].removesuffix(".") or type(error).__name__
