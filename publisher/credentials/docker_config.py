"""Docker's own configuration: DOCKER_AUTH_CONFIG, credHelpers, credsStore, auths."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from publisher.credentials.helper import ask_helper
from publisher.model.credential import IDENTITY_TOKEN_USER, Absent, Answer, Broken, Credential, Found
from publisher.model.reference import DOCKER_HUB

if TYPE_CHECKING:
    from collections.abc import Mapping

_HUB_KEY = "https://index.docker.io/v1/"
_PLAIN = frozenset({"auth", "password", "identitytoken"})
_TEXTS = ("auth", "username", "password", "identitytoken")
_HUB_KEYS = (_HUB_KEY, "index.docker.io", DOCKER_HUB, "registry-1.docker.io")


def config_file(environ: Mapping[str, str]) -> Path:
    """Where docker keeps it: $DOCKER_CONFIG/config.json, else ~/.docker/config.json."""
    home = Path(environ.get("HOME") or Path.home())
    folder = environ.get("DOCKER_CONFIG")
    return (Path(folder) if folder else home / ".docker") / "config.json"


def key_of(place: str) -> str:
    """What docker keeps a login under: a key of its own for Docker Hub, else HOST[/PATH]."""
    return _keys(place)[0]


class DockerConfig:
    """$DOCKER_CONFIG/config.json or ~/.docker/config.json; DOCKER_AUTH_CONFIG comes before it."""

    name = "docker's configuration"

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._path = config_file(environ)

    def find(self, registry: str, repository: str = "") -> Answer:
        """Ask for `registry`; a configuration that can't be read is broken, not empty."""
        if text := self._environ.get("DOCKER_AUTH_CONFIG"):
            given = _document(os.fsencode(text), "DOCKER_AUTH_CONFIG")
            answer = _find_auth(given, registry, repository, "DOCKER_AUTH_CONFIG")
            if not isinstance(answer, Absent):
                return answer
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return Absent()
        except OSError as error:
            return Broken(f"{self._path} can't be read: {error.strerror}")
        return self._find(_document(content, str(self._path)), registry, repository)

    def _find(self, document: dict[str, Any] | Broken, registry: str, repository: str) -> Answer:
        if isinstance(document, Broken):
            return document
        if wrong := _wrong_type(document, str(self._path)):
            return wrong
        if helper := _helper(document, registry):
            for key in _keys(registry):
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
    auths = document.get("auths") if isinstance(document, dict) else None
    entries = auths.items() if isinstance(auths, dict) else ()
    return path, tuple(key for key, entry in entries if isinstance(entry, dict) and _PLAIN & entry.keys())


def _document(content: bytes, named: str) -> dict[str, Any] | Broken:
    try:
        found = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Broken(f"{named} is not JSON: {error}")
    return found if isinstance(found, dict) else Broken(f"{named} is not a JSON object")


def _keys(registry: str) -> tuple[str, ...]:
    return _HUB_KEYS if registry == DOCKER_HUB else (registry,)


def _wrong_type(document: dict[str, Any], named: str) -> Broken | None:
    """A configuration of another shape than docker's is broken: an anonymous run would be taken for a mistake."""
    for key, kind in (("auths", dict), ("credHelpers", dict), ("credsStore", str)):
        if not isinstance(document.get(key) or kind(), kind):
            return Broken(f"{key} in {named} is not {'text' if kind is str else 'an object'}")
    wanted: tuple[tuple[str, type, str], ...] = (("auths", dict, "an object"), ("credHelpers", str, "text"))
    for key, inner, called in wanted:
        for place, value in (document.get(key) or {}).items():
            if not isinstance(value, inner | None):
                return Broken(f"{key} in {named} holds something else than {called} for {place}")
    return None


def _helper(document: dict[str, Any], registry: str) -> str | None:
    helpers = document.get("credHelpers")
    if isinstance(helpers, dict):
        for key in _keys(registry):
            if isinstance(found := helpers.get(key), str):
                return found
    store = document.get("credsStore")
    return store if isinstance(store, str) and store else None


def _find_auth(document: dict[str, Any] | Broken, registry: str, repository: str, named: str) -> Answer:
    if isinstance(document, Broken):
        return document
    if wrong := _wrong_type(document, named):
        return wrong
    auths = document.get("auths") or {}
    by_place = {_place(key): entry for key, entry in reversed(auths.items())}
    for place in places(registry, repository):
        entry = auths.get(place) or by_place.get(_place(place))
        if isinstance(entry, dict) and entry:
            return _read_auth(entry, place, named)
    return Absent()


def places(registry: str, repository: str) -> list[str]:
    """List the keys that hold for a repository, the closest first: its own, those of its folders, the host's."""
    parts = repository.split("/") if repository else []
    paths = ["/".join(parts[:count]) for count in range(len(parts), 0, -1)]
    return [f"{host}/{path}" for path in paths for host in _keys(registry) if "://" not in host] + [*_keys(registry)]


def _place(key: str) -> str:
    """What a key is for: HOST, or HOST/PATH where only repositories below PATH are meant.

    Older clients wrote the host as an address of its API; that path is no repository's.
    """
    bare = key.removeprefix("https://").removeprefix("http://").rstrip("/")
    host, _slash, path = bare.partition("/")
    return host if bare != key.rstrip("/") or path in {"v1", "v2"} else bare


def _read_auth(entry: dict[str, Any], key: str, named: str) -> Answer:
    if wrong := next((name for name in _TEXTS if not isinstance(entry.get(name) or "", str)), None):
        return Broken(f"{wrong} of the entry for {key} in {named} is not text")
    if isinstance(token := entry.get("identitytoken"), str) and token:
        return Found(Credential(IDENTITY_TOKEN_USER, token, named))
    username, password = entry.get("username"), entry.get("password")
    if isinstance(username, str) and isinstance(password, str) and username:
        return Found(Credential(username, password, named))
    if not isinstance(auth := entry.get("auth"), str) or not auth:
        return Absent()
    try:
        username, colon, password = base64.b64decode(auth, validate=True).decode().partition(":")
    except ValueError:
        return Broken(f"the entry for {key} in {named} is not base64 of user:secret")
    if not colon or not username:
        return Broken(f"the entry for {key} in {named} has no user")
    return Found(Credential(username, password.rstrip("\0"), named))
