"""The upload sessions of one repository."""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, Protocol

from publisher.http.headers import read_number
from publisher.http.origin import Origin, follow
from publisher.model.digest import Digest
from publisher.model.errors import BadReference, PublishError, VerificationFailed
from publisher.threads import run_parallel

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from publisher.http.message import Body, Response
    from publisher.http.retry import RetryPolicy
    from publisher.model.reference import Repository

WINDOW: Final = 16 * 1024 * 1024
"""Bytes kept to be sent again, of all blobs together: what sockets and proxies hold when a connection breaks."""
_SMALLEST_WINDOW: Final = 2 * 1024 * 1024
_CANCELLED: Final = 8
"""Sessions ended at once."""


class RepositoryRequests(Protocol):
    """What uploads need of their repository: see RemoteRepository."""

    @property
    def repository(self) -> Repository:
        """Its name."""

    def url(self, path: str) -> str:
        """The address of `path` in it."""

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Body = None,
        anonymous: bool = False,
    ) -> Response:
        """Send a request with its scope."""

    def error(self, response: Response, what: str) -> PublishError:
        """The error that `response` means."""

    def blob_size(self, digest: Digest) -> int | None:
        """The size of a blob that is there; None if it isn't."""


class UploadSessions:
    """Opens and cancels sessions; a spare one, opened for proof or by a mount, serves the next blob."""

    def __init__(self, remote: RepositoryRequests, retry_policy: RetryPolicy) -> None:
        self.remote = remote
        self._retry_policy = retry_policy
        self._spare: list[str] = []
        self._abandoned: list[str] = []
        self._blobs = 0
        self.shortest_piece = 0
        """Bytes that a piece must have unless it is the last one (OCI-Chunk-Min-Length)."""
        self._lock = threading.Lock()
        self.takes_whole: bool | None = None
        """Whether a session may begin with the whole blob; None until it was tried."""

    def ensure_spare(self, count: int = 1) -> None:
        """Have spare sessions, which show the right to push."""

        def open_spare(_number: int) -> None:
            self._spare.append(self.initiate_upload())

        missing = range(count - len(self._spare))
        run_parallel(open_spare, missing, threads=count, name="session", finish_all=True)

    def add_spare(self, response: Response) -> None:
        """Keep the session that a mount opened, where it opened one."""
        if location := response.headers.get("Location"):
            self._spare.append(follow(response.url, location))

    def next_session(self) -> str:
        """The address of a spare session, or of a new one."""
        with self._lock:
            if self._spare:
                return self._spare.pop()
        return self.initiate_upload()

    def initiate_upload(self) -> str:
        """Open a session; returns its address."""
        with self.remote.request("POST", self.remote.url("blobs/uploads/"), body=b"") as response:
            if response.status not in {200, 201, 202}:
                raise self.remote.error(response, "push to")
            location = response.headers.get("Location")
            minimum = read_number(response.headers.get("OCI-Chunk-Min-Length", ""))
            self.shortest_piece = min(max(self.shortest_piece, minimum or 0), WINDOW)
            if not location:
                raise VerificationFailed(
                    "the registry began an upload without saying where", reference=self.remote.repository
                )
            return follow(response.url, location)

    def next_location(self, response: Response, location: str) -> str:
        """Where the session goes on after `response`."""
        target = response.headers.get("Location")
        return follow(response.url, target) if target else location

    def request(
        self, method: str, location: str, *, body: Body = None, headers: Mapping[str, str] | None = None
    ) -> Response:
        """A request within a session; on another origin than the registry's it carries no credentials."""
        is_elsewhere = Origin.of(location) != Origin.of(self.remote.url(""))
        return self.remote.request(method, location, body=body, headers=headers, anonymous=is_elsewhere)

    def cancel(self, location: str) -> None:
        """End a session; it doesn't matter if the registry can't."""
        with suppress(PublishError):
            self.request("DELETE", location).close()

    def cancel_later(self, location: str) -> None:
        """End a session later: now is no time to wait for an answer."""
        self._abandoned.append(location)

    def close(self) -> None:
        """Cancel what no blob used, and what was to be cancelled later."""
        with self._lock:
            unused = [*self._spare, *self._abandoned]
            self._spare.clear()
            self._abandoned.clear()
        run_parallel(self.cancel, unused, threads=_CANCELLED, name="cancel")

    def back_off(self, attempt: int) -> None:
        """Wait before try `attempt` + 1."""
        self._retry_policy.sleep(self._retry_policy.backoff(attempt))

    @contextmanager
    def counting_blob(self) -> Iterator[None]:
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
