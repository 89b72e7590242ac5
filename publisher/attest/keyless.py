"""Signatures by a certificate that lived ten minutes: sigstore-python checks them, behind one function."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from publisher.attest.dsse import STATEMENT_TYPE
from publisher.attest.identity import Certificate
from publisher.model.errors import BadAttestation, ConfigError, UsageError
from publisher.model.installation import reinstall_hint

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography import x509

    from publisher.attest.bundle import Bundle

# Source: sigstore/fulcio, "oid-info": the issuer, the source repository and the ref that it was built from.
_ISSUER: Final = "1.3.6.1.4.1.57264.1.8"
_REPOSITORY: Final = "1.3.6.1.4.1.57264.1.12"
_REF: Final = "1.3.6.1.4.1.57264.1.14"
_PUBLIC: Final = "https://tuf-repo-cdn.sigstore.dev"
# DER: UTF8String, and lengths of more than 127 bytes.
_UTF8, _LONG = 0x0C, 0x80


class Keyless:
    """Checks bundles against one trust root. root: reads its JSON; None for the public instance's, as shipped."""

    def __init__(self, root: Callable[[], bytes] | None = None) -> None:
        self._root = root
        self._verifier: Any = None

    def check(self, bundle: Bundle) -> Certificate:
        """Whose certificate has signed a bundle; raises BadAttestation unless all of it holds.

        The certificate is of the root's authority, logged by its certificate log, was valid when the transparency log
        recorded the signature, and the envelope is what was recorded. There is no switch that leaves any of it out.
        """
        from sigstore.errors import Error
        from sigstore.models import Bundle as SigstoreBundle

        verifier = self._verifier = self._verifier or self._make()
        owner = _Owner()
        try:
            kind, payload = verifier.verify_dsse(SigstoreBundle.from_json(bundle.content), owner)
        except (Error, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise BadAttestation(f"the certificate's signature doesn't hold: {_sentence(error)}") from error
        if kind != STATEMENT_TYPE or payload != bundle.envelope.payload:
            raise BadAttestation("the certificate's signature covers something else")
        return read_certificate(owner.certificate)

    def _make(self) -> Any:
        try:
            from sigstore.models import TrustedRoot
            from sigstore.verify.verifier import Verifier
        except ImportError as error:
            raise missing_extra(error) from error
        from tempfile import NamedTemporaryFile

        root = self._root() if self._root else _shipped_root()
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
