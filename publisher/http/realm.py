"""Which token service may see a registry's credentials."""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.http.origin import Origin, is_inner
from publisher.model.errors import Denied, Unreachable

if TYPE_CHECKING:
    from collections.abc import Collection

# Registries whose token service has another host, by their own documentation. "Same registrable domain" would not
# do: subdomains of azurecr.io, amazonaws.com or pkg.dev belong to different tenants.
_PAIRS = {
    "docker.io": "auth.docker.io",
    "index.docker.io": "auth.docker.io",
    "registry-1.docker.io": "auth.docker.io",
    "registry.gitlab.com": "gitlab.com",
    "registry.digitalocean.com": "api.digitalocean.com",
}


def check_realm(realm: str, registry: Origin, trusted: Collection[str], *, anonymous: bool = False) -> Origin:
    """The token service's origin, if it may be asked for `registry`; raises Denied, naming both hosts.

    trusted: `trusted-realms` of the configuration, as host[:port]. anonymous: nothing secret is sent; then any public
    https host will do.
    """
    try:
        service = Origin.of(realm)
    except Unreachable as error:
        raise _foreign(realm, registry, error.message) from error
    if service.scheme == "http" and not _may_be_plain(service, registry):
        raise _foreign(realm, registry, "it is not https")
    if _is_own(service, registry) or is_trusted(service, trusted):
        return service
    if is_inner(service.host) and not (anonymous and is_inner(registry.host)):
        raise _foreign(realm, registry, "it is an inner address")
    if not anonymous:
        raise _foreign(realm, registry, "it is another host")
    return service


def is_trusted(service: Origin, trusted: Collection[str]) -> bool:
    """Whether the configuration names it."""
    names = {service.netloc, f"{service.netloc}:{service.port}"}
    return any(name.lower() in names for name in trusted)


def _is_own(service: Origin, registry: Origin) -> bool:
    """Whether it is the registry itself, or the one that is known to belong to it."""
    if (service.host, service.port) == (registry.host, registry.port):
        return True
    pair = Origin("https", _PAIRS.get(registry.host, ""), 443)
    return registry == Origin("https", registry.host, 443) and service == pair


def _may_be_plain(service: Origin, registry: Origin) -> bool:
    """A registry on plain HTTP is on loopback, or `insecure`; neither lets a secret leave a loopback in the clear."""
    return registry.scheme == "http" and (service.is_loopback or not registry.is_loopback)


def _foreign(realm: str, registry: Origin, reason: str) -> Denied:
    return Denied(
        f"{registry.netloc} asks for a login at '{realm[:200]}': {reason}; nothing was sent",
        reference=registry.netloc,
        hint=f'if that is right, add [registry."{registry.netloc}"] trusted-realms = ["HOST"] to publish.toml',
    )
