"""The bytes of a blob on their way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from publisher.registry.upload import Feed

if TYPE_CHECKING:
    from collections.abc import Iterator

CHUNKS = st.lists(st.binary(max_size=12), max_size=20)


@given(chunks=CHUNKS, most=st.integers(1, 9), window=st.integers(0, 30), steps=st.lists(st.integers(0, 30), max_size=8))
def test_every_rewind_that_is_granted_gives_the_same_bytes(
    chunks: list[bytes], most: int, window: int, steps: list[int]
) -> None:
    """Whatever was sent before, the bytes from a granted offset on are the source's own."""
    whole = b"".join(chunks)
    feed = Feed(iter(chunks), lambda: window)
    for back in steps:
        b"".join(feed.take(most))
        if feed.rewind(max(0, feed.position - back)):
            begin = feed.position
            assert b"".join(feed.take(most)) == whole[begin : begin + most]
    begin = feed.position
    assert b"".join(feed.take(1 << 20)) == whole[begin:]
    assert feed.is_over()
    assert feed.pulled == len(whole)


@given(chunks=CHUNKS, window=st.integers(0, 30), most=st.integers(1, 9))
def test_what_lies_in_the_window_can_be_sent_again(chunks: list[bytes], window: int, most: int) -> None:
    """A rewind by no more than the window is always granted."""
    feed = Feed(iter(chunks), lambda: window)
    while not feed.is_over():
        b"".join(feed.take(most))
        here = feed.position
        assert feed.rewind(max(0, here - window))
        assert feed.rewind(here)


@pytest.mark.parametrize(
    ("chunks", "most", "expected"),
    [
        pytest.param([], 4, b"", id="empty"),
        pytest.param([b"ab", b"", b"c"], 4, b"abc", id="below"),
        pytest.param([b"abcd"], 4, b"abcd", id="exactly"),
        pytest.param([b"abc", b"de"], 4, None, id="above"),
    ],
)
def test_a_small_blob_is_seen_whole(chunks: list[bytes], most: int, expected: bytes | None) -> None:
    """A blob within the bound is given whole, and stays to be sent."""
    feed = Feed(iter(chunks), lambda: 0)
    assert feed.whole(most) == expected
    assert b"".join(feed.take(99)) == b"".join(chunks)


def test_a_failing_source_never_looks_like_an_end() -> None:
    """After its failure a source raises again instead of ending short."""

    def broken() -> Iterator[bytes]:
        yield b"ab"
        raise OSError("disk gone")

    feed = Feed(broken(), lambda: 9)
    for _ in range(2):
        with pytest.raises(OSError, match="disk gone"):
            b"".join(feed.take(9))
    assert isinstance(feed.failure, OSError)
