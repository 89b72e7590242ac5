"""Commands to GitHub's runner."""

from __future__ import annotations

import io
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from publisher.model.value import Place
from publisher.report.progress import Teller
from publisher.report.workflow_commands import annotation, workflow_command

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("100% sure", "::error::100%25 sure"),
        ("one\ntwo", "::error::one%0Atwo"),
        ("a\r\n::stop-commands::x", "::error::a\\x0d%0A::stop-commands::x"),
        ("##[add-path]/evil", "::error::# #[add-path]/evil"),
        ("\x1b[31m\u202e", "::error::\\x1b[31m\\u202e"),
    ],
)
def test_nothing_ends_a_command(text: str, line: str) -> None:
    """Neither a line break, nor a command of the older kind, nor what a terminal obeys."""
    assert annotation("error", text) == line


def test_properties_are_parted_from_the_text() -> None:
    assert workflow_command("error", "x", file="a,b:c", line="3") == "::error file=a%2Cb%3Ac,line=3::x"
    assert workflow_command("endgroup") == "::endgroup::"


def test_a_place_is_told_as_github_knows_it(tmp_path: Path) -> None:
    """Relative to the checkout; a file elsewhere, or of nobody's, is left out."""
    environ = {"GITHUB_WORKSPACE": str(tmp_path)}
    file = str(tmp_path / "a" / "publish.toml")
    assert annotation("warning", "x", Place(file, 3), environ) == "::warning file=a/publish.toml,line=3::x"
    assert annotation("warning", "x", Place(file), environ) == "::warning file=a/publish.toml::x"
    assert annotation("warning", "x", Place("/elsewhere", 3), environ) == "::warning::x"
    assert annotation("warning", "x", Place(file, 3), {}) == "::warning::x"


@given(st.text(), st.text(min_size=1))
def test_whatever_is_told_is_one_line(text: str, file: str) -> None:
    """So no second command can begin, and the text is the only thing behind the properties."""
    line = workflow_command("warning", text, file=file)
    assert not set(line) & set("\r\n")
    assert line.count("::", 2) >= 1
    properties, _, _ = line.removeprefix("::warning ").partition("::")
    assert properties.startswith("file=")
    assert not set(properties.removeprefix("file=")) & set(":,")


def test_a_group_ends_before_the_error_that_ended_it() -> None:
    """Warnings are annotations; what is folded is closed whatever happens."""
    stream = io.StringIO()
    teller = Teller(stream, annotates=True)
    with suppress(ZeroDivisionError), teller.group("build    x"):
        teller.step("step 1 of 2")
        teller.warn("careful", Place("Dockerfile", 2))
        teller.step(str(1 / 0))
    assert stream.getvalue().splitlines() == [
        "::group::build    x",
        "step 1 of 2",
        "::warning::careful",
        "::endgroup::",
    ]


def test_elsewhere_a_group_is_a_step() -> None:
    stream = io.StringIO()
    with Teller(stream).group("build    x"):
        pass
    assert stream.getvalue() == "build    x\n"
