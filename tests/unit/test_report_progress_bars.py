"""Bars on a terminal, from several threads."""

from __future__ import annotations

import io
import re
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from publisher.model.errors import Denied
from publisher.report.current_image import image_named
from publisher.report.failure import document, paragraph
from publisher.report.progress import Teller


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        """It is."""
        return True


def written(stream: Terminal) -> list[str]:
    """The lines as they were sent, without control sequences."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stream.getvalue()).replace("\r", "\n").split("\n")


def test_bars_of_several_threads_share_one_display() -> None:
    """The cursor is hidden once and shown once, and every bar was there."""
    stream, together = Terminal(), Barrier(3)
    teller = Teller(stream)

    def work(number: int) -> None:
        with teller.meter(f"layer {number}", 10) as meter:
            together.wait(timeout=10)
            meter.advance(10)
            together.wait(timeout=10)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(work, range(3)))
    assert (stream.getvalue().count("\x1b[?25l"), stream.getvalue().count("\x1b[?25h")) == (1, 1)
    assert all(f"layer {number}" in stream.getvalue() for number in range(3))


def test_a_line_goes_above_the_bars() -> None:
    """A step or warning told meanwhile has a line of its own."""
    stream = Terminal()
    teller = Teller(stream)
    with teller.meter("layer", 10):
        teller.step("[bold]a step")
        teller.warn("a warning")
    teller.step("after")
    lines = written(stream)
    assert {"[bold]a step", "warning: a warning", "after"} <= set(lines)


def test_bars_end_with_an_error() -> None:
    """What went wrong is told below the bars, with the cursor shown again."""
    stream = Terminal()
    with pytest.raises(ValueError, match="x"), Teller(stream).meter("layer", 10):
        raise ValueError("x")
    assert stream.getvalue().rindex("\x1b[?25h") > stream.getvalue().rindex("layer")


def test_without_colors() -> None:
    """`--no-color` takes the colours from bars and warnings too."""
    stream = Terminal()
    teller = Teller(stream, color=False)
    with teller.meter("layer", 10) as meter:
        meter.advance(5)
        teller.warn("x")
    assert not re.search(r"\x1b\[[0-9;]*3[0-9][;m]", stream.getvalue())


def test_an_error_without_its_secrets() -> None:
    """The caller's redaction reaches every part of an error."""
    error = Denied("said canary", reference="canary/x", hint="not canary")

    def redact(text: str) -> str:
        return text.replace("canary", "***")

    found = document(error, redact)
    assert (found.message, found.reference, found.hint) == ("said ***", "***/x", "not ***")
    assert paragraph(error, redact) == "Said *** (***/x). Not ***."


def test_a_bar_tells_how_much_how_fast_and_how_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes, speed and time left, within 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")
    stream = Terminal()
    with Teller(stream).meter("layer sha256:0123456789ab", 20_000_000) as meter:
        for _ in range(3):
            meter.advance(4_000_000)
            time.sleep(0.2)
    shown = [line for line in written(stream) if "12.0/20.0 MB" in line]
    assert any(re.search(r"MB/s \d\d:\d\d left", line) for line in shown), written(stream)
    assert all(len(line) <= 80 for line in written(stream))


def test_several_images_have_a_line_each() -> None:
    """In one frame: what each does now and how far its bytes are; warnings of one stand above with its name."""
    stream = Terminal()
    teller = Teller(stream)
    with teller.images(["api", "web"]):
        for name in ("api", "web"):
            with image_named(name):
                teller.step(f"push     oci:{name}")
                with teller.meter("copy", 10) as meter:
                    meter.advance(10)
        with image_named("web"):
            teller.warn("it is slow")
    text = " ".join(written(stream))
    assert re.search(r"api +push oci:api", text)
    assert re.search(r"web +push oci:web", text)
    assert "warning: web: it is slow" in written(stream)
    assert (stream.getvalue().count("\x1b[?25l"), stream.getvalue().count("\x1b[?25h")) == (1, 1)


def test_lines_of_several_images_elsewhere() -> None:
    """Where nothing is redrawn, every line says which image it is of."""
    stream = io.StringIO()
    teller = Teller(stream)
    with teller.images(["api", "web"]), image_named("api"):
        teller.step("pushed   sha256:1")
        teller.warn("it is slow")
    assert stream.getvalue().splitlines() == ["api: pushed   sha256:1", "warning: api: it is slow"]


def test_a_bar_tells_no_time_before_it_knows_one() -> None:
    """At the start, and at the end, there is neither a question mark nor a word without its number."""
    stream = Terminal()
    with Teller(stream).meter("push", 1000) as meter:
        time.sleep(0.2)
        meter.advance(1000)
        time.sleep(0.2)
    shown = [line for line in written(stream) if line.startswith("push")]
    assert shown
    assert not [line for line in shown if "?" in line or line.rstrip().endswith("-- left")]
    assert all(re.search(r"[0-9]{2}:[0-9]{2} left$", line.rstrip()) for line in shown if "left" in line)


def test_a_total_that_was_an_estimate_grows() -> None:
    """More than the engine told may come: headers and padding of an archive."""
    stream = Terminal()
    with Teller(stream).meter("push", 1000) as meter:
        meter.advance(2000)
        time.sleep(0.2)
    last = [line for line in written(stream) if line.startswith("push")][-1]
    assert "2.0/2.0 kB" in last
