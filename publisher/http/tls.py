"""How one host is reached: certificates, and whether it may be trusted without."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from publisher.model.errors import ConfigError

if TYPE_CHECKING:
    from publisher.model.settings import RegistrySettings

_NEVER_INSECURE = frozenset({"docker.io", "registry-1.docker.io", "auth.docker.io", "hub.docker.com"})
# Where docker's engine looks; read so that a registry set up for docker works here too.
_CERTS_D = Path("/etc/docker/certs.d")


@dataclass(frozen=True, slots=True)
class HostSettings:
    """How to reach one host. Paths are absolute."""

    insecure: bool = False
    ca_bundle: Path | None = None
    client_cert: Path | None = None
    client_key: Path | None = None
    trusted_realms: frozenset[str] = frozenset()

    @property
    def speaks_tls(self) -> bool:
        """Whether certificates are set up, so that plain HTTP is out of the question."""
        return self.ca_bundle is not None or self.client_cert is not None

    @classmethod
    def gather(cls, host: str, table: RegistrySettings | None, folder: Path, certs_d: Path = _CERTS_D) -> Self:
        """What the configuration and docker's certs.d say of `host`; raises ConfigError for a file that is missing."""
        if table is not None and table.insecure and host in _NEVER_INSECURE:
            raise ConfigError(f'[registry."{host}"] insecure = true is never allowed for Docker Hub', reference=host)
        found = cls._from_docker(certs_d / host)
        if table is None:
            return found
        return cls(
            table.insecure,
            _file(table.ca_bundle, folder, host) or found.ca_bundle,
            _file(table.client_cert, folder, host) or found.client_cert,
            _file(table.client_key, folder, host) or found.client_key,
            frozenset(table.trusted_realms),
        )

    @classmethod
    def _from_docker(cls, directory: Path) -> Self:
        if not directory.is_dir():
            return cls()
        bundle = next(iter(sorted(directory.glob("*.crt"))), None)
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
