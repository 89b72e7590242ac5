"""Docker's own configuration: DOCKER_AUTH_CONFIG, credHelpers, credsStore, auths."""

from __future__ import annotations

import base64
import codecs
import os
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from publisher.model.credential import (
    IDENTITY_TOKEN_USER,
    REGISTRY_TOKEN_USER,
    Absent,
    Answer,
    Broken,
    Credential,
    Present,
)
from publisher.model.environment import home_folder
from publisher.model.reference import DOCKER_HUB

if TYPE_CHECKING:
    from collections.abc import Mapping

_HUB_KEY = "https://index.docker.io/v1/"
# What some editors write first.
_MARKS = {
    codecs.BOM_UTF8: "a byte order mark",
    codecs.BOM_UTF16_LE: "a byte order mark of UTF-16",
    codecs.BOM_UTF16_BE: "a byte order mark of UTF-16",
}
_HUB_KEYS = (_HUB_KEY, "index.docker.io", DOCKER_HUB, "registry-1.docker.io")


class _Login(msgspec.Struct, frozen=True):
    """An entry of `auths`; with a helper they are empty."""

    auth: str | None = None
    username: str | None = None
    password: str | None = None
    identitytoken: str | None = None
    registrytoken: str | None = None

    @property
    def is_plain(self) -> bool:
        """Whether it holds a secret."""
        return bool(self.auth or self.password or self.identitytoken or self.registrytoken)


class _Document(msgspec.Struct, frozen=True, rename={"helpers": "credHelpers", "store": "credsStore"}):
    """What docker's configuration says of logins; other shapes are broken, lest a run be anonymous by mistake."""

    auths: dict[str, _Login | None] | None = None
    helpers: dict[str, str | None] | None = None
    store: str | None = None


def config_file(environ: Mapping[str, str]) -> Path:
    """Where docker keeps it: $DOCKER_CONFIG/config.json, else ~/.docker/config.json."""
    folder = environ.get("DOCKER_CONFIG")
    return (Path(folder) if folder else home_folder(environ) / ".docker") / "config.json"


def key_of(target: str) -> str:
    """What docker keeps a login under: a key of its own for Docker Hub, else HOST[/PATH]."""
    return _host_keys(target)[0]


class DockerConfig:
    """$DOCKER_CONFIG/config.json or ~/.docker/config.json; DOCKER_AUTH_CONFIG comes before it."""

    name = "docker's configuration"

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._path = config_file(environ)

    def find(self, registry: str, repository: str = "") -> Answer:
        """Ask for `registry`; a configuration that can't be read is broken, not empty."""
        if text := self._environ.get("DOCKER_AUTH_CONFIG"):
            document = _document(os.fsencode(text), "DOCKER_AUTH_CONFIG")
            answer = _find_auth(document, registry, repository, "DOCKER_AUTH_CONFIG")
            if not isinstance(answer, Absent):
                return answer
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return Absent()
        except OSError as error:
            return Broken(f"{self._path} can't be read: {error.strerror}")
        return self._find(_document(content, str(self._path)), registry, repository)

    def _find(self, document: _Document | Broken, registry: str, repository: str) -> Answer:
        if isinstance(document, Broken):
            return document
        if helper := _helper(document, registry):
            from publisher.credentials.helper import ask_helper

            for key in _host_keys(registry):
                answer = ask_helper(helper, key, self._environ)
                if not isinstance(answer, Absent):
                    return answer
        return _find_auth(document, registry, repository, str(self._path))


def plain_logins(environ: Mapping[str, str]) -> tuple[Path, tuple[str, ...]]:
    """Docker's file, and the registries whose secrets stand in it as plain base64; none where it can't be read."""
    path = config_file(environ)
    try:
        document = _document(path.read_bytes(), str(path))
    except OSError:
        return path, ()
    auths = {} if isinstance(document, Broken) else document.auths or {}
    return path, tuple(key for key, entry in auths.items() if entry and entry.is_plain)


def helper_of(environ: Mapping[str, str], registry: str) -> str | None:
    """The helper that docker asks for this registry by name; None where only its general store may know it."""
    try:
        document = _document(config_file(environ).read_bytes(), "")
    except OSError:
        return None
    helpers = {} if isinstance(document, Broken) else document.helpers or {}
    return next((helper for key in _host_keys(registry) if (helper := helpers.get(key))), None)


def store_with(environ: Mapping[str, str], registry: str) -> str | None:
    """Docker's general store, by its program's name, where it holds a login for this registry."""
    try:
        document = _document(config_file(environ).read_bytes(), "")
    except OSError:
        return None
    if isinstance(document, Broken) or not document.store:
        return None
    from publisher.credentials.helper import ask_helper

    answers = (ask_helper(document.store, key, environ) for key in _host_keys(registry))
    return f"docker-credential-{document.store}" if any(isinstance(answer, Present) for answer in answers) else None


def _document(content: bytes, source: str) -> _Document | Broken:
    if not content.strip() or content.strip() == b"null":
        return _Document()  # as docker takes it: nobody is signed in
    if mark := next((name for start, name in _MARKS.items() if content.startswith(start)), None):
        return Broken(
            f"{source} begins with {mark}, which docker can't read either", "save it as UTF-8 without a byte order mark"
        )
    try:
        return msgspec.json.decode(content, type=_Document)
    except msgspec.ValidationError as error:
        return Broken(f"{source} is not docker's configuration: {error}")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Broken(f"{source} is not JSON: {error}")


def _host_keys(registry: str) -> tuple[str, ...]:
    return _HUB_KEYS if registry == DOCKER_HUB else (registry,)


def _helper(document: _Document, registry: str) -> str | None:
    helpers = document.helpers or {}
    own = next((helper for key in _host_keys(registry) if (helper := helpers.get(key)) is not None), None)
    return own if own is not None else document.store or None


def _find_auth(document: _Document | Broken, registry: str, repository: str, source: str) -> Answer:
    if isinstance(document, Broken):
        return document
    auths = document.auths or {}
    by_target = {_target(key): entry for key, entry in reversed(auths.items())}
    for key in keys_for(registry, repository):
        entry = auths.get(key) or by_target.get(_target(key))
        if entry and entry != _Login():
            return _read_auth(entry, key, source)
    return Absent()


def keys_for(registry: str, repository: str) -> list[str]:
    """List the keys that hold for a repository, the closest first: its own, those of its folders, the host's."""
    parts = repository.split("/") if repository else []
    paths = ["/".join(parts[:count]) for count in range(len(parts), 0, -1)]
    hosts = _host_keys(registry)
    return [f"{host}/{path}" for path in paths for host in hosts if "://" not in host] + [*hosts]


def _target(key: str) -> str:
    """What a key is for: HOST, or HOST/PATH where only repositories below PATH are meant.

    Older clients wrote the host as an address of its API; that path is no repository's.
    """
    bare = key.removeprefix("https://").removeprefix("http://").rstrip("/")
    host, _slash, path = bare.partition("/")
    return host if bare != key.rstrip("/") or path in {"v1", "v2"} else bare


def _read_auth(entry: _Login, key: str, source: str) -> Answer:
    if entry.registrytoken:
        return Present(Credential(REGISTRY_TOKEN_USER, entry.registrytoken, source, registry_only=True))
    if entry.identitytoken:
        return Present(Credential(IDENTITY_TOKEN_USER, entry.identitytoken, source))
    if entry.username and entry.password is not None:
        return Present(Credential(entry.username, entry.password, source))
    if not entry.auth:
        return Absent()
    try:
        # Go's decoder, which is docker's, passes over line breaks, and over nothing else.
        text = entry.auth.replace("\r", "").replace("\n", "")
        username, colon, password = base64.b64decode(text, validate=True).decode().partition(":")
    except ValueError:
        return Broken(f"the entry for {key} in {source} is not base64 of user:secret")
    if not colon or not username:
        return Broken(f"the entry for {key} in {source} has no user")
    return Present(Credential(username, password.rstrip("\0"), source))
