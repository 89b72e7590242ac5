"""Where the container engine is, as docker's own CLI finds it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from publisher.model.digest import Digest
from publisher.model.environment import home_folder
from publisher.model.errors import ConfigError, EngineUnavailable
from publisher.model.value import Value

if TYPE_CHECKING:
    from collections.abc import Mapping

_DEFAULT: Final = "unix:///var/run/docker.sock"
_FILES: Final = ("ca.pem", "cert.pem", "key.pem")


class Certificates(Value, frozen=True):
    """The files of a TLS connection; `verify` is whether the engine's own certificate is checked."""

    ca: Path
    cert: Path
    key: Path
    verify: bool = True

    @classmethod
    def within(cls, folder: Path, *, verify: bool) -> Self:
        """As docker names them; raises EngineUnavailable for one that is missing."""
        ca, cert, key = (folder / name for name in _FILES)
        for file in (ca, cert, key):
            if not file.is_file():
                raise EngineUnavailable(
                    f"the engine wants TLS, and {file} is missing", hint="set DOCKER_CERT_PATH to its folder"
                )
        return cls(ca, cert, key, verify)


class Address(Value, frozen=True):
    """An engine: `url` is unix:// and a path, or tcp:// and a host; `origin` says who named it."""

    url: str
    origin: str
    certificates: Certificates | None = None

    @classmethod
    def find(cls, environ: Mapping[str, str]) -> Address:
        """DOCKER_HOST, else DOCKER_CONTEXT, else the current context, else the default socket.

        Raises EngineUnavailable for a context that is absent, ConfigError for a broken config.json.
        """
        home = home_folder(environ)
        folder = Path(environ.get("DOCKER_CONFIG") or home / ".docker")
        # docker-py reads the same file, and a broken one would break it in odd ways.
        config = _read(folder / "config.json") or {}
        if host := environ.get("DOCKER_HOST"):
            return _check_scheme(cls(host, "DOCKER_HOST", _certificates(environ, home)))
        name = environ.get("DOCKER_CONTEXT") or config.get("currentContext")
        if name and name != "default":
            return _check_scheme(_context(folder / "contexts", str(name)))
        return cls(_DEFAULT, "the default")

    @property
    def is_empty(self) -> bool:
        """Whether it is a socket of this machine that isn't there, or not for us: nobody needs to be asked."""
        scheme, _mark, path = self.url.partition("://")
        return scheme == "unix" and not os.path.exists(path)  # noqa: PTH110 - pathlib's raises where it may not look


def _check_scheme(address: Address) -> Address:
    scheme, mark, rest = address.url.partition("://")
    if scheme == "ssh":
        raise EngineUnavailable(
            f"{address.origin} names an engine behind SSH ({address.url}), which publish doesn't speak",
            hint="forward its socket: ssh -NL /tmp/docker.sock:/var/run/docker.sock HOST, "
            "then set DOCKER_HOST=unix:///tmp/docker.sock",
        )
    if scheme not in {"unix", "tcp", "http", "https"} or not mark or not rest:
        raise EngineUnavailable(
            f"{address.origin} names '{address.url}', which is no engine's address",
            hint="it looks like unix:///var/run/docker.sock or tcp://HOST:2376",
        )
    return address


def _certificates(environ: Mapping[str, str], home: Path) -> Certificates | None:
    if not environ.get("DOCKER_TLS_VERIFY"):
        return None
    return Certificates.within(Path(environ.get("DOCKER_CERT_PATH") or home / ".docker"), verify=True)


def _read(file: Path) -> dict[str, Any] | None:
    """A JSON object; None where there is no file."""
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{file} can't be read: {error}", hint="repair or remove it") from error
    if not isinstance(document, dict):
        raise ConfigError(f"{file} is not a JSON object", hint="repair or remove it")
    return document


def _context(folder: Path, name: str) -> Address:
    """One of docker's contexts, which are kept under the hash of their names."""
    key = Digest.of(name.encode()).hex
    document = _read(folder / "meta" / key / "meta.json")
    if document is None:
        raise EngineUnavailable(f"docker has no context '{name}'", hint="see 'docker context ls'")
    try:
        endpoint = document["Endpoints"]["docker"]
        host, verify = str(endpoint["Host"]), not endpoint.get("SkipTLSVerify")
    except (KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"docker's context '{name}' names no engine", hint="see 'docker context inspect'") from error
    keys = folder / "tls" / key / "docker"
    certificates = Certificates.within(keys, verify=verify) if keys.is_dir() else None
    return Address(host, f"the context '{name}'", certificates)
