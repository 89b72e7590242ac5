"""The bytes of a blob on their way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from publisher.registry.upload import ReplayBuffer

if TYPE_CHECKING:
    from collections.abc import Iterator

CHUNKS = st.lists(st.binary(max_size=12), max_size=20)


@given(chunks=CHUNKS, most=st.integers(1, 9), window=st.integers(0, 30), steps=st.lists(st.integers(0, 30), max_size=8))
def test_every_rewind_that_is_granted_gives_the_same_bytes(
    chunks: list[bytes], most: int, window: int, steps: list[int]
) -> None:
    """Whatever was sent before, the bytes from a granted offset on are the source's own."""
    whole = b"".join(chunks)
    buffer = ReplayBuffer(iter(chunks), lambda: window)
    for back in steps:
        b"".join(buffer.read(most))
        if buffer.seek(max(0, buffer.offset - back)):
            start = buffer.offset
            assert b"".join(buffer.read(most)) == whole[start : start + most]
    start = buffer.offset
    assert b"".join(buffer.read(1 << 20)) == whole[start:]
    assert buffer.is_exhausted()
    assert buffer.received == len(whole)


@given(chunks=CHUNKS, window=st.integers(0, 30), most=st.integers(1, 9))
def test_what_lies_in_the_window_can_be_sent_again(chunks: list[bytes], window: int, most: int) -> None:
    """A rewind by no more than the window is always granted."""
    buffer = ReplayBuffer(iter(chunks), lambda: window)
    while not buffer.is_exhausted():
        b"".join(buffer.read(most))
        here = buffer.offset
        assert buffer.seek(max(0, here - window))
        assert buffer.seek(here)


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
    buffer = ReplayBuffer(iter(chunks), lambda: 0)
    assert buffer.read_all(most) == expected
    assert b"".join(buffer.read(99)) == b"".join(chunks)


def test_a_failing_source_never_looks_like_an_end() -> None:
    """After its failure a source raises again instead of ending short."""

    def broken() -> Iterator[bytes]:
        yield b"ab"
        raise OSError("disk gone")

    buffer = ReplayBuffer(broken(), lambda: 9)
    for _ in range(2):
        with pytest.raises(OSError, match="disk gone"):
            b"".join(buffer.read(9))
    assert isinstance(buffer.failure, OSError)
