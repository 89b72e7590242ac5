"""Compression: the same bytes every time, and readable by anyone."""

from __future__ import annotations

import gzip
import random
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from publisher.model import media
from publisher.model.digest import Digest
from publisher.model.errors import ConfigError
from publisher.model.manifest import Descriptor
from publisher.transfer.compression import Compression, LayerCompressor


def test_header_holds_neither_time_nor_name() -> None:
    """Else two runs would make two digests."""
    blob = b"".join(LayerCompressor(Compression()).run([b"x"]))
    assert blob[:4] == b"\x1f\x8b\x08\x00"
    assert blob[4:8] == b"\0\0\0\0"


@given(st.lists(st.binary(max_size=2_000)))
def test_what_is_compressed_comes_back(pieces: list[bytes]) -> None:
    """Python's own gzip reads it, whatever the pieces."""
    compressed = LayerCompressor(Compression())
    blob = b"".join(compressed.count(compressed.run(pieces)))
    assert gzip.decompress(blob) == b"".join(pieces)
    assert compressed.descriptor() == Descriptor(media.OCI_LAYER_GZIP, Digest.of(blob), len(blob))


@given(st.lists(st.binary(max_size=2_000)))
def test_zstd_comes_back_from_another_program(pieces: list[bytes]) -> None:
    """Facebook's own zstd reads it, and its checksum fits."""
    compressed = LayerCompressor(Compression("zstd"))
    blob = b"".join(compressed.count(compressed.run(pieces)))
    read = subprocess.run(["zstd", "-dcq"], input=blob, capture_output=True, check=True)
    assert read.stdout == b"".join(pieces)
    assert compressed.descriptor() == Descriptor(media.OCI_LAYER_ZSTD, Digest.of(blob), len(blob))


WAYS = [Compression(level=level) for level in range(10)] + [Compression("zstd", level) for level in (1, 3, 22)]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: f"{way.name}-{way.level}")
def test_pieces_dont_change_the_bytes(way: Compression) -> None:
    """However a layer is read, its blob is the same."""
    content = b"".join(bytes([number % 251]) * 60_000 for number in range(40)) + random.Random(1).randbytes(300_000)
    blobs = set()
    for size in (7_001, 1 << 20, (1 << 20) + 1, len(content)):
        raw = (content[offset : offset + size] for offset in range(0, len(content), size))
        blobs.add(b"".join(LayerCompressor(way).run(raw)))
    assert len(blobs) == 1


PIECES = st.lists(st.tuples(st.booleans(), st.integers(0, 3 << 20)), max_size=6)


@settings(max_examples=30, deadline=None)
@given(pieces=PIECES, level=st.integers(0, 3))
def test_noise_among_text_comes_back(pieces: list[tuple[bool, int]], level: int) -> None:
    """What is stored and what is compressed follow each other in any order; Python's gzip reads it."""
    chance = random.Random(7)
    raw = [chance.randbytes(size) if noise else b"text, text " * (size // 11) for noise, size in pieces]
    assert gzip.decompress(b"".join(LayerCompressor(Compression(level=level)).run(raw))) == b"".join(raw)


def test_noise_costs_no_more_than_its_own_size() -> None:
    """Five bytes a block, and the frame."""
    content = random.Random(3).randbytes(4 << 20)
    blob = b"".join(LayerCompressor(Compression()).run([content]))
    assert len(blob) < len(content) + 400


@pytest.mark.parametrize("way", WAYS, ids=lambda way: f"{way.name}-{way.level}")
def test_known_ways_pass(way: Compression) -> None:
    """What works is not refused."""
    way.check()


@pytest.mark.parametrize(
    ("way", "why"),
    [
        pytest.param(Compression("xz"), "it is one of gzip, zstd", id="name"),
        pytest.param(Compression(level=10), "gzip takes 0 to 9", id="gzip-10"),
        pytest.param(Compression("zstd", 0), "zstd takes 1 to 22", id="zstd-0"),
        pytest.param(Compression("zstd", 23), "zstd takes 1 to 22", id="zstd-23"),
    ],
)
def test_other_ways_are_refused(way: Compression, why: str) -> None:
    """With what there is instead."""
    with pytest.raises(ConfigError) as caught:
        way.check()
    assert why in str(caught.value.hint)


def test_pieces_are_large() -> None:
    """Small pieces would cost more requests to the kernel than they hold bytes."""
    raw = [Digest.of(str(number).encode()).hex.encode() * 50 for number in range(2_000)]
    sizes = [len(piece) for piece in LayerCompressor(Compression(level=0)).run(raw)]
    assert all(size >= 256 * 1024 for size in sizes[:-1])
