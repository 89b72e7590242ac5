"""The upload sessions of one repository."""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from publisher.http.origin import Origin, follow
from publisher.model.digest import Digest
from publisher.model.errors import BadReference, PublishError, VerificationFailed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from publisher.http.message import Body, Response
    from publisher.http.retry import RetryPolicy
    from publisher.registry.repository import RemoteRepository

WINDOW: Final = 16 * 1024 * 1024
"""Bytes kept to be sent again, of all blobs together: what sockets and proxies hold when a connection breaks."""
_SMALLEST_WINDOW: Final = 2 * 1024 * 1024


class Sessions:
    """Opens, keeps and cancels sessions; one that was opened for proof is kept for the next blob."""

    def __init__(self, remote: RemoteRepository, retry_policy: RetryPolicy) -> None:
        self.remote = remote
        self._retry_policy = retry_policy
        self._kept: list[str] = []
        self._left: list[str] = []
        self._blobs = 0
        self._lock = threading.Lock()

    def prepare(self) -> None:
        """Have a session at hand, which shows the right to push."""
        if not self._kept:
            self._kept.append(self.begin())

    def keep(self, response: Response) -> None:
        """Keep a session that a mount began."""
        if location := response.headers.get("Location"):
            self._kept.append(follow(response.url, location))

    def take(self) -> str:
        """The address of a session."""
        with self._lock:
            if self._kept:
                return self._kept.pop()
        return self.begin()

    def begin(self) -> str:
        """Open a session; returns its address."""
        with self.remote.ask("POST", self.remote.url("blobs/uploads/"), body=b"") as response:
            if response.status not in {200, 201, 202}:
                raise self.remote.trouble(response, "push to")
            location = response.headers.get("Location")
            if not location:
                raise VerificationFailed(
                    "the registry began an upload without saying where", reference=self.remote.repository
                )
            return follow(response.url, location)

    def moved(self, response: Response, location: str) -> str:
        """Where the session goes on after `response`."""
        newest = response.headers.get("Location")
        return follow(response.url, newest) if newest else location

    def send(
        self, method: str, location: str, *, body: Body = None, headers: Mapping[str, str] | None = None
    ) -> Response:
        """A request within a session; on another origin than the registry's it carries no credentials."""
        foreign = Origin.of(location) != Origin.of(self.remote.url(""))
        return self.remote.ask(method, location, body=body, headers=headers, anonymous=foreign)

    def cancel(self, location: str) -> None:
        """End a session; it doesn't matter if the registry can't."""
        with suppress(PublishError):
            self.send("DELETE", location).close()

    def leave(self, location: str) -> None:
        """End a session later: now is no time to wait for an answer."""
        self._left.append(location)

    def close(self) -> None:
        """Cancel what nobody used."""
        with self._lock:
            unused = [*self._kept, *self._left]
            self._kept.clear()
            self._left.clear()
        for location in unused:
            self.cancel(location)

    def pause(self, attempt: int) -> None:
        """Wait before try `attempt` + 1."""
        self._retry_policy.sleep(self._retry_policy.backoff(attempt))

    @contextmanager
    def counted(self) -> Iterator[None]:
        """While a blob is on its way, it has its share of the memory."""
        with self._lock:
            self._blobs += 1
        try:
            yield
        finally:
            with self._lock:
                self._blobs -= 1

    def window(self) -> int:
        """One blob's share of the bytes that are kept."""
        return max(WINDOW // max(self._blobs, 1), _SMALLEST_WINDOW)


def with_digest(location: str, digest: Digest) -> str:
    """The address that completes the upload at `location`; its own query stays as it is."""
    address = location.partition("#")[0]
    joint = "" if address.endswith(("?", "&")) else "&" if "?" in address else "?"
    return f"{address}{joint}digest={digest}"


def stated_digest(response: Response) -> Digest | None:
    """Docker-Content-Digest, where it can be read: the header is never trusted alone."""
    try:
        return Digest.parse(response.headers.get("Docker-Content-Digest") or "")
    except BadReference:
        return None
