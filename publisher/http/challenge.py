"""WWW-Authenticate: what a server asks for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from publisher.http.limits import HEADER_CAP
from publisher.http.origin import Origin, is_private
from publisher.model.errors import Denied, Unreachable
from publisher.model.value import Value

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping


# Registries whose token service has another host, by their own documentation. "Same registrable domain" would not
# do: subdomains of azurecr.io, amazonaws.com or pkg.dev belong to different tenants.
_TOKEN_SERVICES = {
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
        raise _untrusted(realm, registry, error.message) from error
    if service.scheme == "http" and not _may_be_plain(service, registry):
        raise _untrusted(realm, registry, "it is not https")
    if _is_own(service, registry) or is_trusted(service, trusted):
        return service
    if is_private(service.host) and not (anonymous and is_private(registry.host)):
        raise _untrusted(realm, registry, "it is an inner address")
    if not anonymous:
        raise _untrusted(realm, registry, "it is another host")
    return service


def is_trusted(service: Origin, trusted: Collection[str]) -> bool:
    """Whether the configuration names it."""
    names = {service.netloc, f"{service.netloc}:{service.port}"}
    return any(name.lower() in names for name in trusted)


def _is_own(service: Origin, registry: Origin) -> bool:
    """Whether it is the registry itself, or the one that is known to belong to it."""
    if (service.host, service.port) == (registry.host, registry.port):
        return True
    pair = Origin("https", _TOKEN_SERVICES.get(registry.host, ""), 443)
    return registry == Origin("https", registry.host, 443) and service == pair


def _may_be_plain(service: Origin, registry: Origin) -> bool:
    """A registry on plain HTTP is on loopback, or `insecure`; neither lets a secret leave a loopback in the clear."""
    return registry.scheme == "http" and (service.is_loopback or not registry.is_loopback)


def _untrusted(realm: str, registry: Origin, reason: str) -> Denied:
    return Denied(
        f"{registry.netloc} asks for a login at '{realm[:200]}': {reason}; nothing was sent",
        reference=registry.netloc,
        hint=f'if that is right, add [registry."{registry.netloc}"] trusted-realms = ["HOST"] to publish.toml',
    )


def widen(scopes: tuple[str, ...], stated: Iterable[str]) -> tuple[str, ...]:
    """`scopes` with what a challenge asks for besides, the actions of one resource joined.

    What wasn't wanted is never taken from a challenge where it could do harm: `*` and `delete`. The wanted ones stay
    first: some token services read only the first scope.
    """
    actions: dict[str, dict[str, None]] = {}
    for scope in scopes:
        resource, _colon, verbs = scope.rpartition(":")
        actions.setdefault(resource, {}).update(dict.fromkeys(verbs.split(",")))
    for scope in stated:
        resource, _colon, verbs = scope.rpartition(":")
        safe = [verb for verb in verbs.split(",") if verb not in {"*", "delete", ""}]
        if resource and safe:
            actions.setdefault(resource, {}).update(dict.fromkeys(safe))
    return tuple(f"{resource}:{','.join(verbs)}" for resource, verbs in actions.items())


_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - RFC 9110's grammar, no secret
_SCHEME = re.compile(rf"\s*({_TOKEN})(?:\s+|$|(?=,))")
_PARAMETER = re.compile(rf'\s*({_TOKEN})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|({_TOKEN}))\s*')
_TOKEN68 = re.compile(r"[A-Za-z0-9\-._~+/]+=*\s*(?:,|$)")


class BadChallenge(ValueError):
    """The header doesn't follow RFC 9110, or says one thing twice."""


class Challenge(Value, frozen=True):
    """One scheme, in lower case, with its parameters, keys in lower case."""

    scheme: str
    parameters: Mapping[str, str]

    @property
    def realm(self) -> str:
        """Where tokens are given."""
        return self.parameters.get("realm", "")

    @property
    def service(self) -> str:
        """The registry's name at the token service."""
        return self.parameters.get("service", "")

    @property
    def scopes(self) -> tuple[str, ...]:
        """What is asked for."""
        return tuple(self.parameters.get("scope", "").split())

    @property
    def error(self) -> str:
        """Why a token was refused, as in `insufficient_scope`."""
        return self.parameters.get("error", "")


def parse_challenges(header: str) -> tuple[Challenge, ...]:
    """Read every challenge of a WWW-Authenticate header (several headers joined by commas).

    Raises BadChallenge. Source: RFC 9110, 11.6.1. Takes time in proportion to the header's length.
    """
    if len(header) > HEADER_CAP:
        raise BadChallenge(f"it has more than {HEADER_CAP:,} characters")
    challenges: list[Challenge] = []
    position, end = 0, len(header.rstrip(" \t,"))
    while position < end:
        position = _skip_commas(header, position)
        scheme = _SCHEME.match(header, position)
        if not scheme:
            raise BadChallenge(f"no scheme at character {position}")
        parameters, position = _parameters(header, scheme.end())
        challenges.append(Challenge(scheme[1].lower(), parameters))
    return tuple(challenges)


def _skip_commas(header: str, position: int) -> int:
    while position < len(header) and header[position] in ", \t":
        position += 1
    return position


def _parameters(header: str, position: int) -> tuple[dict[str, str], int]:
    parameters: dict[str, str] = {}
    while match := _PARAMETER.match(header, position):
        key = match[1].lower()
        if key in parameters:
            raise BadChallenge(f"'{key}' stands twice")
        parameters[key] = re.sub(r"\\(.)", r"\1", match[2]) if match[2] is not None else match[3]
        position = match.end()
        after = _skip_commas(header, position)
        if after == position and position < len(header):
            raise BadChallenge(f"no comma at character {position}")
        if after < len(header) and not _PARAMETER.match(header, after):
            return parameters, after
        position = after
    if not parameters and (match68 := _TOKEN68.match(header, position)):
        return parameters, match68.end()
    if not parameters and position < len(header) and header[position] != ",":
        raise BadChallenge(f"a parameter is cut off at character {position}")
    return parameters, position
