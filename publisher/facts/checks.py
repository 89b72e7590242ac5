"""What must hold of settings beyond their types."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from publisher.facts.build_checks import check_build
from publisher.facts.config_errors import InvalidSetting, Key, show
from publisher.model.errors import BadReference, ConfigError
from publisher.model.image_name import ImageName
from publisher.model.reference import DOCKER_HUB, Repository
from publisher.model.settings import HttpCheck

if TYPE_CHECKING:
    from collections.abc import Iterable

    from publisher.model.settings import (
        HubSettings,
        ImageSettings,
        RegistrySettings,
        RetentionSettings,
        Settings,
        SmokeSettings,
        TransferSettings,
    )

_LEVELS: Final = {"gzip": (0, 9), "zstd": (1, 22)}
_HUB_HOSTS: Final = frozenset(
    {DOCKER_HUB, "index.docker.io", "registry-1.docker.io", "auth.docker.io", "hub.docker.com"}
)
_LONGEST_DESCRIPTION: Final = 100
_STATUSES: Final = range(100, 600)
_PORTS: Final = range(1, 65536)
_MEMORY: Final = re.compile(r"\d+[bkmg]?", re.IGNORECASE)


def check(settings: Settings) -> None:
    """Check every value that can be judged without looking elsewhere; raises Complaint."""
    _tables((), settings)
    if isinstance(settings.images, dict):
        for name, image in settings.images.items():
            _repositories(("images", name, "repositories"), image.repositories)
            _tables(("images", name), image)
    else:
        _repositories(("images",), settings.images)
    for host, registry in settings.registry.items():
        _registry(("registry", host), host, registry)


def _tables(key: Key, tables: Settings | ImageSettings) -> None:
    _labels((*key, "labels"), tables.labels)
    _transfer((*key, "transfer"), tables.transfer)
    _hub((*key, "hub"), tables.hub)
    _retention((*key, "retention"), tables.retention)
    if tables.build:
        check_build((*key, "build"), tables.build)
    if tables.smoke:
        _smoke((*key, "smoke"), tables.smoke)


def _repositories(key: Key, names: Iterable[str]) -> None:
    for number, name in enumerate(names):
        try:
            ImageName.parse(name)
        except (BadReference, ConfigError) as error:
            raise InvalidSetting(
                (*key, f"[{number}]"), show(name), f"a repository without a tag ({error.message})"
            ) from error


def _labels(key: Key, labels: dict[str, str]) -> None:
    if "" in labels:
        raise InvalidSetting((*key, ""), "an empty key", "a label's name")


def _transfer(key: Key, transfer: TransferSettings) -> None:
    if transfer.compression not in _LEVELS:
        raise InvalidSetting((*key, "compression"), show(transfer.compression), " or ".join(map(show, _LEVELS)))
    lowest, highest = _LEVELS[transfer.compression]
    if not lowest <= transfer.level <= highest:
        allowed = f"{lowest} to {highest} for {transfer.compression}"
        raise InvalidSetting((*key, "level"), str(transfer.level), allowed)


def _hub(key: Key, hub: HubSettings) -> None:
    _patterns((*key, "immutable"), hub.immutable or ())
    length = len(hub.description or "")
    if length > _LONGEST_DESCRIPTION:
        allowed = f"at most {_LONGEST_DESCRIPTION} characters, which is what Docker Hub takes"
        raise InvalidSetting((*key, "description"), f"{length} characters", allowed)


def _retention(key: Key, retention: RetentionSettings | None) -> None:
    _patterns((*key, "keep"), retention.keep if retention else ())


def _smoke(key: Key, smoke: SmokeSettings) -> None:
    if smoke.output is not None:
        _pattern((*key, "output"), smoke.output)
    if smoke.cpus is not None and smoke.cpus <= 0:
        raise InvalidSetting((*key, "cpus"), show(smoke.cpus), "a number above 0")
    if smoke.memory is not None and not _MEMORY.fullmatch(smoke.memory):
        raise InvalidSetting((*key, "memory"), show(smoke.memory), "a size, as in 256m")
    if smoke.workdir is not None:
        _absolute((*key, "workdir"), smoke.workdir)
    for number, path in enumerate(smoke.persist):
        _absolute((*key, "persist", f"[{number}]"), path)
    for port in (smoke.tcp,) if isinstance(smoke.tcp, str) else smoke.tcp or ():
        if not port.isdecimal() or int(port) not in _PORTS:
            raise InvalidSetting((*key, "tcp"), show(port), "a port of the container, as in 80")
    if () in smoke.exec:
        raise InvalidSetting((*key, "exec"), "an empty command", 'commands of words, as in [["cat", "/app/ready"]]')
    single = isinstance(smoke.http, HttpCheck)
    for number, http in enumerate((smoke.http,) if isinstance(smoke.http, HttpCheck) else smoke.http or ()):
        _http((*key, "http") if single else (*key, "http", f"[{number}]"), http)


def _absolute(key: Key, path: str) -> None:
    if not path.startswith("/"):
        raise InvalidSetting(key, show(path), "a path that starts with /")


def _http(key: Key, http: HttpCheck) -> None:
    if not http.path.startswith("/"):
        raise InvalidSetting((*key, "path"), show(http.path), "a path that starts with /")
    if http.status not in _STATUSES:
        raise InvalidSetting((*key, "status"), show(http.status), "an HTTP status, 100 to 599")


def _registry(key: Key, host: str, registry: RegistrySettings) -> None:
    _host(key, host)
    if registry.insecure and host.lower().partition(":")[0] in _HUB_HOSTS:
        raise InvalidSetting((*key, "insecure"), "true", f"only false for {host}: Docker Hub always speaks TLS")
    if registry.client_key and not registry.client_cert:
        raise InvalidSetting((*key, "client-key"), "a key without its certificate", "both client-cert and client-key")
    for number, realm in enumerate(registry.trusted_realms):
        _host((*key, "trusted-realms", f"[{number}]"), realm)


def _host(key: Key, host: str) -> None:
    """A host[:port] by the grammar of references; `localhost` counts as one there, a bare word doesn't."""
    try:
        registry = Repository.parse(f"{host}/name").registry if host == host.strip() else ""
    except BadReference:
        registry = ""
    if not registry or (registry == DOCKER_HUB and host.lower() not in _HUB_HOSTS) or "/" in host:
        raise InvalidSetting(
            key, show(host), "a registry's host, as in registry.example:5000, without https:// and path"
        )


def _patterns(key: Key, patterns: Iterable[str]) -> None:
    for number, pattern in enumerate(patterns):
        _pattern((*key, f"[{number}]"), pattern)


def _pattern(key: Key, pattern: str) -> None:
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise InvalidSetting(key, show(pattern), f"a regular expression ({error})") from error
