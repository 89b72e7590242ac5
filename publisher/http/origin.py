"""Origins: which host an address belongs to, and what may follow there."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Self
from urllib.parse import urljoin, urlsplit

from publisher.model.errors import Unreachable, VerificationFailed

_PORTS = {"http": 80, "https": 443}
MOST_REDIRECTS = 5
LONGEST_LOCATION = 8 * 1024
_PRIVATE_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization"})


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and port: what credentials are bound to."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Self:
        """The origin of an absolute http or https URL; raises Unreachable for anything else."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise Unreachable(f"'{url[:200]}' is not an address: {error}") from error
        if parts.scheme not in _PORTS or not parts.hostname:
            raise Unreachable(f"'{url[:200]}' is not an http or https address")
        if parts.username is not None or "@" in parts.netloc:
            raise Unreachable("an address with a user in it is not followed", reference=parts.hostname)
        return cls(parts.scheme, parts.hostname.lower(), port or _PORTS[parts.scheme])

    @property
    def is_loopback(self) -> bool:
        """Whether it is this machine, by its literal address or as `localhost`."""
        return is_loopback(self.host)

    @property
    def netloc(self) -> str:
        """host[:port], the port left out where it is the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


def is_loopback(host: str) -> bool:
    """Whether `host` (without port) is a loopback address or `localhost`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def is_inner(host: str) -> bool:
    """Whether `host` is an address literal or a name that only means something inside a network."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        # inet_aton's short and hexadecimal forms (0x7f000001, 127.1, 2130706433) reach the same addresses.
        last = host.rstrip(".").rpartition(".")[2]
        return last.isdigit() or last.startswith("0x")
    mapped = getattr(address, "ipv4_mapped", None) or address
    return not mapped.is_global or mapped.is_multicast


def follow(url: str, location: str) -> str:
    """The address that a Location in an answer from `url` means; raises where it must not be followed.

    Source: security notes on upload Locations and redirects (https is never left, a public registry never leads
    into a private network).
    """
    if len(location) > LONGEST_LOCATION:
        raise VerificationFailed("the registry answered with an address that is too long", reference=url)
    target = urljoin(url, location)
    before, after = Origin.of(url), Origin.of(target)
    if before.scheme == "https" and after.scheme == "http":
        raise VerificationFailed(f"{before.host} leads from https to http at {after.host}", reference=url)
    if before.host != after.host and is_inner(after.host) and not is_inner(before.host):
        raise VerificationFailed(f"{before.host} leads into a private network at {after.host}", reference=url)
    return target


def without_secrets(headers: dict[str, str]) -> dict[str, str]:
    """The headers that may go to another origin."""
    return {
        name: value
        for name, value in headers.items()
        if name.lower() not in _PRIVATE_HEADERS and not name.lower().startswith("x-")
    }
