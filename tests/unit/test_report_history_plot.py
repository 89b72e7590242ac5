"""A repository's tags over time, from receipts; and the picture of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from publisher.model.plan import Kind
from publisher.model.receipt import State
from publisher.report.history_plot import history_svg, timelines, version_key
from tests.support.receipts import change, receipt, release_receipt, year_of_receipts

if TYPE_CHECKING:
    from publisher.model.receipt import Receipt

PICTURE = Path(__file__).parents[2] / "docs" / "tag-history.svg"
ONE, TWO, THREE = ("sha256:" + sign * 64 for sign in "abc")


STORY = [
    release_receipt(3, "1.0.0", ONE, change("latest", None, ONE, "1.0.0"), change("1", None, ONE, "1.0.0")),
    release_receipt(9, "1.1.0", TWO, change("latest", ONE, TWO, "1.1.0"), change("1", ONE, TWO, "1.1.0")),
    receipt(
        10, change("yanked-1.1.0", None, TWO, "1.1.0", kind=Kind.REF), change("latest", TWO, ONE, "1.0.0"),
        change("1", TWO, ONE, "1.0.0", state=State.NOT_DONE), command="yank",
    ),
    receipt(
        12, change("yanked-1.1.0", TWO, None, "1.1.0", kind=Kind.REF), change("latest", ONE, TWO, "1.1.0"),
        command="yank",
    ),
    receipt(20, change("latest", TWO, None, state=State.RESTORED), command="undo"),
]  # fmt: skip


def stays(tag: str, *receipts: Receipt) -> list[tuple[str, int | None, int | None]]:
    """The stays of one tag."""
    return [(one.version, one.begin, one.end) for one in timelines(receipts)[0].lanes[tag]]


def test_stays() -> None:
    """From release to release, back with a yank, gone with an undo; in the order of time, whatever was given first."""
    assert stays("latest", *reversed(STORY)) == [("1.0.0", 0, 1), ("1.1.0", 1, 2), ("1.0.0", 2, 3), ("1.1.0", 3, 4)]
    assert stays("1", *STORY) == [("1.0.0", 0, 1), ("1.1.0", 1, None)]
    events = [(event.command, event.version) for event in timelines(STORY)[0].events]
    assert events == [
        ("release", "1.0.0"), ("release", "1.1.0"), ("yank", "1.1.0"), ("yank --undo", "1.1.0"), ("undo", ""),
    ]  # fmt: skip


def test_what_was_before_the_first_receipt() -> None:
    """A tag that held something already, by its version where a receipt knows it, else by its digest."""
    later = release_receipt(4, "1.1.0", TWO, change("latest", ONE, TWO, "1.1.0"))
    assert stays("latest", later) == [("aaaaaaa", None, 0), ("1.1.0", 0, None)]


def test_a_restored_tag_is_named_by_what_it_holds() -> None:
    """An undo's own version is that of what it undid."""
    undone = receipt(11, change("latest", TWO, ONE, "1.1.0", state=State.RESTORED), command="undo")
    assert stays("latest", *STORY[:2], undone)[-1] == ("1.0.0", 2, None)


def test_what_others_moved_is_seen_at_the_next_run() -> None:
    """A kept tag tells what it held then."""
    kept = release_receipt(11, "1.0.1", THREE, change("latest", ONE, ONE, "1.0.0", state=State.KEPT))
    assert stays("latest", *STORY[:2], kept) == [("1.0.0", 0, 1), ("1.1.0", 1, 2), ("1.0.0", 2, None)]


def test_lanes_and_repositories() -> None:
    """`latest` first, the newest line above older ones; repositories by name; runs that wrote nothing are no events."""
    tags = ["1.9", "latest", "1.10", "2", "1", "latest-alpine", "edge"]
    many = release_receipt(5, "2.0.0", ONE, *(change(tag, None, ONE, "2.0.0") for tag in tags))
    other = receipt(6, change("1.0.0", None, ONE, "1.0.0", kind=Kind.EXACT, repository="acme/aaa"), version="1.0.0")
    quiet = receipt(7, change("latest", ONE, ONE, "2.0.0", state=State.UNCHANGED), version="2.0.0")
    first, second = timelines([many, other, quiet])
    assert [first.repository, second.repository] == ["acme/aaa", "acme/app"]
    assert list(second.lanes) == ["latest", "latest-alpine", "2", "1", "1.10", "1.9", "edge"]
    assert len(second.events) == 1


def test_versions_sort_as_versions() -> None:
    """By numbers; a prerelease before its release."""
    found = ["1.10.0", "1.9.0", "1.10.0-rc.10", "1.10.0-rc.9", "v2"]
    assert sorted(found, key=version_key) == ["1.9.0", "1.10.0-rc.9", "1.10.0-rc.10", "1.10.0", "v2"]


def test_the_picture_is_made_of_the_receipts() -> None:
    """Well-formed, every stay named with its digest, and the same again, byte for byte."""
    picture = history_svg(STORY)
    root = ET.fromstring(picture)
    titles = [one.text or "" for one in root.iter("{http://www.w3.org/2000/svg}title")]
    assert f"1.1.0 since 2026-01-09T09:00:00Z until 2026-01-10T09:00:00Z: {TWO}" in titles
    assert "prefers-color-scheme:dark" in picture
    assert picture == history_svg(reversed(STORY))
    assert not re.search(r"(href|src|url\(|@import|http(?!://www\.w3\.org))", picture), (
        "nothing is loaded from elsewhere"
    )


def test_without_anything_to_draw() -> None:
    """No receipt, or none that wrote a tag."""
    assert history_svg([]) == ""
    assert history_svg([receipt(1, change("latest", ONE, ONE, state=State.UNCHANGED))]) == ""


@pytest.mark.parametrize(
    "text", ["<script>alert(1)</script>", '"><g onload="x">', "a&b", "]]>", "\x1b[31m\u202e\x00", "x" * 500], ids=ascii
)
def test_hostile_words(text: str) -> None:
    """A receipt is a file that anybody may have written: none of its words becomes markup or a control character."""
    hostile = receipt(3, change("latest", None, ONE, text), command=text, version=text)
    picture = history_svg([hostile])
    root = ET.fromstring(picture)
    assert {one.tag.rpartition("}")[2] for one in root.iter()} <= {
        "svg", "style", "g", "rect", "text", "path", "circle", "title",
    }  # fmt: skip
    assert not any(name.startswith("on") for one in root.iter() for name in one.attrib)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", picture)


def test_the_documented_picture(request: pytest.FixtureRequest) -> None:
    """docs/tag-history.svg is what half a year of receipts gives; --update-screens draws it again."""
    picture = history_svg(year_of_receipts())
    if request.config.getoption("update_screens"):
        PICTURE.write_text(picture)
    assert PICTURE.read_text() == picture
