"""Errors, for people and for programs."""

from __future__ import annotations

import errno

import pytest

from publisher.model.errors import (
    DiskFull,
    Incomplete,
    Interrupted,
    PublishError,
    Refused,
    Stopped,
    TimeUp,
    Unreachable,
    UsageError,
    VerificationFailed,
)
from publisher.report.failure import document, paragraph, understand, with_tags_unmoved


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT], ids=errno.errorcode.get)
def test_full_disk(number: int) -> None:
    """A full disk is told as one, with the file."""
    error = understand(OSError(number, "full", "/a/file"))
    assert isinstance(error, DiskFull)
    assert error.reference == "/a/file"


def test_unexpected() -> None:
    """Anything else is unexpected, with exit code 1; an error of ours stays."""
    error = understand(ValueError("x\x1b"))
    assert (error.exit_code, error.message) == (1, "unexpected: ValueError: x\\x1b")
    assert understand(error) is error


def test_an_interrupt_behind_an_error() -> None:
    """What others' code makes of a signal is told as the signal."""
    failed = RuntimeError("cannot release un-acquired lock")
    failed.__context__ = KeyError()
    failed.__context__.__context__ = Interrupted(15)
    assert understand(failed).exit_code == 143


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        pytest.param(PublishError("it broke"), "It broke.", id="plain"),
        pytest.param(PublishError("it broke", reference="a/b:1"), "It broke (a/b:1).", id="reference"),
        pytest.param(PublishError("a/b:1 broke", reference="a/b:1"), "a/b:1 broke.", id="named-once"),
        pytest.param(PublishError("it broke", hint="mend it"), "It broke. Mend it.", id="hint"),
        pytest.param(
            PublishError("a\x1b", reference="b\x1b", hint="c\x1b"), "A\\x1b (b\\x1b). C\\x1b.", id="control-characters"
        ),
    ],
)
def test_paragraph(error: PublishError, expected: str) -> None:
    """What happened, to what, what next; nothing in it can steer a terminal."""
    assert paragraph(error) == expected


def test_document() -> None:
    """What programs read."""
    found = document(Refused("no", reference="a/b", hint="h"))
    assert (found.code, found.kind, found.message, found.reference, found.hint) == (4, "refused", "no", "a/b", "h")


AGAIN, UNMOVED = "No tag was moved; run the same command again.", "No tag was moved."
ENDS = {
    "ctrl-c": (Stopped(2), f"Interrupted. {AGAIN}"),
    "dead": (Unreachable("r.example did not answer"), f"r.example did not answer. {AGAIN}"),
    "disk": (DiskFull("no room", hint="make room"), f"No room. Make room. {AGAIN}"),
    "told": (Unreachable("gone", hint="run the same command again"), f"Gone. Run the same command again. {UNMOVED}"),
    "longer": (
        TimeUp("it took long", hint="run it again, or allow more"),
        f"It took long. Run it again, or allow more. {UNMOVED}",
    ),
    "schema": (VerificationFailed("schema 1", hint="write schema 2"), f"Schema 1. Write schema 2. {UNMOVED}"),
    "cut": (VerificationFailed("it is cut off"), f"It is cut off. {AGAIN}"),
    "unmoved": (Unreachable("gone", hint="no tag was moved: log in"), "Gone. No tag was moved: log in."),
    "refused": (Refused("the tag is taken"), f"The tag is taken. {UNMOVED}"),
    "answered": (Stopped(2, "stopped: the answer was no"), "stopped: the answer was no."),
    "slip": (UsageError("no such option"), "No such option."),
    "moved": (Incomplete("1 of 4 tags"), "1 of 4 tags."),
}


@pytest.mark.parametrize(("error", "text"), ENDS.values(), ids=ENDS)
def test_the_end_of_what_moves_tags(error: PublishError, text: str) -> None:
    """Before the first tag it says that none was moved, and what to do where a second try may do better."""
    assert paragraph(with_tags_unmoved(error)) == text
