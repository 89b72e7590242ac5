"""What a registry's refusals mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from publisher.http.retry import TEMPORARY
from publisher.model.errors import (
    BadManifest,
    Denied,
    ImmutableTag,
    PublishError,
    Refused,
    Unreachable,
    VerificationFailed,
)

if TYPE_CHECKING:
    from publisher.http.message import Response


class BlobUnknown(VerificationFailed):
    """The registry lacks a blob or manifest that the one it was sent needs."""

    kind = "blob-unknown"


@dataclass(frozen=True, slots=True)
class Trouble:
    """An error answer, read as far as it can be: Docker Hub's abuse limit sends plain text, not JSON."""

    status: int
    codes: frozenset[str]
    text: str

    @classmethod
    def read(cls, response: Response) -> Trouble:
        """Take the codes and messages out of `response`."""
        try:
            document = msgspec.json.decode(response.content)
        except (msgspec.DecodeError, UnicodeDecodeError):
            text = response.content[:300].decode("utf-8", "replace").strip()
            return cls(response.status, frozenset(), text)
        errors = document.get("errors") if isinstance(document, dict) else None
        entries = [entry for entry in errors if isinstance(entry, dict)] if isinstance(errors, list) else []
        codes = frozenset(str(entry.get("code", "")) for entry in entries)
        return cls(response.status, codes, "; ".join(filter(None, map(_sentence, entries))))

    @property
    def said(self) -> str:
        """The registry's words, or its status."""
        return f"{self.text} (HTTP {self.status})" if self.text else f"HTTP {self.status}"


def _sentence(entry: dict[str, Any]) -> str:
    parts = (entry.get("message"), entry.get("detail"))
    return ": ".join(part for part in parts if isinstance(part, str) and part)


def refusal(response: Response, what: str, reference: object, principal: str) -> PublishError:
    """The error for an answer that isn't the hoped-for one.

    what: what was asked, as "push to". principal: who asked, for the message.
    """
    trouble = Trouble.read(response)
    named = str(reference)
    if "immutab" in trouble.text.lower():
        return ImmutableTag(f"{named} is frozen: {trouble.said}", reference=named, hint="release a new version instead")
    if trouble.status in {401, 403}:
        return _denied(trouble, what, named, principal)
    if trouble.codes & {"MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN"} and trouble.status in {400, 404}:
        return BlobUnknown(f"{named} needs content that the registry doesn't hold: {trouble.said}", reference=named)
    if trouble.status == 413:  # noqa: PLR2004 - too large
        return BadManifest(f"{named} is too large for the registry: {trouble.said}", reference=named)
    if trouble.status in TEMPORARY:
        return Unreachable(f"{what} {named} failed after retries: {trouble.said}", reference=named)
    if trouble.status in {404, 405, 501} or "UNSUPPORTED" in trouble.codes:
        return Refused(f"the registry doesn't take '{what} {named}': {trouble.said}", reference=named)
    return VerificationFailed(f"{what} {named} was not accepted: {trouble.said}", reference=named)


def _denied(trouble: Trouble, what: str, named: str, principal: str) -> Denied:
    if principal == "anonymous":
        hint = "no credentials were found: set PUBLISH_USERNAME and PUBLISH_PASSWORD, or run 'docker login'"
    else:
        hint = f"signed in as {principal}; the token may lack the right, or the repository belongs to another account"
    return Denied(f"{what} {named} was denied: {trouble.said}", reference=named, hint=hint)
