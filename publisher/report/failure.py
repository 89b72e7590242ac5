"""Errors, for people and for programs."""

from __future__ import annotations

import errno

from publisher.model.errors import DiskFull, PublishError
from publisher.model.receipt import Failure


def understand(error: BaseException) -> PublishError:
    """The error to tell of: an operating system's gets its cause named, anything else is unexpected."""
    if isinstance(error, PublishError):
        return error
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return DiskFull(
            "no room left on this machine's disk", reference=error.filename, hint="make room, then run again"
        )
    return PublishError(f"unexpected: {type(error).__name__}: {error}", hint="run it with --verbose to see where")


def paragraph(error: PublishError) -> str:
    """What happened, to which reference, and what to do next."""
    text = error.message[:1].upper() + error.message[1:]
    if error.reference and error.reference not in error.message:
        text += f" ({error.reference})"
    return f"{text}." + (f" {error.hint[:1].upper()}{error.hint[1:]}." if error.hint else "")


def document(error: PublishError) -> Failure:
    """As other programs read it."""
    return Failure(
        code=error.exit_code, kind=error.kind, message=error.message, reference=error.reference, hint=error.hint
    )
