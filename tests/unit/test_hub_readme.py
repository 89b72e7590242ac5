"""A README as Docker Hub shows it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from publisher.hub.readme import MOST_DESCRIPTION, MOST_README, Home, make_description, make_readme

HOME = Home("https://github.com/acme/app")
BLOB, RAW = "https://github.com/acme/app/blob/HEAD", "https://github.com/acme/app/raw/HEAD"


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("[a](docs/a.md)", f"[a]({BLOB}/docs/a.md)"),
        ("[a](./docs/../b.md#part)", f"[a]({BLOB}/b.md#part)"),
        ("[a](/LICENSE)", f"[a]({BLOB}/LICENSE)"),
        ("[a](<docs/a.md> 'title')", f"[a](<{BLOB}/docs/a.md> 'title')"),
        ('[a](docs/a.md "title")', f'[a]({BLOB}/docs/a.md "title")'),
        ("[a](docs/a_(b).md)", f"[a]({BLOB}/docs/a_(b).md)"),
        ("![a](logo.svg?raw=1)", f"![a]({RAW}/logo.svg?raw=1)"),
        ("[![b](badge.svg)](ci.md)", f"[![b]({RAW}/badge.svg)]({BLOB}/ci.md)"),
        ("[a]: docs/a.md", f"[a]: {BLOB}/docs/a.md"),
        ("[logo]: logo.png", f"[logo]: {RAW}/logo.png"),
        ('<img src="logo.png" width=10>', f'<img src="{RAW}/logo.png" width=10>'),
        (
            '<source srcset="docs/dark.png 1x, docs/dark@2x.png 2x">',
            f'<source srcset="{RAW}/docs/dark.png 1x, {RAW}/docs/dark@2x.png 2x">',
        ),
        ("<img srcset='a.png, /b.png 480w'>", f"<img srcset='{RAW}/a.png, {RAW}/b.png 480w'>"),
        ('<img srcset="https://x.example/a,b.png 2x">', '<img srcset="https://x.example/a,b.png 2x">'),
        ("<a href='a.md'>a</a>", f"<a href='{BLOB}/a.md'>a</a>"),
        ("[a](https://example.com/a.md)", "[a](https://example.com/a.md)"),
        ("[a](//example.com/a.md)", "[a](//example.com/a.md)"),
        ("[a](mailto:me@example.com)", "[a](mailto:me@example.com)"),
        ("[a](#part)", "[a](#part)"),
        ("[a](../outside.md)", "[a](../outside.md)"),
        ("`[a](docs/a.md)`", "`[a](docs/a.md)`"),
        ("``[a](b.md) ` [c](d.md)``", "``[a](b.md) ` [c](d.md)``"),
        ("```\n[a](docs/a.md)\n```\n", "```\n[a](docs/a.md)\n```\n"),
        ("    [a](docs/a.md)\n", "    [a](docs/a.md)\n"),
        ("a [b] (c.md)", "a [b] (c.md)"),
    ],
)
def test_relative_links_become_absolute(written: str, shown: str) -> None:
    assert make_readme(written, HOME).text == shown


def test_links_are_relative_to_the_readme() -> None:
    home = Home("https://gitlab.com/acme/app", "images/api")
    assert make_readme("[a](a.md) ![b](../b.png)", home).text == (
        "[a](https://gitlab.com/acme/app/-/blob/HEAD/images/api/a.md) "
        "![b](https://gitlab.com/acme/app/-/raw/HEAD/images/b.png)"
    )


def test_without_a_remote_links_stay() -> None:
    assert make_readme("[a](a.md)", Home()).text == "[a](a.md)"


def test_a_long_readme_is_cut_before_a_section() -> None:
    sections = "".join(f"## Section {number}\n\n{'ä' * 400}\n\n" for number in range(50))
    shown = make_readme(f"# Title\n\nWords.\n\n{sections}", HOME, "https://example.com/README.md")
    assert shown.cut
    assert len(shown.text.encode()) <= MOST_README
    body, _, note = shown.text.rpartition("\n\n")
    assert note == "[Read on](https://example.com/README.md)\n"
    assert body.endswith("ä" * 400)
    assert sections.count("## ") > body.count("## ") > 25


def test_a_heading_in_code_is_no_section() -> None:
    """Nor does the code swallow what follows: the block is closed."""
    text = f"# Title\n\nWords.\n\n```\n{'# not a heading, only code' * 10}\n" + "# no\n" * 6000 + "```\n"
    shown = make_readme(text, HOME)
    assert shown.text.endswith("# no\n```\n\n…\n")
    assert MOST_README - 10 < shown.size <= MOST_README


TABLE = "".join(f"| 1.{number}.0 | {'x' * 60} |\n" for number in range(600))
LONG = {
    "paragraph": (f"# App\n\n{'한' * 12000}", "한"),
    "fence": (f"# App\n\n```\n{'x' + chr(10)}{'x' + chr(10)}{('x' + chr(10)) * 14000}```", "\nx\n```"),
    "table": (f"# App\n\nShort.\n\n## Tags\n\n| tag | digest |\n|---|---|\n{TABLE}\n## Licence\n\nMIT", "x |"),
    "items": ("# App\n\n" + f"- {'item ' * 20}end\n" * 400 + "\n## Licence\n\nMIT", "- " + "item " * 20 + "end"),
    "paragraphs": ("# App\n\n" + f"{'word ' * 30}end\n\n" * 300, "word end"),
    "lines": ("# App\n\n" + f"{'word ' * 30}end\n" * 300, "word end"),
    "late heading": (f"# App\n\n{'w ' * 10000}\n\n## Last\n\n{'v ' * 9000}", "w w"),
}


@pytest.mark.parametrize(("text", "end"), LONG.values(), ids=LONG)
def test_a_cut_leaves_at_least_half(text: str, end: str) -> None:
    """Wherever the headings stand; rows, items, paragraphs and lines stay whole."""
    shown = make_readme(text, HOME)
    assert shown.cut
    assert shown.whole == len(text.encode())
    assert MOST_README // 2 <= shown.size <= MOST_README
    assert shown.text.endswith(f"{end}\n\n…\n")


def test_what_just_fits_stays() -> None:
    text = "# A\n" + "x" * (MOST_README - 5) + "\n"
    assert (make_readme(text, HOME).text, make_readme(text, HOME).cut) == (text, False)


@given(st.text(max_size=400), st.integers(min_value=20, max_value=200))
def test_a_readme_never_has_too_many_bytes(text: str, most: int) -> None:
    shown = make_readme(text, Home(), most=most)
    assert len(shown.text.encode()) <= most
    assert shown.cut or shown.text == text


@given(st.text(max_size=300))
def test_a_description_is_one_line_of_at_most_a_hundred_bytes(text: str) -> None:
    shown = make_description(text).text
    assert len(shown.encode()) <= MOST_DESCRIPTION
    assert len(shown.splitlines()) <= 1


def test_a_description_is_cut_after_a_word() -> None:
    assert make_description("word " * 30).text == ("word " * 19).rstrip() + "…"
