"""The pages in docs/ko are those in docs: the commands that the tests run, word for word, and all that is named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.page import read_page

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ("README", "images", "build", "run", "share", "data")
_BLOCK = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def read(page: str) -> str:
    return (DOCS / page).read_text()


def prose(page: str) -> str:
    """What is written around the blocks."""
    return _BLOCK.sub("", read(page))


def shape(text: str) -> list[str]:
    """Headings, rows, items and blocks, in their order."""
    return re.findall(r"^(#+ |\||- |\d+\. |```\w*)", text, re.MULTILINE)


def test_every_page_has_its_counterpart() -> None:
    assert {path.name for path in (DOCS / "ko").iterdir()} == {f"{page}.md" for page in PAGES}


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_are_those_that_are_run(page: str) -> None:
    """test_pages runs those of the English page; here stand the same, with the same output, in the same order."""
    assert _BLOCK.findall(read(f"ko/{page}.md")) == _BLOCK.findall(read(f"{page}.md"))
    commands = [shown.command for shown in read_page(DOCS / "ko" / f"{page}.md")]
    assert commands == [shown.command for shown in read_page(DOCS / f"{page}.md")] != []


@pytest.mark.parametrize("page", PAGES)
def test_nothing_is_left_out(page: str) -> None:
    """Every option, file and value that one names the other names too."""
    named = re.compile(r"`([^`\n]+)`")
    assert set(named.findall(prose(f"ko/{page}.md"))) == set(named.findall(prose(f"{page}.md")))


@pytest.mark.parametrize("page", PAGES[1:])
def test_the_order_is_the_same(page: str) -> None:
    """The same sections with the same tables, lists and blocks."""
    assert shape(read(f"ko/{page}.md")) == shape(read(f"{page}.md"))


@pytest.mark.parametrize("page", PAGES)
def test_it_is_in_korean(page: str) -> None:
    """Every line of prose that isn't code, a link or a table's edge is written in Hangul."""
    lines = [
        line for line in prose(f"ko/{page}.md").splitlines() if re.search(r"[A-Za-z]{4,} [a-z]{3,} [a-z]{3,}", line)
    ]
    assert [line for line in lines if not re.search(r"[가-힣]", line)] == []
