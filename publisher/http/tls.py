"""How one host is reached: certificates, and whether it may be trusted without."""

from __future__ import annotations

import os
import ssl
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Self

import certifi

from publisher.model.errors import ConfigError
from publisher.model.value import Value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from publisher.model.settings import RegistrySettings

_NEVER_INSECURE = frozenset(
    {"docker.io", "index.docker.io", "registry-1.docker.io", "auth.docker.io", "hub.docker.com"}
)
# Where docker's engine looks; read so that a registry set up for docker works here too.
_CERTS_D = Path("/etc/docker/certs.d")


class HostSettings(Value, frozen=True):
    """How to reach one host. Paths are absolute; a `ca_bundle` that is a directory adds its *.crt to the usual ones."""

    insecure: bool = False
    ca_bundle: Path | None = None
    client_cert: Path | None = None
    client_key: Path | None = None
    trusted_realms: frozenset[str] = frozenset()

    @property
    def speaks_tls(self) -> bool:
        """Whether certificates are set up, so that plain HTTP is out of the question."""
        return self.ca_bundle is not None or self.client_cert is not None

    def context(self) -> ssl.SSLContext:
        """Whom to trust, and who we are; raises ConfigError for files that can't be read as certificates."""
        context = ssl.create_default_context() if self.insecure else self._verifying_context()
        # Nobody needs it, and whoever answers could become somebody else in mid-connection.
        context.options |= ssl.OP_NO_RENEGOTIATION
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.client_cert:
            with _certificate_errors(self.client_cert):
                # The empty password makes an encrypted key an error here; OpenSSL would ask on the terminal.
                context.load_cert_chain(self.client_cert, self.client_key, password="")
        return context

    def _verifying_context(self) -> ssl.SSLContext:
        own = self.ca_bundle
        usual = os.environ.get("SSL_CERT_FILE") or os.environ.get("REQUESTS_CA_BUNDLE") or certifi.where()
        is_addition = own is not None and own.is_dir()
        bundle = Path(usual) if own is None or is_addition else own
        with _certificate_errors(bundle):
            context = _context_with(bundle)
        for path in sorted(own.glob("*.crt")) if own is not None and is_addition else ():
            with _certificate_errors(path):
                context.load_verify_locations(path)
        return context

    @classmethod
    def gather(cls, host: str, table: RegistrySettings | None, folder: Path, certs_d: Path = _CERTS_D) -> Self:
        """What the configuration and docker's certs.d say of `host`; raises ConfigError for a file that is missing."""
        if table is not None and table.insecure and host.lower().partition(":")[0] in _NEVER_INSECURE:
            raise ConfigError(f'[registry."{host}"] insecure = true is never allowed for Docker Hub', reference=host)
        docker = cls._from_docker(certs_d / host)
        if table is None:
            return docker
        return cls(
            table.insecure,
            _file(table.ca_bundle, folder, host) or docker.ca_bundle,
            _file(table.client_cert, folder, host) or docker.client_cert,
            _file(table.client_key, folder, host) or docker.client_key,
            frozenset(table.trusted_realms),
        )

    @classmethod
    def _from_docker(cls, directory: Path) -> Self:
        if not directory.is_dir():
            return cls()
        bundle = directory if any(directory.glob("*.crt")) else None
        certificate = next(iter(sorted(directory.glob("*.cert"))), None)
        key = certificate.with_suffix(".key") if certificate else None
        if key is not None and not key.is_file():
            raise ConfigError(f"{certificate} has no {key.name} beside it", reference=str(directory))
        return cls(ca_bundle=bundle, client_cert=certificate, client_key=key)


def _file(name: str | None, folder: Path, host: str) -> Path | None:
    if name is None:
        return None
    path = (folder / name).absolute()
    if not path.is_file():
        raise ConfigError(f'[registry."{host}"] names {name}, which is not a file', reference=str(path))
    return path


@contextmanager
def _certificate_errors(path: Path) -> Iterator[None]:
    """Files that can't be read as certificates are errors of the configuration, named."""
    try:
        yield
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        why = getattr(error, "reason", None) or getattr(error, "strerror", None) or "it isn't PEM"
        raise ConfigError(f"{path} can't be used as a certificate: {why}", reference=str(path)) from None


def _context_with(bundle: Path) -> ssl.SSLContext:
    if bundle.is_dir():
        return ssl.create_default_context(capath=bundle)
    return ssl.create_default_context(cafile=bundle)
