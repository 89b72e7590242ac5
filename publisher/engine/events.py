"""What an engine says while it pushes or pulls: failures come as lines under status 200."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from publisher.engine.errors import BREAKS, broken_off, engine_error
from publisher.model.digest import Digest
from publisher.model.errors import BadReference, PublishError, Unreachable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import requests


_PIECE: Final = 1 << 20
# What engines put behind an export that failed under status 200; no tar archive ends so.
_ERROR: Final = b'{"errorDetail"'


def pieces(response: requests.Response, reference: str) -> Iterator[bytes]:
    """The body as it arrives, in pieces of at most 1 MiB; raises Unreachable where it breaks off."""
    try:
        yield from response.raw.stream(_PIECE, decode_content=False)
    except BREAKS as error:
        raise broken_off(reference, error) from error


class ExportStream(io.RawIOBase):
    """An export as a file; raises Unreachable where it breaks off, DiskFull or Unreachable where the engine says so."""

    def __init__(self, chunks: Iterator[bytes], reference: str) -> None:
        self._pieces = chunks
        self._reference = reference
        self._rest = memoryview(b"")
        self._ahead: bytes | None = None

    def readable(self) -> bool:
        """Whether it can be read: it can."""
        return True

    def readinto(self, buffer: memoryview | bytearray) -> int:  # type: ignore[override]  # all that `io` gives it
        """Fill as much of `buffer` as has come; 0 is the end."""
        if not self._rest:
            self._rest = memoryview(self._fetch())
        length = min(len(buffer), len(self._rest))
        buffer[:length] = self._rest[:length]
        self._rest = self._rest[length:]
        return length

    def _fetch(self) -> bytes:
        piece = next(self._pieces, b"") if self._ahead is None else self._ahead
        self._ahead = None
        if piece.startswith(_ERROR):
            # A layer's own bytes may look so; only at the very end they are the engine's words.
            self._ahead = next(self._pieces, b"")
            if not self._ahead:
                raise engine_error(_words(piece), self._reference)
        return piece


def _words(piece: bytes) -> str:
    try:
        return str(msgspec.json.decode(piece)["errorDetail"]["message"])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError, TypeError):
        return piece[:500].decode(errors="replace")


_PUSHED: Final = re.compile(r": digest: (\S+) size: \d+$")
"""What an engine with a containerd store says at the end, and says nowhere else."""
_LONGEST_LINE: Final = 1 << 20
_DOWNLOADED: Final = frozenset({"Download complete", "Pull complete"})


def read_push(pieces: Iterable[bytes], reference: str) -> Digest:
    """Read a push to its end; returns the digest that the engine reports, raises at the first error."""
    digest: Digest | None = None
    for event in events(pieces, reference):
        aux = event.get("aux")
        if isinstance(aux, dict) and "Digest" in aux:
            value = _digest(aux["Digest"], reference)
        elif match := _PUSHED.search(str(event.get("status", ""))):
            value = _digest(match[1], reference)
        else:
            continue
        if digest not in {None, value}:
            raise Unreachable("the engine's push reports two digests", reference=reference)
        digest = value
    if digest is None:
        raise Unreachable("the engine's push ended without a digest", reference=reference)
    return digest


def _digest(text: object, reference: str) -> Digest:
    try:
        return Digest.parse(str(text))
    except BadReference as error:
        raise Unreachable(f"the engine's push reports a bad digest: {error.message}", reference=reference) from error


def read_pull(pieces: Iterable[bytes], reference: str) -> str:
    """Read a pull to its end; tells whether "layers", only the "manifest" or "none" of it was downloaded."""
    last: dict[str, Any] = {}
    layers = set[str]()
    docker = False
    for last in events(pieces, reference):
        status = str(last.get("status", ""))
        docker = docker or status.startswith("Pulling from ")
        if status in _DOWNLOADED:
            layers.add(str(last.get("id")))
    # Docker's last words are "Status: …"; podman's name the image, by its config, as one more thing downloaded.
    status = str(last.get("status", ""))
    if not status.startswith("Status: ") and (docker or status not in _DOWNLOADED):
        raise Unreachable("the engine's pull broke off", reference=reference)
    if layers - {str(last.get("id"))}:
        return "layers"
    return "none" if status.startswith("Status: Image is up to date") else "manifest"


def events(pieces: Iterable[bytes], reference: str) -> Iterator[dict[str, Any]]:
    """The JSON lines of a stream; an error line, a line that isn't JSON and a cut-off line all raise."""
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        if len(rest) > _LONGEST_LINE:
            raise Unreachable("the engine's answer has an endless line", reference=reference)
        for line in lines:
            if line.strip():
                yield _event(line, reference)
    if rest.strip():
        raise Unreachable("the engine's answer is cut off", reference=reference)


def _event(line: bytes, reference: str) -> dict[str, Any]:
    try:
        event = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unreachable("the engine's answer is not JSON", reference=reference) from error
    if not isinstance(event, dict):
        raise Unreachable("the engine's answer is not what it should be", reference=reference)
    if "error" in event or "errorDetail" in event:
        raise _failure(event, reference)
    return event


def _failure(event: dict[str, Any], reference: str) -> PublishError:
    detail = event.get("errorDetail")
    message = detail.get("message") if isinstance(detail, dict) else detail
    return engine_error(str(event.get("error") or message or "it doesn't say why"), reference)
