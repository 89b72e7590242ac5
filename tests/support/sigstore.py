"""A Sigstore of our own in tests: a log whose clock can be set, and releases that are signed by their job."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from publisher.attest.bundle import certificate_bundle
from publisher.attest.dsse import Envelope, signed_bytes
from publisher.attest.keyless import Keyless
from publisher.attest.simple import SimpleSignature, compose_signatures, layer_of
from publisher.attest.statements import SIGNATURE, Statement, Subject
from publisher.model.digest import Digest
from publisher.sandbox.sigstore import ISSUER, SigstoreLookAlike, _canonical_body
from publisher.sigstore.client import _log_entry
from tests.support.layout import make_layout

if TYPE_CHECKING:
    from pathlib import Path

    from publisher.model.manifest import Descriptor
    from publisher.sandbox.server import Sandbox
    from tests.support.command import Publish, Result

IMAGE = Digest.of(b"an image")
ACME = "github.com/acme/app"
JOB = {
    "iss": ISSUER, "repository": "acme/app", "ref": "refs/tags/v1.2.3",
    "job_workflow_ref": "acme/app/.github/workflows/release.yml@refs/tags/v1.2.3",
}  # fmt: skip


class Log(SigstoreLookAlike):
    """The look-alike, with a clock that can be set, and what a client does with it in one call."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)
        super().__init__("http://127.0.0.1:1", lambda: self.now)

    def sign(self, digest: Digest = IMAGE, job: dict[str, str] | None = None, late: timedelta = timedelta()) -> bytes:
        """A bundle; late: how long after the certificate the log takes it."""
        payload = Statement(SIGNATURE, (Subject(digest, "r/n"),), {}).content()
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._leaf(key.public_key(), {**JOB, **(job or {})})
        envelope = Envelope(payload, key.sign(signed_bytes(payload), ec.ECDSA(SHA256())))
        self.now += late
        proposed = {
            "envelope": json.dumps(envelope.document()),
            "verifiers": [base64_of(certificate.public_bytes(Encoding.PEM))],
        }
        entry = self._entry_of({"kind": "dsse", "spec": {"proposedContent": proposed}})
        return certificate_bundle(envelope, certificate.public_bytes(Encoding.DER), [entry])

    def sign_simply(self, payload: bytes, late: timedelta = timedelta()) -> Descriptor:
        """The layer of cosign's older form."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._leaf(key.public_key(), JOB).public_bytes(Encoding.PEM)
        signature = key.sign(payload, ec.ECDSA(SHA256()))
        self.now += late
        spec = {
            "data": {"hash": {"algorithm": "sha256", "value": hashlib.sha256(payload).hexdigest()}},
            "signature": {"content": base64_of(signature), "publicKey": {"content": base64_of(certificate)}},
        }
        entry = self._entry_of({"kind": "hashedrekord", "spec": spec})
        own = SimpleSignature(signature=signature, certificate=certificate, log_entry=entry)
        return compose_signatures([layer_of(payload, own)[1]])[0].layers[0]

    def _entry_of(self, proposed: dict[str, Any]) -> dict[str, Any]:
        body = _canonical_body(proposed)
        return _log_entry({"x": self._logged(body, leaf_hash(body), 7)})

    def trust(self, **parts: Any) -> Keyless:
        """Its own root, or one with parts of another's."""
        root = json.dumps(self.trusted_root() | parts).encode()
        return Keyless(lambda: root)


def base64_of(content: bytes) -> str:
    """Standard base64."""
    return base64.b64encode(content).decode()


def leaf_hash(body: bytes) -> str:
    """RFC 6962's."""
    return hashlib.sha256(b"\0" + body).hexdigest()


class Rehearsal:
    """A sandbox, and a project that is released to it."""

    def __init__(self, sandbox: Sandbox, publish: Publish, folder: Path) -> None:
        self.sandbox, self.publish, self.folder = sandbox, publish, folder
        publish.environ["COLUMNS"] = "250"  # sentences in one piece
        make_layout(folder / "layout", "keyless")

    def run(self, *words: str, **environ: str) -> Result:
        """A command, as a job of acme/app on a tag would run it."""
        job = {"GITHUB_REPOSITORY": "acme/app", "PUBLISH_SANDBOX": self.sandbox.url}
        return self.publish(*words, cwd=self.folder, environ=job | environ)

    def release(self, version: str, **environ: str) -> Result:
        """Signed."""
        asked = ["-v", "release", "oci:layout", "--image", "acme/app", "--version", version, "--sign", "-y"]
        return self.run(*asked, **environ)

    @property
    def host(self) -> str:
        """For tools that don't know the sandbox."""
        return self.sandbox.url.removeprefix("http://")


def write_root(rehearsal: Rehearsal) -> dict[str, str]:
    """The sandbox's root as a file, and its parts in PEM; the environment that tells cosign 2 of these."""
    with urlopen(f"{rehearsal.sandbox.url}/sigstore/trusted_root.json") as answer:
        (rehearsal.folder / "root.json").write_bytes(answer.read())
    root = json.loads((rehearsal.folder / "root.json").read_text())
    authority = root["certificateAuthorities"][0]["certChain"]["certificates"][0]["rawBytes"]
    parts = {
        "SIGSTORE_ROOT_FILE": ("CERTIFICATE", authority),
        "SIGSTORE_CT_LOG_PUBLIC_KEY_FILE": ("PUBLIC KEY", root["ctlogs"][0]["publicKey"]["rawBytes"]),
        "SIGSTORE_REKOR_PUBLIC_KEY": ("PUBLIC KEY", root["tlogs"][0]["publicKey"]["rawBytes"]),
    }
    for name, (label, text) in parts.items():
        (rehearsal.folder / name).write_text(f"-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
    return {name: name for name in parts}
