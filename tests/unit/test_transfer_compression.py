"""Compression: the same bytes every time, and readable by anyone."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from publisher.model.digest import Digest
from publisher.transfer.compression import Compressed, Compression


def test_header_holds_neither_time_nor_name() -> None:
    """Else two runs would make two digests."""
    made = b"".join(Compressed(Compression()).run([b"x"]))
    assert made[:4] == b"\x1f\x8b\x08\x00"
    assert made[4:8] == b"\0\0\0\0"


@given(st.lists(st.binary(max_size=2_000)))
def test_what_is_compressed_comes_back(pieces: list[bytes]) -> None:
    """Python's own gzip reads it, whatever the pieces."""
    compressed = Compressed(Compression())
    made = b"".join(compressed.run(pieces))
    assert gzip.decompress(made) == b"".join(pieces)
    assert (compressed.descriptor().digest, compressed.descriptor().size) == (Digest.of(made), len(made))


@pytest.mark.parametrize("level", range(4))
def test_pieces_dont_change_the_bytes(level: int) -> None:
    """A second reading in the same pieces gives the same blob."""
    raw = [bytes([number % 251]) * 100_000 for number in range(40)]
    first, second = (b"".join(Compressed(Compression(level=level)).run(raw)) for _ in range(2))
    assert first == second


def test_pieces_are_large() -> None:
    """Small pieces would cost more requests to the kernel than they hold bytes."""
    raw = [Digest.of(str(number).encode()).hex.encode() * 50 for number in range(2_000)]
    sizes = [len(piece) for piece in Compressed(Compression(level=0)).run(raw)]
    assert all(size >= 256 * 1024 for size in sizes[:-1])
