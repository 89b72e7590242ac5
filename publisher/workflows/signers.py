"""Who signs a release: a key, or the CI job by its own identity."""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING, Any, Final

from publisher.attest.bundle import certificate_bundle, key_bundle
from publisher.attest.dsse import Envelope, signed_bytes
from publisher.attest.identity import PersonSigner, ProjectSigner
from publisher.attest.keyless import missing_extra, read_certificate
from publisher.attest.keys import SigningKey, read_signing_key, refuse_services
from publisher.attest.simple import SimpleSignature
from publisher.credentials.oidc import IdentityToken, request_identity
from publisher.model.errors import ConfigError, Denied, PublishError, UsageError
from publisher.sigstore.client import Services, SigstoreClient
from publisher.workflows.signatures import read_key

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from publisher.attest.identity import Signer
    from publisher.workflows.session import Session

_AUDIENCE: Final = "sigstore"
_LONGEST_LIFE: Final = 480.0
"""Seconds that a certificate is used for; it lives ten minutes."""
_READABLE_BY_OTHERS: Final = 0o077


class KeySigner:
    """A key signs, and nobody is told."""

    by = "key"
    log = None
    claims: Mapping[str, str] = {}

    def __init__(self, key: SigningKey, name: str) -> None:
        self._key = key
        self.name = name
        self.who = key.public
        self.identity = str(key.public)

    def bundle(self, payload: bytes) -> bytes:
        """A bundle of a statement."""
        return key_bundle(Envelope(payload, self._key.sign(signed_bytes(payload))), self.who)

    def simple(self, payload: bytes) -> SimpleSignature:
        """The signature of a payload in cosign's older form."""
        return SimpleSignature(signature=self._key.sign(payload))


class JobSigner:
    """A job signs with a key that lives as long as the run, by a certificate that names it; the public log keeps both.

    token: asks for the job's identity token. The certificate is asked for at the first statement: it lives ten minutes.
    """

    by = "ci"

    def __init__(self, client: SigstoreClient, token: Callable[[], IdentityToken]) -> None:
        self._client, self._token = client, token
        self.log: str | None = client.log
        first = token()
        self.claims = first.claims
        self.identity = first.project
        self._certificate, self._chain = b"", b""
        self._key: Any = None
        self._made = 0.0
        self._who: Signer | None = None

    @property
    def who(self) -> Signer:
        """Whoever the certificate names; before there is one, the job's project."""
        if self._who:
            return self._who
        if self.identity.startswith(("github.com/", "gitlab.com/")):
            ref = self.claims.get("ref", "")
            return ProjectSigner(self.identity, ref if ref.startswith("refs/") else "")
        return PersonSigner(self.claims.get("email") or self.identity, self.claims.get("iss", ""))

    def bundle(self, payload: bytes) -> bytes:
        """A bundle of a statement, recorded in the public log."""
        from cryptography.hazmat.primitives.serialization import Encoding
        from cryptography.x509 import load_pem_x509_certificate

        envelope = Envelope(payload, self._sign(signed_bytes(payload)))
        entry = self._client.record(envelope.document(), self._certificate)
        certificate = load_pem_x509_certificate(self._certificate).public_bytes(Encoding.DER)
        return certificate_bundle(envelope, certificate, [entry])

    def simple(self, payload: bytes) -> SimpleSignature:
        """The signature of a payload in cosign's older form, recorded in the public log."""
        signature = self._sign(payload)
        digest = hashlib.sha256(payload).hexdigest()
        entry = self._client.record_hash(digest, signature, self._certificate)
        return SimpleSignature(signature=signature, certificate=self._certificate, chain=self._chain, log_entry=entry)

    def _sign(self, content: bytes) -> bytes:
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.hashes import SHA256

        if self._key is None or time.monotonic() - self._made > _LONGEST_LIFE:
            self._certify()
        signature: bytes = self._key.sign(content, ec.ECDSA(SHA256()))
        return signature

    def _certify(self) -> None:
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.serialization import Encoding
        from cryptography.x509 import CertificateSigningRequestBuilder, Name, load_pem_x509_certificate

        self._key = ec.generate_private_key(ec.SECP256R1())
        request = CertificateSigningRequestBuilder().subject_name(Name([])).sign(self._key, SHA256())
        token = self._token()
        self._certificate, *chain = self._client.certificate(token.text, request.public_bytes(Encoding.PEM))
        self._chain = b"".join(one.rstrip() + b"\n" for one in chain)
        self._made = time.monotonic()
        certificate = read_certificate(load_pem_x509_certificate(self._certificate))
        self._who = PersonSigner(certificate.name, certificate.issuer)


def key_signer(session: Session, name: str, password: Callable[[], bytes | None]) -> KeySigner:
    """Open a key file, or the key in `env://NAME`; raises ConfigError or Denied."""
    refuse_services(name)
    content = read_key(session, name)
    if content is None:
        raise ConfigError(f"there is no key {name}", reference=name, hint="--key takes a file or env://NAME")
    _learn(session, content)
    _warn_of_rights(session, name)

    def ask_password() -> bytes | None:
        secret = password()
        session.learn((secret or b"").decode("utf-8", "replace"))
        return secret

    try:
        return KeySigner(read_signing_key(content, name, ask_password), name)
    except ImportError as error:
        raise missing_extra(error) from error


def _learn(session: Session, content: bytes) -> None:
    text = content.decode("utf-8", "replace")
    session.learn(text)
    for line in text.splitlines():
        if not line.startswith("-----"):
            session.learn(line.strip())


def _warn_of_rights(session: Session, name: str) -> None:
    file = session.directory / name
    if not name.startswith("env://") and file.stat().st_mode & _READABLE_BY_OTHERS:
        session.progress.warn(f"{name} can be read by other users of this machine: chmod 600 {name}")


def job_signer(session: Session, services: Services) -> JobSigner:
    """The CI job, by its identity token; raises UsageError outside of CI, Denied where it may not have one."""
    try:
        import cryptography  # noqa: F401 - whether the extra is there
        import sigstore  # noqa: F401 - whether the extra is there
    except ImportError as error:
        raise missing_extra(error) from error
    client = SigstoreClient(session.client, services, session.retry_policy)
    return JobSigner(client, lambda: _identity(session))


def _identity(session: Session) -> IdentityToken:
    if session.sandbox:
        url = f"{session.sandbox}/sigstore/token?{_sandbox_job(session)}"
        return request_identity(lambda: session.client, {"url": url, "bearer": "sandbox"}, _AUDIENCE, session.learn)
    if session.environ.get("GITHUB_ACTIONS") == "true":
        service = {
            "url": session.environ.get("ACTIONS_ID_TOKEN_REQUEST_URL", ""),
            "bearer": session.environ.get("ACTIONS_ID_TOKEN_REQUEST_TOKEN", ""),
        }
        try:
            return request_identity(lambda: session.client, service, _AUDIENCE, session.learn)
        except PublishError as error:
            hint = error.hint or "the job needs 'permissions: id-token: write'"
            raise Denied(f"the job gets no identity token: {error.message}", hint=hint) from error
    if token := session.environ.get("SIGSTORE_ID_TOKEN", ""):
        session.learn(token)
        return IdentityToken.read(token)
    raise UsageError(
        "--sign takes the identity of a CI's job, and this is none",
        hint="name a key: --key cosign.key; 'cosign generate-key-pair' makes one. On GitLab: id_tokens with "
        "SIGSTORE_ID_TOKEN, aud: sigstore",
    )


def _sandbox_job(session: Session) -> str:
    """The job that a rehearsal pretends to be: this one, else one of this repository."""
    from urllib.parse import urlencode

    source = session.facts.project.source
    repository = session.environ.get("GITHUB_REPOSITORY") or source.partition("://github.com/")[2] or "sandbox/sample"
    ref = session.facts.ref or "refs/heads/main"
    return urlencode({"repository": repository, "ref": ref, "sha": session.facts.revision or ""})
