"""Keys: every form opens, every wrong one is told apart, and none shows itself."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from publisher.attest.keys import SigningKey, read_public_key, read_signing_key, refuse_services
from publisher.model.errors import ConfigError, Denied, PublishError
from tests.support.attest import (
    KINDS,
    PASSWORD,
    cosign_key,
    cosign_public,
    new_key,
    private_pem,
    public_pem,
    read_fixture,
)

if TYPE_CHECKING:
    from typing import Any


def ask_nobody() -> bytes | None:
    """Where a password must not be needed."""
    raise AssertionError


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("password", [None, b"correct horse"], ids=["plain", "encrypted"])
def test_every_kind_of_pkcs8_signs_and_checks(kind: str, password: bytes | None) -> None:
    """And another key's signature, or another content's, doesn't hold."""
    key = new_key(kind)
    opened = read_signing_key(private_pem(key, password), "k", (lambda: password) if password else ask_nobody)
    public = read_public_key(public_pem(key), "p", ask_nobody)
    assert opened.public == public
    signature = opened.sign(b"content")
    assert public.verifies(signature, b"content")
    assert not public.verifies(signature, b"contend")
    assert not public.verifies(signature[:-1], b"content")
    assert not SigningKey(new_key(kind)).public.verifies(signature, b"content")


@pytest.mark.parametrize("folder", ["cosign2", "cosign3", "ed25519"])
def test_cosigns_own_keys_open(folder: str) -> None:
    """Made by cosign 2.5 and 3.1, and an Ed25519 key that it took in."""
    assert cosign_key(folder).public == cosign_public(folder)
    half = read_public_key(read_fixture(f"{folder}/cosign.key"), "cosign.key", lambda: PASSWORD)
    assert half == cosign_public(folder)


def test_the_older_label_opens_too() -> None:
    """Keys that cosign 1 made."""
    old = read_fixture("cosign2/cosign.key").replace(b"SIGSTORE", b"COSIGN")
    assert read_signing_key(old, "k", lambda: PASSWORD).public == cosign_public("cosign2")


@pytest.mark.parametrize("content", [read_fixture("cosign2/cosign.key"), private_pem(new_key(), b"right")])
def test_a_wrong_password_is_told_apart_from_a_bad_file(content: bytes) -> None:
    """And from none at all: all three are said."""
    with pytest.raises(Denied, match="the password doesn't open k"):
        read_signing_key(content, "k", lambda: b"wrong")
    with pytest.raises(Denied, match="nobody gave its password"):
        read_signing_key(content, "k", lambda: None)


SSH = new_key("Ed25519").private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (public_pem(new_key()), "is a public key"),
        (SSH, "is an OpenSSH key"),
        (b"", "is not a key that can be read"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "is not a key that can be read"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "is not a key that can be read"),
        (b"x" * 70_000 + private_pem(new_key()), "is not a key that can be read"),
        (private_pem(new_key("K-256")), "of a kind that verifiers of images don't take"),
        (private_pem(new_key("RSA-1024")), "of a kind that verifiers of images don't take"),
    ],
)
def test_what_signs_nothing_is_refused(content: bytes, said: str) -> None:
    """Exit 2, and the sentence says which it is."""
    with pytest.raises(ConfigError, match=said):
        read_signing_key(content, "k", ask_nobody)


def boxed(change: dict[str, Any]) -> bytes:
    """cosign's key with something else in it."""
    body = b"".join(read_fixture("cosign2/cosign.key").splitlines()[1:-1])
    document = json.loads(base64.b64decode(body))
    for path, value in change.items():
        inner = document
        *parents, last = path.split(".")
        for parent in parents:
            inner = inner[parent]
        inner[last] = value
    text = base64.b64encode(json.dumps(document).encode())
    return (
        b"-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n" + text + b"\n-----END ENCRYPTED SIGSTORE PRIVATE KEY-----\n"
    )


@pytest.mark.parametrize(
    "change",
    [
        {"kdf.params.N": 1 << 30},
        {"kdf.params.N": -1},
        {"kdf.params.N": 65537},
        {"kdf.params.N": "65536"},
        {"kdf.params.r": 1 << 20},
        {"kdf.params.p": 1000},
        {"kdf.name": "pbkdf2"},
        {"kdf": None},
        {"cipher.nonce": "AAAA"},
        {"cipher": 7},
        {"ciphertext": 7},
    ],
)
def test_a_key_file_asks_for_no_more_than_is_bounded(change: dict[str, Any]) -> None:
    """The file is input: what it asks of scrypt, and all else in it."""
    with pytest.raises(PublishError):
        read_signing_key(boxed(change), "k", lambda: PASSWORD)


def test_errors_never_hold_the_key() -> None:
    """Not in the message, not in the chain of causes."""
    secret = private_pem(new_key())
    broken = secret.replace(secret.splitlines()[1][:4], b"AAAA")
    with pytest.raises(ConfigError) as raised:
        read_signing_key(broken, "k", ask_nobody)
    error: BaseException | None = raised.value
    while error is not None:
        assert not any(line.decode() in repr(error) + str(error) for line in secret.splitlines()[1:-1])
        error = error.__cause__
    assert "EC PRIVATE" not in repr(SigningKey(new_key()))


@pytest.mark.parametrize("name", ["awskms:///alias/x", "gcpkms://projects/x", "hashivault://x", "k8s://x/y"])
def test_keys_in_services_are_named_as_what_they_are(name: str) -> None:
    """With the way that works."""
    with pytest.raises(ConfigError, match="keys stay in a service") as raised:
        refuse_services(name)
    assert "env://NAME" in str(raised.value.hint)
