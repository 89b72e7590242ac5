"""What Docker Hub's API says when it doesn't do what was asked."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from publisher.http.retry import TEMPORARY
from publisher.model.errors import Denied, ImmutableTag, PublishError, Refused, Unreachable

if TYPE_CHECKING:
    from publisher.http.message import Response

_LONGEST = 300
_DENIED = frozenset({401, 403})
_ABSENT = 404
_TOKENS = "https://app.docker.com/settings/personal-access-tokens"


def message_of(content: bytes) -> str:
    """The words of an error answer, which comes in three shapes, or as plain text from the abuse limit.

    Source: Docker Hub API 2-beta: {detail, message}, {errinfo, detail, message}, {fields, text}.
    """
    try:
        document: Any = json.loads(content)
    except (ValueError, RecursionError):
        return content.decode("utf-8", "replace").strip()[:_LONGEST]
    if not isinstance(document, dict):
        return ""
    first = next((text for key in ("message", "detail", "text") if isinstance(text := document.get(key), str)), "")
    parts = [first, *_fields(document.get("fields")), *_fields(document.get("errinfo"))]
    return "; ".join(part for part in parts if part)[:_LONGEST]


def _fields(fields: object) -> list[str]:
    if not isinstance(fields, dict):
        return []
    return [f"{key}: {_listed(value)}" for key, value in fields.items()]


def _listed(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def error_of(response: Response, what: str, reference: object, *, who: str, right: str) -> PublishError:
    """The error for an answer that isn't the hoped-for one.

    what: what was asked, as "change the description of". who: as whom, "" for nobody. right: what it takes.
    """
    message = message_of(response.content)
    reason = f"{message} (HTTP {response.status})" if message else f"HTTP {response.status}"
    if response.status in _DENIED and "immutab" in message.lower():
        return ImmutableTag(f"Docker Hub doesn't {what} {reference}: {reason}", reference=reference)
    if response.status in _DENIED:
        return Denied(
            f"Docker Hub doesn't let {who or 'a stranger'} {what} {reference}: {reason}",
            reference=reference,
            hint=_way_forward(message, who, right),
        )
    if response.status == _ABSENT:
        hint = "check the name; 'publish hub create' makes a repository"
        return Refused(f"Docker Hub has no {reference}, or {who or 'a stranger'} may not see it", hint=hint)
    if response.status in TEMPORARY:
        return Unreachable(f"Docker Hub's API failed after retries: {reason}", reference=reference)
    return Refused(f"Docker Hub refuses to {what} {reference}: {reason}", reference=reference)


def _way_forward(message: str, who: str, right: str) -> str:
    if not who:
        return "sign in: publish login docker.io"
    if "organization access token" in message:
        return "this route takes no organization access token: use a personal one"
    return f"it takes {right}; tokens are made at {_TOKENS}"
