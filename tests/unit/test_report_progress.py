"""Progress on stderr."""

from __future__ import annotations

import io
import threading

import pytest

from publisher.report.progress import Teller, safe_lines, size


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        """It is."""
        return True


@pytest.mark.parametrize(
    ("quiet", "expected"), [(False, "a\nwarning: b\n"), (True, "warning: b\n")], ids=["all", "quiet"]
)
def test_lines(quiet: bool, expected: str) -> None:
    """A line a step; warnings even when quiet; no colour in a file."""
    stream = io.StringIO()
    teller = Teller(stream, quiet=quiet)
    teller.step("a")
    teller.warn("b")
    assert stream.getvalue() == expected


def test_secrets_and_controls() -> None:
    """Every line is redacted and made printable."""
    stream = io.StringIO()
    teller = Teller(stream, redact=lambda text: text.replace("canary", "***"))
    for tell in (teller.step, teller.warn, teller.trace):
        tell("canary\x1b[2J\r")
    assert stream.getvalue().count("***\\x1b[2J\\x0d") == 3
    assert "canary" not in stream.getvalue()


def test_meter_counts_without_a_terminal() -> None:
    """What was quick is not told."""
    stream = io.StringIO()
    with Teller(stream).meter("layer", 10) as meter:
        threads = [threading.Thread(target=meter.advance, args=(5,)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert stream.getvalue() == ""


def test_bar_on_a_terminal() -> None:
    """A label is text, never markup, and holds no secret."""
    stream = Terminal()
    with Teller(stream, redact=lambda text: text.replace("canary", "***")).meter("[/x] canary", 10) as meter:
        meter.advance(10)
    assert "canary" not in stream.getvalue()
    assert "[/x] ***" in stream.getvalue()


@pytest.mark.parametrize(
    "text", ["::set-output::x", "  ::add-mask::x", "a\n::x::", "\t::x::", "a ##[add-path]x"], ids=ascii
)
def test_commands_of_github(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No line is a command to GitHub's runner, which trims white space before `::`."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    shown = safe_lines(text)
    assert not any(line.lstrip().startswith("::") for line in shown.split("\n"))
    assert "##[" not in shown
    monkeypatch.delenv("GITHUB_ACTIONS")
    assert safe_lines(text) == text


@pytest.mark.parametrize(
    ("count", "expected"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (1_500_000, "1.5 MB"), (2e9, "2.0 GB"), (3e12, "3.0 TB")],
)
def test_size(count: float, expected: str) -> None:
    """Decimal units."""
    assert size(count) == expected
