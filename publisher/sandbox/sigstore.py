"""Sigstore's look-alike: a certificate authority, both logs and a token service, so that keyless is rehearsed offline.

Fulcio 1 and 2 and Rekor 1 as far as `publish` and other clients speak them; nothing leaves this machine, and all keys
are new with each sandbox. Each entry of the log is a tree of its own, with one leaf.
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
import threading
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import JSONResponse, Response

from publisher.sandbox.http import Refusal, read_whole

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from starlette.requests import Request

PREFIX: Final = "/sigstore"
ISSUER: Final = "https://token.actions.githubusercontent.com"
_LARGEST: Final = 16 << 20
_LIFE: Final = timedelta(minutes=10)
_START: Final = {"start": "2020-01-01T00:00:00Z"}
_SCTS: Final = "1.3.6.1.4.1.11129.2.4.2"
_UNCHECKED: Final = b"rehearsal"
# Source: sigstore/fulcio, "oid-info": what each extension holds of a job's claims.
_EXTENSIONS: Final = {
    8: "iss", 9: "builder", 11: "runner_environment", 12: "source", 13: "sha", 14: "ref", 20: "event_name",
}  # fmt: skip


class SigstoreLookAlike:
    """Answers below /sigstore/. url: the sandbox's own address. clock: seconds, another one in tests."""

    def __init__(self, url: str, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._url, self._clock = f"{url}{PREFIX}", clock
        self._entries: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()

    async def answer(self, request: Request) -> Response:
        """Answer one request; raises Refusal."""
        path = request.scope["path"].removeprefix(PREFIX)
        if request.method == "POST" and path == "/api/v2/signingCert":
            return self._certify(request, await _document(request))
        if request.method == "POST" and path == "/api/v1/signingCert":
            return self._certify_older(request, await _document(request))
        if request.method == "POST" and path == "/api/v1/log/entries":
            return self._record(await _document(request))
        if request.method == "GET" and path.startswith("/api/v1/log/entries/"):
            return self._entry(path.rpartition("/")[2])
        if request.method == "GET" and path == "/token":
            return JSONResponse({"value": self.token(dict(request.query_params))})
        if request.method == "GET" and path == "/trusted_root.json":
            return JSONResponse(self.trusted_root())
        if request.method == "GET" and path == "/signing_config.json":
            return JSONResponse(self.signing_config())
        raise Refusal(404, "NOT_FOUND", "there is no such route")

    # Keys, made at the first use.

    @cached_property
    def _authority(self) -> tuple[EllipticCurvePrivateKey, x509.Certificate]:
        from cryptography import x509
        from cryptography.hazmat.primitives.hashes import SHA256

        key = _new_key()
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "publish sandbox")])
        builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(self._clock() - timedelta(days=365)).not_valid_after(
            self._clock() + timedelta(days=365)
        )
        for extension in (
            x509.BasicConstraints(ca=True, path_length=0),
            _usage(certificates=True),
            x509.SubjectKeyIdentifier.from_public_key(key.public_key()),
        ):
            builder = builder.add_extension(extension, critical=not isinstance(extension, x509.SubjectKeyIdentifier))
        return key, builder.sign(key, SHA256())

    @cached_property
    def _certificate_log(self) -> EllipticCurvePrivateKey:
        return _new_key()

    @cached_property
    def _log(self) -> EllipticCurvePrivateKey:
        return _new_key()

    # The token service.

    def token(self, job: dict[str, str]) -> str:
        """A job's identity; nobody checks it but this sandbox, which takes any. job: repository, ref, sha and more."""
        repository, ref = job.get("repository", "sandbox/sample"), job.get("ref", "refs/heads/main")
        workflow = f"{repository}/.github/workflows/release.yml@{ref}"
        claims = {
            "iss": ISSUER, "aud": job.get("audience", ""), "sub": f"repo:{repository}:ref:{ref}",
            "repository": repository, "ref": ref, "sha": job.get("sha", ""), "workflow_ref": workflow,
            "job_workflow_ref": workflow, "event_name": "push", "run_id": "1", "run_attempt": "1",
            "repository_id": "1", "repository_owner_id": "1", "runner_environment": "github-hosted",
            "exp": int(self._clock().timestamp()) + 600, "iat": int(self._clock().timestamp()),
        }  # fmt: skip
        parts = ({"alg": "RS256", "typ": "JWT"}, claims | {key: job[key] for key in ("iss", "email") if key in job})
        return ".".join([*(_url_safe(json.dumps(part).encode()) for part in parts), _url_safe(_UNCHECKED)])

    # Fulcio.

    def _certify(self, request: Request, document: dict[str, Any]) -> Response:
        from cryptography import x509

        claims = _claims(request.headers.get("authorization", ""), self._clock().timestamp())
        try:
            raw = base64.b64decode(document["certificateSigningRequest"])
            signing_request = x509.load_pem_x509_csr(raw)
        except (KeyError, ValueError, TypeError) as error:
            raise Refusal(400, "UNKNOWN", "there is no certificate signing request") from error
        if not signing_request.is_signature_valid:
            raise Refusal(400, "UNKNOWN", "the request isn't signed by its own key")
        chain = self._chain(signing_request.public_key(), claims)
        return JSONResponse({"signedCertificateEmbeddedSct": {"chain": {"certificates": chain}}}, 200)

    def _certify_older(self, request: Request, document: dict[str, Any]) -> Response:
        """Fulcio 1, which cosign 2 speaks: the key itself, and the token's subject signed by it."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.serialization import load_pem_public_key

        claims = _claims(request.headers.get("authorization", ""), self._clock().timestamp())
        try:
            key: Any = load_pem_public_key(base64.b64decode(document["publicKey"]["content"]))
            proof = base64.b64decode(document["signedEmailAddress"])
            key.verify(proof, str(claims.get("email") or claims["sub"]).encode(), ec.ECDSA(SHA256()))
        except (KeyError, ValueError, TypeError, AttributeError, InvalidSignature) as error:
            raise Refusal(400, "UNKNOWN", "the key doesn't prove that it is its owner's") from error
        return Response("".join(self._chain(key, claims)), 201, media_type="application/pem-certificate-chain")

    def _chain(self, public: Any, claims: dict[str, Any]) -> list[str]:
        """A new certificate, and its authority's."""
        from cryptography.hazmat.primitives.serialization import Encoding

        leaf = self._leaf(public, claims)
        return [one.public_bytes(Encoding.PEM).decode() for one in (leaf, self._authority[1])]

    def _leaf(self, public: Any, claims: dict[str, Any]) -> x509.Certificate:
        """Signed twice: the log of certificates vouches for the first, without its word in it."""
        from cryptography import x509
        from cryptography.hazmat.primitives.hashes import SHA256

        key, authority = self._authority
        now = self._clock().replace(microsecond=0)
        builder = x509.CertificateBuilder(authority.subject, x509.Name([]), public, x509.random_serial_number())
        builder = builder.not_valid_before(now).not_valid_after(now + _LIFE)
        for extension, critical in self._extensions(public, claims):
            builder = builder.add_extension(extension, critical=critical)
        first = builder.sign(key, SHA256())
        scts = x509.UnrecognizedExtension(x509.ObjectIdentifier(_SCTS), self._vouch(first.tbs_certificate_bytes))
        return builder.add_extension(scts, critical=False).sign(key, SHA256())

    def _extensions(self, public: Any, claims: dict[str, Any]) -> list[tuple[Any, bool]]:
        from cryptography import x509
        from cryptography.x509.oid import ExtendedKeyUsageOID

        authority = self._authority[1]
        identifier = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        builder = f"https://github.com/{claims['job_workflow_ref']}" if "job_workflow_ref" in claims else ""
        email = claims.get("email")
        name = x509.RFC822Name(email) if email else x509.UniformResourceIdentifier(builder)
        values = {**claims, "builder": builder, "source": f"https://github.com/{claims.get('repository', '')}"}
        extensions = {number: str(values[key]) for number, key in _EXTENSIONS.items() if values.get(key)}
        if email:
            extensions = {8: extensions[8]}
        # cosign 2 still reads the issuer where it first stood, as plain text.
        older = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1"), str(claims["iss"]).encode())
        return [
            (older, False),
            (_usage(certificates=False), True),
            (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), False),
            (x509.SubjectKeyIdentifier.from_public_key(public), False),
            (x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), False),
            (x509.SubjectAlternativeName([name]), True),
            *(
                (x509.UnrecognizedExtension(x509.ObjectIdentifier(f"1.3.6.1.4.1.57264.1.{number}"), _utf8(text)), False)
                for number, text in extensions.items()
            ),
        ]

    def _vouch(self, unsigned: bytes) -> bytes:
        """A list of one signed certificate timestamp. Source: RFC 6962, 3.2 and 3.3."""
        stamp = struct.pack(">Q", int(self._clock().timestamp() * 1000))
        issuer = hashlib.sha256(_spki(self._authority[0])).digest()
        length = len(unsigned).to_bytes(3)
        signature = _signed(self._certificate_log, b"\0\0" + stamp + b"\0\1" + issuer + length + unsigned + b"\0\0")
        log = hashlib.sha256(_spki(self._certificate_log)).digest()
        one = b"\0" + log + stamp + b"\0\0" + b"\4\3" + struct.pack(">H", len(signature)) + signature
        whole = struct.pack(">H", len(one) + 2) + struct.pack(">H", len(one)) + one
        return b"\4" + _length(len(whole)) + whole

    # Rekor.

    def _record(self, document: dict[str, Any]) -> Response:
        body = _canonical_body(document)
        uuid = hashlib.sha256(b"\0" + body).hexdigest()
        with self._lock:
            if uuid in self._entries:
                location = {"Location": f"{PREFIX}/api/v1/log/entries/{uuid}"}
                return JSONResponse({"code": 409, "message": "an equivalent entry already exists"}, 409, location)
            self._entries[uuid] = self._logged(body, uuid, len(self._entries))
        return JSONResponse({uuid: self._entries[uuid]}, 201)

    def _entry(self, uuid: str) -> Response:
        if uuid not in self._entries:
            raise Refusal(404, "NOT_FOUND", "there is no such entry")
        return JSONResponse({uuid: self._entries[uuid]})

    def _logged(self, body: bytes, root: str, index: int) -> dict[str, Any]:
        log = hashlib.sha256(_spki(self._log)).digest()
        entry: dict[str, Any] = {
            "body": base64.b64encode(body).decode(),
            "integratedTime": int(self._clock().timestamp()),
            "logID": log.hex(),
            "logIndex": index,
        }
        promise = _signed(self._log, json.dumps(entry, sort_keys=True, separators=(",", ":")).encode())
        note = f"publish.sandbox - 1\n1\n{base64.b64encode(bytes.fromhex(root)).decode()}\n"
        signature = base64.b64encode(log[:4] + _signed(self._log, note.encode())).decode()
        proof = {
            "checkpoint": f"{note}\n\N{EM DASH} publish.sandbox {signature}\n",
            "hashes": [], "logIndex": 0, "rootHash": root, "treeSize": 1,
        }  # fmt: skip
        stamp = base64.b64encode(promise).decode()
        return {**entry, "verification": {"inclusionProof": proof, "signedEntryTimestamp": stamp}}

    # What clients trust.

    def trusted_root(self) -> dict[str, Any]:
        """The sandbox's root, as sigstore's clients read it."""
        from cryptography.hazmat.primitives.serialization import Encoding

        raw = base64.b64encode(self._authority[1].public_bytes(Encoding.DER)).decode()
        authority = {
            "subject": {"organization": "publish", "commonName": "publish sandbox"},
            "uri": self._url,
            "certChain": {"certificates": [{"rawBytes": raw}]},
            "validFor": _START,
        }
        return {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [self._trusted_log(self._log)],
            "certificateAuthorities": [authority],
            "ctlogs": [self._trusted_log(self._certificate_log)],
        }

    def _trusted_log(self, key: EllipticCurvePrivateKey) -> dict[str, Any]:
        spki = _spki(key)
        public = {
            "rawBytes": base64.b64encode(spki).decode(),
            "keyDetails": "PKIX_ECDSA_P256_SHA_256",
            "validFor": _START,
        }
        identifier = {"keyId": base64.b64encode(hashlib.sha256(spki).digest()).decode()}
        return {"baseUrl": self._url, "hashAlgorithm": "SHA2_256", "publicKey": public, "logId": identifier}

    def signing_config(self) -> dict[str, Any]:
        """Where the services are."""
        service = {"url": self._url, "majorApiVersion": 1, "validFor": _START, "operator": "publish sandbox"}
        return {
            "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
            "caUrls": [service],
            "rekorTlogUrls": [service],
            "rekorTlogConfig": {"selector": "ANY"},
        }


async def _document(request: Request) -> dict[str, Any]:
    try:
        document = json.loads(await read_whole(request, _LARGEST))
    except ValueError as error:
        raise Refusal(400, "UNKNOWN", "the body is no JSON") from error
    if not isinstance(document, dict):
        raise Refusal(400, "UNKNOWN", "the body is no JSON object")
    return document


def _claims(header: str, now: float) -> dict[str, Any]:
    """What a token of this sandbox says."""
    kind, _, token = header.partition(" ")
    parts = token.split(".")
    if kind != "Bearer" or len(parts) != 3 or parts[2] != _url_safe(_UNCHECKED):  # noqa: PLR2004 - a JWT's parts
        raise Refusal(401, "UNAUTHORIZED", "there is no identity token that is this sandbox's")
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    if claims.get("aud") != "sigstore" or claims.get("exp", 0) < now:
        raise Refusal(401, "UNAUTHORIZED", "the identity token is for somebody else, or too old")
    return claims


def _canonical_body(document: dict[str, Any]) -> bytes:
    """What the log keeps. Source: sigstore/rekor, types/dsse/v0.0.1 and types/hashedrekord/v0.0.1."""
    kind = document.get("kind", "dsse")
    try:
        spec = (_signature_spec if kind == "hashedrekord" else _envelope_spec)(document["spec"])
    except (KeyError, TypeError, ValueError) as error:
        raise Refusal(400, "UNKNOWN", "the entry is neither a DSSE envelope nor a file's hash") from error
    body = {"apiVersion": "0.0.1", "kind": kind, "spec": spec}
    return json.dumps(body, sort_keys=True, separators=(",", ":")).encode()


def _envelope_spec(spec: dict[str, Any]) -> dict[str, Any]:
    """Hashes of the envelope, never the envelope."""
    proposed = spec["proposedContent"]
    envelope = json.loads(proposed["envelope"])
    (signature,), (verifier,) = envelope["signatures"], proposed["verifiers"]
    return {
        "envelopeHash": _hash(proposed["envelope"].encode()),
        "payloadHash": _hash(base64.b64decode(envelope["payload"])),
        "signatures": [{"signature": signature["sig"], "verifier": verifier}],
    }


def _signature_spec(spec: dict[str, Any]) -> dict[str, Any]:
    """Of a file its hash."""
    digest, signature = spec["data"]["hash"], spec["signature"]
    return {
        "data": {"hash": {"algorithm": digest["algorithm"], "value": digest["value"]}},
        "signature": {"content": signature["content"], "publicKey": {"content": signature["publicKey"]["content"]}},
    }


def _hash(content: bytes) -> dict[str, str]:
    return {"algorithm": "sha256", "value": hashlib.sha256(content).hexdigest()}


def _new_key() -> EllipticCurvePrivateKey:
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


def _signed(key: EllipticCurvePrivateKey, content: bytes) -> bytes:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.hashes import SHA256

    return key.sign(content, ec.ECDSA(SHA256()))


def _spki(key: EllipticCurvePrivateKey) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _usage(*, certificates: bool) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certificates,
        crl_sign=certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _utf8(text: str) -> bytes:
    raw = text.encode()
    return b"\x0c" + _length(len(raw)) + raw


def _length(size: int) -> bytes:
    """DER's."""
    if size < 0x80:  # noqa: PLR2004 - the short form
        return bytes([size])
    raw = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes([0x80 | len(raw)]) + raw


def _url_safe(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
