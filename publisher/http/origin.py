"""Origins: which host an address belongs to, and what may follow there."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Self
from urllib.parse import urljoin, urlsplit

from publisher.http.limits import LONGEST_LOCATION
from publisher.model.errors import Unreachable, VerificationFailed
from publisher.model.value import Value

if TYPE_CHECKING:
    from collections.abc import Iterable

_PORTS = {"http": 80, "https": 443}
_PRIVATE_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization"})
# Parsers disagree about anything else in an authority (tabs, backslashes, other alphabets), and a disagreement between
# the parser that checks a host and the one that connects to it is how a secret leaves.
_AUTHORITY = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?")
_BLANK = re.compile(r"[\x00-\x20\x7f]")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Origin(Value, frozen=True):
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
        if not _AUTHORITY.fullmatch(parts.netloc) or _BLANK.search(url) or port == 0:
            raise Unreachable(f"'{url[:200]}' is not an address: its host or port can't be read with certainty")
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


def is_loopback_header(host: str) -> bool:
    """Whether a Host header names this machine: a page that rebinds its own name to 127.0.0.1 doesn't."""
    try:
        return "@" not in host and is_loopback(urlsplit(f"//{host}").hostname or "")
    except ValueError:
        return False


def is_private(host: str) -> bool:
    """Whether `host` is an address literal or a name that only means something inside a network."""
    name = host.rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = _routed(ipaddress.ip_address(name.strip("[]").partition("%")[0]))
    except ValueError:
        # inet_aton's short and hexadecimal forms (0x7f000001, 127.1, 2130706433) reach the same addresses.
        last = name.rpartition(".")[2].lower()
        return last.isdigit() or last.startswith("0x")
    return not address.is_global or address.is_multicast


def _routed(address: _Address) -> _Address:
    """The IPv4 address inside an IPv6 one that stands for it."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


class PrivateNetworkPolicy:
    """Keeps a public host from leading into a private network. Learns which hosts have private addresses.

    Names can be made to mean private addresses: only the address connected to tells, and `check` is asked for it.
    """

    def __init__(self) -> None:
        self._private_hosts: set[str] = set()

    def must_be_public(self, target: Origin, led_by: Iterable[Origin | None]) -> bool:
        """Whether `target` must have a public address.

        led_by: whose answers led there; None for a registry that isn't known, which is taken for a public one unless
        this run has met a private host.
        """
        return any(self._is_public(leader, target) for leader in led_by)

    def _is_public(self, leader: Origin | None, target: Origin) -> bool:
        if leader is None:
            return not (self._private_hosts or is_private(target.host))
        return not is_private(leader.host) and leader.host not in self._private_hosts

    def check(self, origin: Origin, address: str, *, must_be_public: bool) -> None:
        """Raise VerificationFailed where `origin` turns out to have an address that it must not have."""
        if not is_private(address):
            return
        if must_be_public:
            message = f"a registry leads into a private network: {origin.host} is {address}"
            raise VerificationFailed(message, reference=origin.netloc)
        self._private_hosts.add(origin.host)


def follow(url: str, location: str) -> str:
    """The address that a Location in an answer from `url` means; raises where it must not be followed.

    https is never left, and a public registry never leads into a private network.
    """
    before = Origin.of(url)
    if len(location) > LONGEST_LOCATION:
        raise VerificationFailed(f"{before.host} answered with an address that is too long", reference=before.netloc)
    target = _joined(url, location)
    after = Origin.of(target)
    if before.scheme == "https" and after.scheme == "http":
        raise VerificationFailed(f"{before.host} leads from https to http at {after.host}", reference=before.netloc)
    if before.host != after.host and is_private(after.host) and not is_private(before.host):
        raise VerificationFailed(f"{before.host} leads into a private network at {after.host}", reference=before.netloc)
    return target


def _joined(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError as error:
        raise Unreachable(f"'{location[:200]}' is not an address: {error}") from error


def without_secrets(headers: dict[str, str]) -> dict[str, str]:
    """The headers that may go to another origin."""
    return {
        name: value
        for name, value in headers.items()
        if name.lower() not in _PRIVATE_HEADERS and not name.lower().startswith("x-")
    }
