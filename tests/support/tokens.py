"""A token service, as registries with token authentication have one beside them."""

from __future__ import annotations

import base64
import json
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qs, urlsplit

import trustme
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.support.registry import SECRET, USER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey


@dataclass(frozen=True)
class TokenService:
    """A running service: `realm` is its address, `bundle` the certificate that a registry trusts it by.

    It grants USER with SECRET all that is asked, anybody else `pull`; `asked` are the scopes of each request.
    """

    realm: str
    bundle: Path
    asked: list[list[str]]
    service = "test-registry"
    issuer = "test-issuer"


@contextmanager
def run_token_service(folder: Path) -> Iterator[TokenService]:
    """Start one; its key is made anew."""
    folder.mkdir(parents=True, exist_ok=True)
    authority = trustme.CA(key_type=trustme.KeyType.RSA)
    certificate = authority.issue_cert("127.0.0.1", key_type=trustme.KeyType.RSA)
    bundle = folder / "bundle.pem"
    authority.cert_pem.write_to_path(str(bundle))
    server = _Server(certificate)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield TokenService(f"http://127.0.0.1:{server.server_port}/token", bundle, server.asked)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(ThreadingHTTPServer):
    def __init__(self, certificate: trustme.LeafCert) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[list[str]] = []
        self._key = cast("RSAPrivateKey", load_pem_private_key(certificate.private_key_pem.bytes(), None))
        lines = certificate.cert_chain_pems[0].bytes().decode().splitlines()
        self._header = {"typ": "JWT", "alg": "RS256", "x5c": ["".join(lines[1:-1])]}

    def sign(self, claims: dict[str, Any]) -> str:
        """A JSON web token."""
        signed = b".".join(_encoded(json.dumps(part).encode()) for part in (self._header, claims))
        return b".".join([signed, _encoded(self._key.sign(signed, PKCS1v15(), SHA256()))]).decode()


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        given = self.headers.get("Authorization")
        if given not in {None, "Basic " + base64.b64encode(f"{USER}:{SECRET}".encode()).decode()}:
            self._answer(401, {"errors": [{"code": "UNAUTHORIZED", "message": "incorrect username or password"}]})
            return
        scopes = " ".join(parse_qs(urlsplit(self.path).query).get("scope", [])).split()
        self.server.asked.append(scopes)
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
        access = [_access(scope, everything=given is not None) for scope in scopes]
        self._answer(200, {"token": self.server.sign({**claims, "access": access}), "expires_in": 300})

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in http.server
        pass

    def _answer(self, status: int, document: dict[str, Any]) -> None:
        content = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def _access(scope: str, *, everything: bool) -> dict[str, object]:
    kind, _, rest = scope.partition(":")
    name, _, actions = rest.rpartition(":")
    granted = [action for action in actions.split(",") if everything or action == "pull"]
    return {"type": kind, "name": name, "actions": granted}


def _encoded(content: bytes) -> bytes:
    return base64.urlsafe_b64encode(content).rstrip(b"=")
