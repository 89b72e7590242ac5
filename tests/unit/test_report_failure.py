"""Errors, for people and for programs."""

from __future__ import annotations

import errno

import pytest

from publisher.model.errors import DiskFull, Interrupted, PublishError, Refused
from publisher.report.failure import document, paragraph, understand


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
