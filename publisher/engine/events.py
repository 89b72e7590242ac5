"""What an engine says while it pushes or pulls: failures come as lines under status 200."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import requests
import urllib3

from publisher.model.digest import Digest
from publisher.model.errors import BadReference, Denied, DiskFull, PublishError, Unreachable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def read_push(pieces: Iterable[bytes], reference: str) -> Digest:
    """Read a push to its end; returns the digest that the engine reports, raises at the first error."""
    digest = None
    for event in events(pieces, reference):
        aux = event.get("aux")
        if isinstance(aux, dict) and isinstance(aux.get("Digest"), str):
            digest = _digest(aux["Digest"], reference)
    if digest is None:
        raise Unreachable("the engine's push ended without a digest", reference=reference)
    return digest


def read_pull(pieces: Iterable[bytes], reference: str) -> str:
    """Read a pull to its end; tells whether "layers", only the "manifest" or "none" of it was downloaded."""
    downloaded, ended = "manifest", False
    for event in events(pieces, reference):
        status = str(event.get("status", ""))
        if status in {"Download complete", "Pull complete"}:
            downloaded = "layers"
        ended = ended or status.startswith("Status: ")
        if "Image is up to date" in status:
            downloaded = "none" if downloaded == "manifest" else downloaded
    if not ended:
        raise Unreachable("the engine's pull broke off", reference=reference)
    return downloaded


def events(pieces: Iterable[bytes], reference: str) -> Iterator[dict[str, Any]]:
    """The JSON lines of a stream; an error line, a line that isn't JSON and a cut-off line all raise."""
    rest = b""
    for piece in _unbroken(pieces, reference):
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            if line.strip():
                yield _event(line, reference)
    if rest.strip():
        yield _event(rest, reference)


def _unbroken(pieces: Iterable[bytes], reference: str) -> Iterator[bytes]:
    try:
        yield from pieces
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        raise Unreachable(f"the engine's answer broke off: {error}", reference=reference) from error


def _digest(text: str, reference: str) -> Digest:
    try:
        return Digest.parse(text)
    except BadReference as error:
        raise Unreachable(f"the engine's push ended with a bad digest: {error}", reference=reference) from error


def _event(line: bytes, reference: str) -> dict[str, Any]:
    try:
        event = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unreachable("the engine's answer is cut off or is not JSON", reference=reference) from error
    if not isinstance(event, dict):
        raise Unreachable("the engine's answer is not what it should be", reference=reference)
    if event.get("error") is not None or event.get("errorDetail") is not None:
        raise _failure(event, reference)
    return event


def _failure(event: dict[str, Any], reference: str) -> PublishError:
    detail = event.get("errorDetail")
    text = str(event.get("error") or (detail.get("message") if isinstance(detail, dict) else detail))
    if "no space left" in text:
        return DiskFull(f"the engine has no room left: {text}", reference=reference)
    if "denied" in text or "unauthorized" in text or "no basic auth" in text:
        return Denied(f"the engine was refused: {text}", reference=reference)
    return Unreachable(f"the engine failed: {text}", reference=reference)
