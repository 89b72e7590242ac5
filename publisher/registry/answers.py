"""What a registry's refusals mean."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from publisher.http.retry import TEMPORARY
from publisher.model.errors import (
    BadManifest,
    BadReference,
    Denied,
    ImmutableTag,
    PublishError,
    QuotaUsedUp,
    Refused,
    Unreachable,
    VerificationFailed,
)
from publisher.model.value import Value

if TYPE_CHECKING:
    from publisher.http.message import Response

# Registries word it differently: Docker Hub and ECR "immutability"/"immutable", ECR's older exception its own name.
_FROZEN = ("immutab", "imagetagalreadyexists")
# Harbor says 403 "… will exceed the configured upper limit …", others 400, 403, 412 or 413 in their own words.
_FULL = re.compile(
    r"quota.{0,40}(?:exceed|used up|reached|limit)|(?:exceed|over|reached).{0,40}quota|configured upper limit"
    r"|storage limit|out of storage|no space left",
    re.IGNORECASE,
)
_INSUFFICIENT_STORAGE = 507
_LACKS_BLOBS = frozenset({"MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN"})
_LONGEST_TEXT = 300


class BlobUnknown(VerificationFailed):
    """The registry lacks a blob or manifest that the one it was sent needs; sending those again may help."""

    kind = "blob-unknown"


class DigestPushRefused(Refused):
    """The registry takes manifests by tag only."""


class ErrorResponse(Value, frozen=True):
    """An error answer, read as far as it can be: Docker Hub's abuse limit sends plain text, not JSON."""

    status: int
    codes: frozenset[str]
    text: str
    is_frozen: bool = False
    is_full: bool = False

    @classmethod
    def read(cls, response: Response) -> ErrorResponse:
        """Take the codes and messages out of `response`."""
        raw = response.content.decode("utf-8", "replace")
        entries = _entries(raw)
        codes = frozenset(str(entry.get("code", "")).upper() for entry in entries) - {""}
        text = "; ".join(filter(None, map(_sentence, entries))) or ("" if entries else raw[:_LONGEST_TEXT].strip())
        is_frozen = response.status < 500 and any(word in raw.lower() for word in _FROZEN)  # noqa: PLR2004 - its own fault
        is_full = response.status == _INSUFFICIENT_STORAGE or _FULL.search(raw) is not None
        return cls(response.status, codes, text[: 3 * _LONGEST_TEXT], is_frozen, is_full)

    @property
    def summary(self) -> str:
        """The registry's words, or its status."""
        return f"{self.text} (HTTP {self.status})" if self.text else f"HTTP {self.status}"


def _entries(raw: str) -> list[dict[str, Any]]:
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError):
        return []
    errors = document.get("errors") if isinstance(document, dict) else None
    return [entry for entry in errors if isinstance(entry, dict)] if isinstance(errors, list) else []


def _sentence(entry: dict[str, Any]) -> str:
    parts = (entry.get("message") or entry.get("code"), entry.get("detail"))
    return ": ".join(part for part in parts if isinstance(part, str) and part)


def refusal(response: Response, what: str, reference: object, principal: str, challenge: str = "") -> PublishError:
    """The error for an answer that isn't the hoped-for one.

    what: what was asked, as "push to". principal: who asked, for the message. challenge: the login that it wants.
    """
    details = ErrorResponse.read(response)
    name = str(reference)
    if details.is_frozen:
        return ImmutableTag(
            f"{name} is frozen: {details.summary}", reference=name, hint="release a new version instead"
        )
    if details.is_full:
        hint = "make room there or raise the quota, then run the same command again"
        return QuotaUsedUp(f"there is no room left for {name}: {details.summary}", reference=name, hint=hint)
    if details.status in {401, 403} or details.codes & {"DENIED", "UNAUTHORIZED"}:
        schemes = challenge.lower()
        is_password = details.status == 401 and "basic" in schemes and "bearer" not in schemes  # noqa: PLR2004 - unknown
        return _denied(details, what, name, principal, is_password=is_password)
    if details.status in TEMPORARY:
        return Unreachable(f"{what} {name} failed after retries: {details.summary}", reference=name)
    return _by_code(details, name) or _by_status(details, what, name)


def _by_code(details: ErrorResponse, name: str) -> PublishError | None:
    codes = details.codes
    if codes & _LACKS_BLOBS:
        return BlobUnknown(f"{name} needs content that the registry doesn't hold: {details.summary}", reference=name)
    if "NAME_UNKNOWN" in codes:
        hint = "create the repository first, or check its name"
        return Refused(f"there is no repository for {name}: {details.summary}", reference=name, hint=hint)
    if "MANIFEST_INVALID" in codes:
        return BadManifest(f"the registry doesn't take {name}: {details.summary}", reference=name)
    if codes & {"TAG_INVALID", "NAME_INVALID"}:
        return BadReference(f"the registry doesn't take the name {name}: {details.summary}", reference=name)
    return None


def _by_status(details: ErrorResponse, what: str, name: str) -> PublishError:
    if details.status == 413:  # noqa: PLR2004 - too large
        return BadManifest(f"{name} is too large for the registry: {details.summary}", reference=name)
    if details.status in {404, 405, 501} or "UNSUPPORTED" in details.codes:
        return Refused(f"the registry doesn't support {what} {name}: {details.summary}", reference=name)
    if details.status >= 500:  # noqa: PLR2004 - the registry's own fault
        return Unreachable(f"{what} {name} failed: {details.summary}", reference=name)
    return VerificationFailed(f"{what} {name} was not accepted: {details.summary}", reference=name)


def _denied(details: ErrorResponse, what: str, name: str, principal: str, *, is_password: bool) -> Denied:
    """is_password: the registry itself wants a user and a password, so that it has looked at these."""
    host = name.partition("/")[0]
    ways = f"run 'publish login {host}', or set PUBLISH_USERNAME and PUBLISH_PASSWORD"
    if principal == "anonymous":
        hint = f"no credentials were found: {ways}"
    elif is_password:
        message = f"{what} {name} was denied: {host} does not accept the user name and password of {principal}"
        return Denied(f"{message}: {details.summary}", reference=name, hint=f"correct them: {ways}")
    else:
        hint = f"signed in as {principal}; the token may lack the right, or the repository belongs to another account"
    who = "without credentials" if principal == "anonymous" else f"as {principal}"
    return Denied(f"{what} {name} {who} was denied: {details.summary}", reference=name, hint=hint)
