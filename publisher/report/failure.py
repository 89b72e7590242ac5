"""Errors, for people and for programs."""

from __future__ import annotations

import re
import signal
from typing import TYPE_CHECKING, Final

from publisher.model.errors import (
    NO_ROOM,
    ConfigError,
    DiskFull,
    Incomplete,
    Interrupted,
    PublishError,
    Stopped,
    UsageError,
    VerificationFailed,
)
from publisher.model.printable import printable
from publisher.model.receipt import Failure

if TYPE_CHECKING:
    from collections.abc import Callable


def understand(error: BaseException) -> PublishError:
    """The error to tell of: an operating system's gets its cause named, anything else is unexpected."""
    if isinstance(error, PublishError):
        return error
    if isinstance(error, Interrupted):
        return error.as_error()
    if isinstance(error, KeyboardInterrupt):
        return Stopped(signal.SIGINT)
    if isinstance(error, OSError) and error.errno in NO_ROOM:
        return DiskFull(
            "no room left on this machine's disk", reference=error.filename, hint="make room, then run again"
        )
    if interrupt := _interrupt_behind(error):
        return interrupt.as_error()
    return PublishError(f"unexpected: {type(error).__name__}: {error}", hint="run it with --verbose to see where")


_MENDABLE: Final = frozenset({1, 5, 6})
"""Exit codes of what a second try may mend; a refusal would be the same again.

What failed to verify and says what to do about it (another format, another manifest) would be so too.
"""
_AGAIN: Final = re.compile(r"run (the same|it again)")
_UNMOVED: Final = "no tag was moved"


def with_tags_unmoved(error: PublishError) -> PublishError:
    """The error with what it left behind, of a command that moves tags and has moved none: nothing; what to do next."""
    hint = error.hint or ""
    by_answer = isinstance(error, Stopped) and not error.by_signal
    if by_answer or isinstance(error, UsageError | ConfigError | Incomplete) or _UNMOVED in hint:
        return error
    mendable = error.exit_code in _MENDABLE and not (isinstance(error, VerificationFailed) and hint)
    again = (isinstance(error, Stopped) or mendable) and not _AGAIN.search(hint)
    unmoved = f"{_UNMOVED}; run the same command again" if again else _UNMOVED
    # What says how to go on already is told first.
    error.hint = f"{_sentence(hint)} {_sentence(unmoved)}" if hint else unmoved
    return error


def _interrupt_behind(error: BaseException) -> Interrupted | None:
    """The signal that broke off what then failed: others' code may turn it into an error of its own."""
    behind: BaseException | None = error
    while behind is not None and not isinstance(behind, Interrupted):
        behind = behind.__cause__ or behind.__context__
    return behind


def paragraph(error: PublishError, redact: Callable[[str], str] = str) -> str:
    """What happened, to which reference, and what to do next; `redact` takes the secrets out."""
    text = error.message
    if error.reference and error.reference not in error.message:
        text += f" ({printable(error.reference)})"
    return redact(" ".join(_sentence(part) for part in (text, printable(error.hint or "")) if part))


def _sentence(text: str) -> str:
    """Begin with a capital, unless it is a name that would be changed by it, and end with a mark."""
    first = text.partition(" ")[0]
    sentence = text if set(first) & set(".:/'") else text[:1].upper() + text[1:]
    return sentence if sentence[-1] in ".?!…" else f"{sentence}."


def document(error: PublishError, redact: Callable[[str], str] = str) -> Failure:
    """As other programs read it; `redact` takes the secrets out."""
    return Failure(
        code=error.exit_code,
        kind=error.kind,
        message=redact(error.message),
        reference=error.reference and redact(error.reference),
        hint=error.hint and redact(error.hint),
    )
