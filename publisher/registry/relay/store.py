"""The relay for engines that keep blobs: what a registry lacks passes through, in the one request that brings it."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Final

from publisher.model.digest import Digest
from publisher.model.errors import BadManifest
from publisher.registry.relay.server import Relay
from publisher.registry.relay.uploads import StreamLost
from publisher.registry.upload import SMALL, NotTaken

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from io import BufferedIOBase

    from publisher.model.manifest import Content, Descriptor
    from publisher.model.protocols import Meter
    from publisher.registry.repository import RemoteRepository

_PIECE: Final = 256 * 1024


class StoreRelay(Relay):
    """Takes the blobs of `wanted` from a push and sends them to `target`; other blobs are called present.

    Manifests are kept and not sent on: who wants them has them already. wanted: may take its time, while the engine
    begins.
    in_one: whether a large blob goes on in one request too, as it comes. What breaks then is lost, and raised as
    StreamLost; taken piece by piece, an upload can be resumed.
    """

    def __init__(
        self,
        target: RemoteRepository,
        wanted: Callable[[], Mapping[Digest, Descriptor]],
        *,
        in_one: bool = True,
        meter: Meter | None = None,
    ) -> None:
        super().__init__(target)
        self._meter = meter
        self._find_wanted = wanted
        self._in_one = in_one
        self.sent: set[Digest] = set()
        """What the target holds now."""

    @cached_property
    def _wanted(self) -> Mapping[Digest, Descriptor]:
        return self._find_wanted()

    def blob_size(self, digest: Digest) -> int | None:
        """None for a blob that is still to be sent."""
        return None if digest in self._wanted and digest not in self.sent else 0

    def commit_upload(self, name: str, digest: str) -> Digest:
        """Complete a session; raises BadManifest where the bytes aren't what the engine says."""
        sent = super().commit_upload(name, digest)
        self.sent.add(sent)
        self.check_arrival()
        return sent

    @property
    def has_all(self) -> bool:
        """Whether no blob is wanted any more; the small ones may still be on their way, see `settle`."""
        return self._wanted.keys() <= self.sent

    def stream_blob(self, name: str, digest: str, length: int, body: BufferedIOBase) -> Digest | None:
        """Send a large blob on as it comes, under the digest that the registry proves."""
        blob = self._wanted.get(Digest.parse(digest))
        if not self._in_one or blob is None or length <= SMALL:
            return None
        if blob.size != length:
            raise BadManifest(f"the engine sends {length:,} bytes as {digest}, which has {blob.size:,}")
        self.cancel_upload(name)
        passing = _PassingBody(body, length, self._meter)
        try:
            self.target.push_blob(blob, iter(passing))
        except NotTaken as error:
            if passing.is_cut:
                raise ConnectionResetError("the engine hung up") from None
            raise StreamLost(error.message, reference=error.reference, hint=error.hint) from error
        self.sent.add(blob.digest)
        self.check_arrival()
        return blob.digest

    def accept(self, content: Content) -> None:
        """Wait for the small blobs before it; it is kept, that is all."""
        self.settle()
        self.content = content


class _PassingBody:
    """The bytes of a request as they come, each piece in the same memory: it is sent before the next is asked for."""

    def __init__(self, body: BufferedIOBase, length: int, meter: Meter | None) -> None:
        self.is_cut = False
        """Whether the engine ended it too early."""
        self._body = body
        self._left = length
        self._meter = meter

    def __iter__(self) -> Iterator[memoryview]:
        memory = memoryview(bytearray(min(_PIECE, self._left)))
        while self._left:
            count = self._received(memory[: self._left])
            self._left -= count
            if self._meter:
                self._meter.advance(count)
            yield memory[:count]

    def _received(self, memory: memoryview) -> int:
        try:
            count = self._body.readinto1(memory)
        except OSError:
            count = 0
        if not count:
            self.is_cut = True
            raise ConnectionResetError("the engine hung up")
        return count
