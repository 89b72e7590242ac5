"""Keys that sign and check: PKCS#8 in PEM, plain or encrypted, and cosign's own encrypted form."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any, Final

from publisher.model.errors import BadManifest, ConfigError, Denied
from publisher.model.manifest import read_document
from publisher.model.value import Value

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes

LARGEST: Final = 64 << 10
_SHORTEST_RSA: Final = 2048
# The file is input: what it asks of scrypt is bounded before anything is computed.
_SCRYPT_LIMITS: Final = {"N": 1 << 20, "r": 16, "p": 4}
_SCRYPT_MEMORY: Final = 1 << 30
_COSIGN: Final = ("ENCRYPTED SIGSTORE PRIVATE KEY", "ENCRYPTED COSIGN PRIVATE KEY")
_SERVICES: Final = ("awskms://", "gcpkms://", "azurekms://", "hashivault://", "k8s://", "pkcs11:", "openbao://")


class PublicKey(Value, frozen=True):
    """A key that checks signatures. `der` is its SubjectPublicKeyInfo."""

    der: bytes

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the key, as bundles hint at it."""
        return base64.b64encode(hashlib.sha256(self.der).digest()).decode()

    def verifies(self, signature: bytes, content: bytes) -> bool:
        """Whether the key's owner has signed `content`."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.serialization import load_der_public_key

        try:
            _check(load_der_public_key(self.der), signature, content)
        except InvalidSignature:
            return False
        return True

    def __str__(self) -> str:
        return f"the key sha256:{hashlib.sha256(self.der).hexdigest()[:12]}"


class SigningKey:
    """A key that signs; it never shows itself."""

    def __init__(self, key: PrivateKeyTypes) -> None:
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        self._key: Any = key
        public = key.public_key()
        _refuse_weak(public)
        self.public = PublicKey(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))

    def sign(self, content: bytes) -> bytes:
        """ECDSA in DER and RSA PKCS#1 v1.5 over SHA-256; Ed25519 over the content."""
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding
        from cryptography.hazmat.primitives.hashes import SHA256

        key = self._key
        if isinstance(key, ed25519.Ed25519PrivateKey):
            return key.sign(content)
        if isinstance(key, ec.EllipticCurvePrivateKey):
            return key.sign(content, ec.ECDSA(SHA256()))
        signature: bytes = key.sign(content, padding.PKCS1v15(), SHA256())
        return signature


def _check(key: PublicKeyTypes, signature: bytes, content: bytes) -> None:
    """Raises cryptography's InvalidSignature."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
    from cryptography.hazmat.primitives.hashes import SHA256

    if isinstance(key, ed25519.Ed25519PublicKey):
        key.verify(signature, content)
    elif isinstance(key, ec.EllipticCurvePublicKey):
        key.verify(signature, content, ec.ECDSA(SHA256()))
    elif isinstance(key, rsa.RSAPublicKey):
        key.verify(signature, content, padding.PKCS1v15(), SHA256())


def _refuse_weak(key: PublicKeyTypes) -> None:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if isinstance(key, rsa.RSAPublicKey) and key.key_size >= _SHORTEST_RSA:
        return
    if isinstance(key, ed25519.Ed25519PublicKey):
        return
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1 | ec.SECP521R1):
        return
    raise ConfigError(
        "the key is of a kind that verifiers of images don't take",
        hint="take P-256, P-384, Ed25519 or RSA of 2048 bits or more; 'cosign generate-key-pair' makes one",
    )


def refuse_services(name: str) -> None:
    """Raise ConfigError for the address of a key service."""
    if name.startswith(_SERVICES):
        raise ConfigError(
            f"'{name.partition(':')[0]}' keys stay in a service, which publish can't ask to sign",
            reference=name,
            hint="name a key file, or env://NAME; in CI --sign takes the job's own identity, without any key",
        )


def read_public_key(content: bytes, name: str, password: Callable[[], bytes | None]) -> PublicKey:
    """Read a public key, or a private one's public half; `name` is what messages call it."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

    if _label(content) != "PUBLIC KEY":
        return read_signing_key(content, name, password).public
    try:
        key = load_pem_public_key(content)
    except ValueError as error:
        raise _unreadable(name) from error
    _refuse_weak(key)
    return PublicKey(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def read_signing_key(content: bytes, name: str, password: Callable[[], bytes | None]) -> SigningKey:
    """Open a private key. password: asked only where the key is encrypted; None where nobody knows it."""
    label = _label(content)
    _refuse_label(label, name)
    if label in _COSIGN:
        return _load(_decrypt(content, name, _known(password, name)), name, None, der=True)
    encrypted = label == "ENCRYPTED PRIVATE KEY" or b"Proc-Type: 4,ENCRYPTED" in content
    return _load(content, name, _known(password, name) if encrypted else None)


def _label(content: bytes) -> str:
    head = content.partition(b"-----BEGIN ")[2].partition(b"-----")[0]
    return head.decode("ascii", "replace") if len(content) <= LARGEST else ""


def _refuse_label(label: str, name: str) -> None:
    if label == "PUBLIC KEY":
        raise ConfigError(f"{name} is a public key: it checks signatures and makes none", reference=name)
    if label == "OPENSSH PRIVATE KEY":
        hint = "ssh-keygen -p -m PKCS8 -f COPY turns a copy of it into one that can be read"
        raise ConfigError(f"{name} is an OpenSSH key, which verifiers of images don't take", reference=name, hint=hint)
    if not label.endswith("PRIVATE KEY"):
        raise _unreadable(name)


def _unreadable(name: str) -> ConfigError:
    hint = "it takes a PEM file: PKCS#8, or what 'cosign generate-key-pair' writes"
    return ConfigError(f"{name} is not a key that can be read", reference=name, hint=hint)


def _known(password: Callable[[], bytes | None], name: str) -> bytes:
    known = password()
    if known is None:
        raise Denied(f"{name} is encrypted, and nobody gave its password", reference=name, hint="set COSIGN_PASSWORD")
    return known


def _wrong(name: str) -> Denied:
    return Denied(f"the password doesn't open {name}", reference=name, hint="COSIGN_PASSWORD must be the key's own")


def _load(content: bytes, name: str, password: bytes | None, *, der: bool = False) -> SigningKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_der_private_key, load_pem_private_key

    try:
        key = load_der_private_key(content, None) if der else load_pem_private_key(content, password)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # The library's words may quote the key.
        raise (_wrong(name) if password is not None else _unreadable(name)) from None
    return SigningKey(key)


def _decrypt(content: bytes, name: str, password: bytes) -> bytes:
    """Open cosign's box: scrypt, then XSalsa20 and Poly1305.

    Source: secure-systems-lab/go-securesystemslib, "encrypted".
    """
    from nacl.exceptions import CryptoError
    from nacl.secret import SecretBox

    try:
        body = b"".join(content.partition(b"-----BEGIN ")[2].split(b"-----")[1].split())
        document = read_document(base64.b64decode(body, validate=True), largest=LARGEST)
        secret = _derive(document["kdf"], password)
        cipher = document["cipher"]
        nonce, box = base64.b64decode(cipher["nonce"]), base64.b64decode(document["ciphertext"])
        return SecretBox(secret).decrypt(box, nonce)
    except CryptoError:
        raise _wrong(name) from None
    except (BadManifest, ValueError, KeyError, TypeError, IndexError):
        raise _unreadable(name) from None


def _derive(derivation: dict[str, Any], password: bytes) -> bytes:
    cost = {key: derivation["params"][key] for key in _SCRYPT_LIMITS}
    if derivation["name"] != "scrypt" or not all(
        type(cost[key]) is int and 0 < cost[key] <= most for key, most in _SCRYPT_LIMITS.items()
    ):
        raise ValueError
    salt = base64.b64decode(derivation["salt"])
    memory = min(_SCRYPT_MEMORY, 256 * cost["N"] * cost["r"] * cost["p"] + (1 << 20))
    return hashlib.scrypt(password, salt=salt, n=cost["N"], r=cost["r"], p=cost["p"], dklen=32, maxmem=memory)
