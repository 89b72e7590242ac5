"""What must hold of settings beyond their types."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from publisher.facts.build_checks import check_build
from publisher.facts.config_errors import Complaint, Key, show
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


def _tables(at: Key, tables: Settings | ImageSettings) -> None:
    _labels((*at, "labels"), tables.labels)
    _transfer((*at, "transfer"), tables.transfer)
    _hub((*at, "hub"), tables.hub)
    _retention((*at, "retention"), tables.retention)
    if tables.build:
        check_build((*at, "build"), tables.build)
    if tables.smoke:
        _smoke((*at, "smoke"), tables.smoke)


def _repositories(at: Key, written: Iterable[str]) -> None:
    for number, name in enumerate(written):
        try:
            ImageName.parse(name)
        except (BadReference, ConfigError) as error:
            raise Complaint(
                (*at, f"[{number}]"), show(name), f"a repository without a tag ({error.message})"
            ) from error


def _labels(at: Key, labels: dict[str, str]) -> None:
    if "" in labels:
        raise Complaint((*at, ""), "an empty key", "a label's name")


def _transfer(at: Key, transfer: TransferSettings) -> None:
    if transfer.compression not in _LEVELS:
        raise Complaint((*at, "compression"), show(transfer.compression), " or ".join(map(show, _LEVELS)))
    lowest, highest = _LEVELS[transfer.compression]
    if not lowest <= transfer.level <= highest:
        allowed = f"{lowest} to {highest} for {transfer.compression}"
        raise Complaint((*at, "level"), str(transfer.level), allowed)


def _hub(at: Key, hub: HubSettings) -> None:
    _patterns((*at, "immutable"), hub.immutable or ())
    length = len(hub.description or "")
    if length > _LONGEST_DESCRIPTION:
        allowed = f"at most {_LONGEST_DESCRIPTION} characters, which is what Docker Hub takes"
        raise Complaint((*at, "description"), f"{length} characters", allowed)


def _retention(at: Key, retention: RetentionSettings | None) -> None:
    _patterns((*at, "keep"), retention.keep if retention else ())


def _smoke(at: Key, smoke: SmokeSettings) -> None:
    if smoke.output is not None:
        _pattern((*at, "output"), smoke.output)
    if smoke.cpus is not None and smoke.cpus <= 0:
        raise Complaint((*at, "cpus"), show(smoke.cpus), "a number above 0")
    if smoke.memory is not None and not _MEMORY.fullmatch(smoke.memory):
        raise Complaint((*at, "memory"), show(smoke.memory), "a size, as in 256m")
    if smoke.workdir is not None:
        _absolute((*at, "workdir"), smoke.workdir)
    for number, path in enumerate(smoke.persist):
        _absolute((*at, "persist", f"[{number}]"), path)
    for port in (smoke.tcp,) if isinstance(smoke.tcp, str) else smoke.tcp or ():
        if not port.isdecimal() or int(port) not in _PORTS:
            raise Complaint((*at, "tcp"), show(port), "a port of the container, as in 80")
    if () in smoke.exec:
        raise Complaint((*at, "exec"), "an empty command", 'commands of words, as in [["cat", "/app/ready"]]')
    single = isinstance(smoke.http, HttpCheck)
    for number, http in enumerate((smoke.http,) if isinstance(smoke.http, HttpCheck) else smoke.http or ()):
        _http((*at, "http") if single else (*at, "http", f"[{number}]"), http)


def _absolute(at: Key, path: str) -> None:
    if not path.startswith("/"):
        raise Complaint(at, show(path), "a path that starts with /")


def _http(at: Key, http: HttpCheck) -> None:
    if not http.path.startswith("/"):
        raise Complaint((*at, "path"), show(http.path), "a path that starts with /")
    if http.status not in _STATUSES:
        raise Complaint((*at, "status"), show(http.status), "an HTTP status, 100 to 599")


def _registry(at: Key, host: str, registry: RegistrySettings) -> None:
    _host(at, host)
    if registry.insecure and host.lower().partition(":")[0] in _HUB_HOSTS:
        raise Complaint((*at, "insecure"), "true", f"only false for {host}: Docker Hub always speaks TLS")
    if registry.client_key and not registry.client_cert:
        raise Complaint((*at, "client-key"), "a key without its certificate", "both client-cert and client-key")
    for number, realm in enumerate(registry.trusted_realms):
        _host((*at, "trusted-realms", f"[{number}]"), realm)


def _host(at: Key, host: str) -> None:
    """A host[:port] by the grammar of references; `localhost` counts as one there, a bare word doesn't."""
    try:
        parsed = Repository.parse(f"{host}/name").registry if host == host.strip() else ""
    except BadReference:
        parsed = ""
    if not parsed or (parsed == DOCKER_HUB and host.lower() not in _HUB_HOSTS) or "/" in host:
        raise Complaint(at, show(host), "a registry's host, as in registry.example:5000, without https:// and path")


def _patterns(at: Key, patterns: Iterable[str]) -> None:
    for number, pattern in enumerate(patterns):
        _pattern((*at, f"[{number}]"), pattern)


def _pattern(at: Key, pattern: str) -> None:
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise Complaint(at, show(pattern), f"a regular expression ({error})") from error
