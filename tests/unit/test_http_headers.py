"""Numbers and links of headers: one strict reader each."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from publisher.http.headers import last_byte, next_link, read_number
from publisher.http.limits import MOST_PAGES
from publisher.http.pages import PageTrail
from publisher.model.errors import VerificationFailed


@pytest.mark.parametrize(
    ("text", "number"),
    [("0", 0), ("007", 7), ("1" * 18, int("1" * 18)), *((text, None) for text in
     ("", "1" * 19, "9" * 5000, "-1", "+1", " 1", "1 ", "1_0", "1.0", "1e3", "²", "٣", "0x1f", "1,2"))],
)  # fmt: skip
def test_numbers_are_ascii_digits(text: str, number: int | None) -> None:
    """What Python would read besides, or stumble over, is no number."""
    assert read_number(text) == number


@pytest.mark.parametrize(
    ("text", "last"),
    [("0-0", 0), ("0-1023", 1023), ("bytes=0-9", 9), ("5-9", 9), *((text, None) for text in
     ("", "0", "-9", "0-", "0-²", "0-" + "9" * 5000, "bytes 0-9", "0-9/10", "a-b"))],
)  # fmt: skip
def test_the_end_of_an_upload_is_read(text: str, last: int | None) -> None:
    """As the specification writes it, or with its unit."""
    assert last_byte({"Range": text}) == last


@pytest.mark.parametrize(
    ("header", "target"),
    [
        pytest.param("", None, id="none"),
        pytest.param('</a?last=x>; rel="next"', "/a?last=x", id="by-the-book"),
        pytest.param("</a>; rel=next", "/a", id="no-quotes"),
        pytest.param("</a>; rel='next'", "/a", id="single-quotes"),
        pytest.param('</a>;Rel="Next"', "/a", id="any-case"),
        pytest.param('</a>; REL=NEXT; title="x"', "/a", id="more-parameters"),
        pytest.param('</a>; rel="last next"', "/a", id="several-relations"),
        pytest.param('</f>; rel="first", </a,b>; rel="next"', "/a,b", id="several-links"),
        pytest.param('</f>; rel="first"', None, id="another-relation"),
        pytest.param("</a>", "/a", id="no-relation"),
        pytest.param("</a>; title=x, </b>", "/a", id="no-relation-first-counts"),
        pytest.param('</a>, </b>; rel="next"', "/b", id="one-of-two-related"),
        pytest.param('/a; rel="next"', "/a", id="no-brackets"),
        pytest.param('<>; rel="next"', "", id="empty"),
    ],
)
def test_the_next_page_is_found(header: str, target: str | None) -> None:
    """However registries write it; where no link says how it is related, the first counts, as for crane."""
    assert next_link(header) == target


@pytest.mark.parametrize("header", ["/a", "a, b", "<a", "; title=x"])
def test_a_link_that_is_none_is_an_error(header: str) -> None:
    """A list that goes on somewhere must not pass for a whole one."""
    with pytest.raises(ValueError, match="Link"):
        next_link(header)


@given(st.text(alphabet=" <>;,=\"'/arelnxt\x00é", max_size=60))
def test_any_link_is_read_or_refused(header: str) -> None:
    """No other exception escapes."""
    with contextlib.suppress(ValueError):
        next_link(header)


def test_a_list_ends() -> None:
    """After 10,000 pages, or the third empty one in a row."""
    trail = PageTrail("the list", "me/app")
    for page in range(MOST_PAGES):
        trail.visit(f"/{page}")
        trail.count(page % 4)
    with pytest.raises(VerificationFailed, match="more than 10,000 pages"):
        trail.visit("/more")
    with pytest.raises(VerificationFailed, match="circle"):
        trail.visit("/7")


def test_empty_pages_lead_nowhere() -> None:
    """Three in a row may be."""
    trail = PageTrail("the list", "me/app")
    for entries in (0, 0, 0, 1, 0, 0, 0):
        trail.count(entries)
    with pytest.raises(VerificationFailed, match="more than 3 pages in a row"):
        trail.count(0)
