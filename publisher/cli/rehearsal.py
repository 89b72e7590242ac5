"""A command in a sandbox: it says so, and that the sandbox is gone where nobody answers there."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from publisher.model.errors import EngineUnavailable, Locked, PublishError, Unreachable

if TYPE_CHECKING:
    from publisher.model.protocols import Progress

VARIABLE: Final = "PUBLISH_SANDBOX"
_SECONDS: Final = 1.0


def is_rehearsal() -> bool:
    """Whether all requests go to a sandbox."""
    return bool(os.environ.get(VARIABLE))


def tell_sandbox(progress: Progress, url: str | None) -> None:
    """The first line of a command that works on a sandbox."""
    if url:
        progress.step(f"sandbox  {url}, by {VARIABLE}: nothing leaves this machine")


def name_dead_sandbox(error: PublishError) -> PublishError:
    """The error, or one that names the sandbox which doesn't answer, and the variable that leads there."""
    url = os.environ.get(VARIABLE, "")
    if not url or not isinstance(error, Unreachable) or isinstance(error, EngineUnavailable | Locked):
        return error
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname or "", parts.port or 0), _SECONDS).close()
    except OSError:
        hint = f"start it with 'publish sandbox serve --port {parts.port}', or unset {VARIABLE}"
        return Unreachable(f"no sandbox answers at {url}, where {VARIABLE} leads", reference=url, hint=hint)
    return error
