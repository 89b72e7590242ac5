"""A real registry (CNCF distribution) on a port of its own."""

from __future__ import annotations

import re
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import trustme

from tests.support.order import LoggedRequest
from tests.support.process import end, free_port, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

USER, SECRET = "captain", "correct-horse-battery"
_LINE = re.compile(r'"(?P<method>[A-Z]+) (?P<path>\S+) HTTP/1\.[01]" (?P<status>\d+)')


@dataclass(frozen=True)
class RegistryProcess:
    """A running registry: `host` is host:port."""

    host: str
    log: Path

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://{self.host}"

    def requests(self) -> list[LoggedRequest]:
        """Its requests so far; its log is written a moment after the answer."""
        time.sleep(0.1)
        lines = _LINE.finditer(self.log.read_text())
        return [LoggedRequest(match["method"], match["path"], int(match["status"])) for match in lines]


@dataclass(frozen=True)
class TokenService:
    """A running token service: `realm` is its address, `bundle` the certificate that a registry trusts it by.

    It grants USER with SECRET every scope, anybody else `pull`; `scopes` are those of each request.
    """

    realm: str
    bundle: Path
    scopes: list[list[str]]
    service = "test-registry"
    issuer = "test-issuer"


@contextmanager
def run_registry(
    folder: Path,
    *,
    htpasswd: bool = False,
    tls: bool = False,
    tokens: TokenService | None = None,
    program: str = "docker-registry",
) -> Iterator[RegistryProcess]:
    """Start a registry that stores in `folder`; with `htpasswd` it wants USER and SECRET, with `tokens` its tokens.

    With `tls` it speaks HTTPS only, by the authority in `folder/ca.pem`. program: the system's, if no other is named.
    """
    folder.mkdir(parents=True, exist_ok=True)
    host = f"127.0.0.1:{free_port()}"
    lines = [
        "version: 0.1",
        "log: {level: error, accesslog: {disabled: false}}",
        f"storage: {{filesystem: {{rootdirectory: {folder / 'data'}}}, delete: {{enabled: true}}}}",
        f"http: {{addr: '{host}'{_tls(folder) if tls else ''}}}",
    ]
    if htpasswd:
        users = subprocess.run(["htpasswd", "-nbB", USER, SECRET], capture_output=True, text=True, check=True).stdout
        (folder / "users").write_text(users)
        lines.append(f"auth: {{htpasswd: {{realm: test, path: {folder / 'users'}}}}}")
    if tokens:
        names = f"realm: '{tokens.realm}', service: {tokens.service}, issuer: {tokens.issuer}"
        lines.append(f"auth: {{token: {{{names}, rootcertbundle: {tokens.bundle}}}}}")
    (folder / "config.yml").write_text("\n".join(lines) + "\n")
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen([program, "serve", str(folder / "config.yml")], stdout=output, stderr=output)
    try:
        wait_until(lambda: _answers(f"http://{host}/v2/"), seconds=20, what="docker-registry")
        yield RegistryProcess(host, log)
    finally:
        end(process)


def _tls(folder: Path) -> str:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    certificate.cert_chain_pems[0].write_to_path(str(folder / "server.pem"))
    certificate.private_key_pem.write_to_path(str(folder / "server.key"))
    return f", tls: {{certificate: {folder / 'server.pem'}, key: {folder / 'server.key'}}}"


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except urllib.error.HTTPError as error:
        error.close()
        return True
    except OSError:
        return False
