"""A token service, as registries with token authentication have one beside them."""

from __future__ import annotations

import base64
import json
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qs, urlsplit

import trustme
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.support.http_server import Answer, serve
from tests.support.registry import SECRET, USER, TokenService

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    from tests.support.http_server import ServerRequest


@contextmanager
def run_token_service(folder: Path) -> Iterator[TokenService]:
    """Start one; its key is made anew."""
    folder.mkdir(parents=True, exist_ok=True)
    authority = trustme.CA(key_type=trustme.KeyType.RSA)
    issuer = _Issuer(authority.issue_cert("127.0.0.1", key_type=trustme.KeyType.RSA))
    bundle = folder / "bundle.pem"
    authority.cert_pem.write_to_path(str(bundle))
    with serve(issuer.answer) as server:
        yield TokenService(f"{server.url}/token", bundle, issuer.scopes)


class _Issuer:
    """Signs tokens."""

    def __init__(self, certificate: trustme.LeafCert) -> None:
        self.scopes: list[list[str]] = []
        self._key = cast("RSAPrivateKey", load_pem_private_key(certificate.private_key_pem.bytes(), None))
        lines = certificate.cert_chain_pems[0].bytes().decode().splitlines()
        self._header = {"typ": "JWT", "alg": "RS256", "x5c": ["".join(lines[1:-1])]}

    def _sign(self, claims: dict[str, Any]) -> str:
        """A JSON web token."""
        content = b".".join(_base64(json.dumps(part).encode()) for part in (self._header, claims))
        return b".".join([content, _base64(self._key.sign(content, PKCS1v15(), SHA256()))]).decode()

    def answer(self, request: ServerRequest) -> Answer | None:
        address = urlsplit(request.path)
        if (request.method, address.path) != ("GET", "/token"):
            return None
        login = request.headers.get("Authorization")
        if login not in {None, "Basic " + base64.b64encode(f"{USER}:{SECRET}".encode()).decode()}:
            return _json(401, {"errors": [{"code": "UNAUTHORIZED", "message": "incorrect username or password"}]})
        scopes = " ".join(parse_qs(address.query).get("scope", [])).split()
        self.scopes.append(scopes)
        now = int(time.time())
        claims = {
            "iss": TokenService.issuer,
            "aud": TokenService.service,
            "sub": USER,
            "nbf": now - 10,
            "iat": now,
            "exp": now + 300,
            "jti": "1",
        }
        access = [_access(scope, everything=login is not None) for scope in scopes]
        return _json(200, {"token": self._sign({**claims, "access": access}), "expires_in": 300})


def _json(status: int, document: dict[str, Any]) -> Answer:
    return Answer(status, {"Content-Type": "application/json"}, json.dumps(document).encode())


def _access(scope: str, *, everything: bool) -> dict[str, object]:
    kind, _, rest = scope.partition(":")
    name, _, actions = rest.rpartition(":")
    granted = [action for action in actions.split(",") if everything or action == "pull"]
    return {"type": kind, "name": name, "actions": granted}


def _base64(content: bytes) -> bytes:
    return base64.urlsafe_b64encode(content).rstrip(b"=")
