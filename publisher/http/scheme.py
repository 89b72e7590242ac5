"""Which scheme each host speaks."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from publisher.http.errors import NoAnswer, NotTls
from publisher.http.origin import Origin, is_loopback

if TYPE_CHECKING:
    from collections.abc import Callable

    from publisher.http.message import Response
    from publisher.http.tls import HostSettings
    from publisher.model.errors import Unreachable

# What Go's servers say, with status 400.
_WRONG_SCHEME = b"HTTP request to an HTTPS server"
_BAD_REQUEST = 400


class Schemes:
    """https, except on loopback and, where TLS can't be had, on `insecure` hosts; what a host turned out to speak."""

    def __init__(self, hosts: Callable[[str], HostSettings]) -> None:
        self._hosts = hosts
        self._known: dict[str, str] = {}

    def is_named(self, host: str) -> bool:
        """Whether anybody asked for `host` by name."""
        return host in self._known

    def of(self, host: str) -> str:
        """What to begin with at host[:port], or to go on with."""
        if host not in self._known:
            settings = self._hosts(host)
            plain = is_loopback(Origin.of(f"https://{host}").host) and not settings.speaks_tls
            self._known[host] = "http" if plain else "https"
        return self._known[host]

    def current(self, url: str) -> str:
        """The URL with the scheme that its host is known to speak by now."""
        parts = urlsplit(url)
        scheme = self._known.get(parts.netloc)
        return parts._replace(scheme=scheme).geturl() if scheme and scheme != parts.scheme else url

    def other_after(self, url: str, error: Unreachable) -> str | None:
        """What to try where the scheme was only a guess: TLS on a loopback host, plain HTTP on an insecure one."""
        parts = urlsplit(url)
        if parts.scheme == "https" and isinstance(error, NotTls) and self._hosts(parts.netloc).insecure:
            return self._switch(url, "http")
        if parts.scheme == "http" and isinstance(error, NoAnswer) and is_loopback(parts.hostname or ""):
            return self._switch(url, "https")
        return None

    def other_for(self, url: str, response: Response) -> str | None:
        """The https address, where a server says that it doesn't speak plain HTTP."""
        if response.status == _BAD_REQUEST and _WRONG_SCHEME in response.content:
            return self._switch(url, "https")
        return None

    def restore(self, url: str) -> None:
        """The other scheme wasn't spoken either: stay with that of `url`."""
        parts = urlsplit(url)
        self._known[parts.netloc] = parts.scheme

    def _switch(self, url: str, scheme: str) -> str | None:
        parts = urlsplit(url)
        if self._known.get(parts.netloc) in {None, scheme}:
            return None
        self._known[parts.netloc] = scheme
        return parts._replace(scheme=scheme).geturl()
