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
    "registry-1.docker.io": "auth.docker.io",
    "registry.gitlab.com": "gitlab.com",
    "registry.digitalocean.com": "api.digitalocean.com",
}


def check_realm(realm: str, registry: Origin, trusted: Collection[str]) -> Origin:
    """The token service's origin, if it may get credentials for `registry`; raises Denied, naming both hosts.

    trusted: `trusted-realms` of the configuration, as host[:port].
    """
    try:
        service = Origin.of(realm)
    except Unreachable as error:
        raise _foreign(realm, registry, error.message) from error
    if service.scheme == "http" and registry.scheme != "http":
        raise _foreign(realm, registry, "it is not https")
    if (service.host, service.port) == (registry.host, registry.port):
        return service
    if service.netloc in trusted or service.host in trusted:
        return service
    if _PAIRS.get(registry.host) == service.host and service == Origin("https", service.host, 443):
        return service
    reason = "it is an inner address" if is_inner(service.host) else "it is another host"
    raise _foreign(realm, registry, reason)


def may_ask_anonymously(realm: str, registry: Origin) -> bool:
    """Whether a token may be asked for there without credentials."""
    try:
        service = Origin.of(realm)
    except Unreachable:
        return False
    if (service.host, service.port) == (registry.host, registry.port):
        return service.scheme == "https" or registry.scheme == "http"
    if is_inner(service.host):
        return is_inner(registry.host) and (service.scheme == "https" or registry.scheme == "http")
    return service.scheme == "https"


def _foreign(realm: str, registry: Origin, reason: str) -> Denied:
    return Denied(
        f"{registry.netloc} asks to send its credentials to '{realm[:200]}': {reason}; nothing was sent",
        reference=registry.netloc,
        hint=f'if that is right, add [registry."{registry.netloc}"] trusted-realms = ["HOST"] to publish.toml',
    )
