"""What cosign 2.5 and 3.1 wrote about one image, as bytes, and keys of every kind; nobody else uses these keys."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from publisher.attest.keys import PublicKey, SigningKey, read_public_key, read_signing_key
from publisher.model.digest import Digest

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

DATA = Path(__file__).parents[1] / "data" / "attest"
DIGEST = Digest.parse((DATA / "digest").read_text().strip())
PASSWORD = b"fixture"
KINDS = ("P-256", "P-384", "Ed25519", "RSA-3072")


def read_fixture(name: str) -> bytes:
    """A file that cosign wrote."""
    return (DATA / name).read_bytes()


def cosign_key(folder: str) -> SigningKey:
    """The key pair that cosign made."""
    return read_signing_key(read_fixture(f"{folder}/cosign.key"), "cosign.key", lambda: PASSWORD)


def cosign_public(folder: str) -> PublicKey:
    """Its public half, as cosign wrote it."""
    return read_public_key(read_fixture(f"{folder}/cosign.pub"), "cosign.pub", lambda: None)


def new_key(kind: str = "P-256") -> PrivateKeyTypes:
    """A new private key."""
    if kind == "Ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    if kind.startswith("RSA-"):
        return rsa.generate_private_key(65537, int(kind.removeprefix("RSA-")))
    curves: dict[str, ec.EllipticCurve] = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "K-256": ec.SECP256K1()}
    return ec.generate_private_key(curves[kind])


def private_pem(key: PrivateKeyTypes, password: bytes | None = None) -> bytes:
    """As PKCS#8, encrypted where there is a password."""
    protection = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protection)


def public_pem(key: PrivateKeyTypes) -> bytes:
    """The public half."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def payload_of(bundle: bytes) -> dict[str, Any]:
    """The statement in a bundle."""
    document: dict[str, Any] = json.loads(base64.b64decode(json.loads(bundle)["dsseEnvelope"]["payload"]))
    return document


def hint_of(key: PublicKey) -> str:
    """What cosign writes about a key."""
    return base64.b64encode(hashlib.sha256(key.der).digest()).decode()
