"""The bytes of one blob on their way, the last of them kept to be sent again."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Feed:
    """A source of bytes that can go back a little.

    chunks: the bytes from the start; taken once. window: how many bytes that were sent are kept, asked each time,
    since blobs on their way at once share the memory.
    """

    def __init__(self, chunks: Iterator[bytes], window: Callable[[], int]) -> None:
        self.position = 0
        """Offset of the next byte to send."""
        self.pulled = 0
        """Bytes taken from the source."""
        self.failure: BaseException | None = None
        """What the source raised: never to be taken for a broken connection."""
        self._chunks = chunks
        self._window = window
        self._kept: deque[bytes] = deque()
        self._first = 0
        self._exhausted = False

    def whole(self, most: int) -> bytes | None:
        """All bytes where there are at most `most`, else None; the position stays."""
        while self.pulled <= most and not self._exhausted:
            self._pull()
        return b"".join(self._kept) if self._exhausted and self.pulled <= most else None

    def is_over(self) -> bool:
        """Whether every byte was sent; may wait for the source."""
        if self.position == self.pulled and not self._exhausted:
            self._pull()
        return self._exhausted and self.position == self.pulled

    def take(self, most: int) -> Iterator[bytes]:
        """The next bytes, at most `most` in all."""
        stop = self.position + most
        while self.position < stop and not self.is_over():
            chunk = self._next()[: stop - self.position]
            self.position += len(chunk)
            self._trim()
            yield chunk

    def rewind(self, offset: int) -> bool:
        """Go on at `offset`; False where its bytes are no longer, or not yet, at hand."""
        if not self._first <= offset <= self.pulled:
            return False
        self.position = offset
        return True

    def _pull(self) -> None:
        if self.failure is not None:
            raise self.failure
        try:
            chunk = next(self._chunks, None)
            while chunk is not None and not chunk:
                chunk = next(self._chunks, None)
        except BaseException as error:
            self.failure = error
            raise
        if chunk is None:
            self._exhausted = True
            return
        self._kept.append(chunk)
        self.pulled += len(chunk)

    def _next(self) -> bytes:
        """The kept bytes from the position to the end of their chunk; it is nearly always in the last one."""
        end = self.pulled
        for chunk in reversed(self._kept):
            begin = end - len(chunk)
            if begin <= self.position:
                return chunk[self.position - begin :]
            end = begin
        return b""

    def _trim(self) -> None:
        unneeded = self.position - self._window()
        while self._kept and self._first + len(self._kept[0]) <= unneeded:
            self._first += len(self._kept.popleft())
