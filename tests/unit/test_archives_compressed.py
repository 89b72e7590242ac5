"""Archives that stand compressed."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import sys
from typing import TYPE_CHECKING

import pytest

from publisher.archives import compressed
from publisher.archives.compressed import open_unpacked, unpack
from publisher.model.errors import BadArchive

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CONTENT = os.urandom(1 << 18) + bytes(1 << 22)
FORMATS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstd.compress,
}


def unpacked(content: bytes) -> bytes:
    """What comes of an archive."""
    target = io.BytesIO()
    unpack(io.BytesIO(content), target, "a.tar")
    return target.getvalue()


@pytest.mark.parametrize("name", FORMATS)
def test_each_format_gives_the_archive(name: str) -> None:
    """In one file, and in several one behind the other, as parallel compressors write them; with zeros at the end."""
    compress = FORMATS[name]
    assert unpacked(compress(CONTENT)) == CONTENT
    assert unpacked(compress(CONTENT[:1000]) + compress(CONTENT[1000:]) + bytes(1024)) == CONTENT


def test_what_is_not_compressed_is_as_it_is(tmp_path: Path) -> None:
    """In a file it isn't even copied."""
    assert unpacked(CONTENT) == CONTENT
    file = tmp_path / "a.tar"
    file.write_bytes(CONTENT)
    handle = os.open(file, os.O_RDONLY)
    assert open_unpacked(handle, "a.tar") == handle
    os.close(handle)


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_is_unpacked_into_one_without_a_name(name: str, tmp_path: Path) -> None:
    """The descriptor that comes back is the caller's; nothing is left beside the archive."""
    file = tmp_path / "a.tar"
    file.write_bytes(FORMATS[name](CONTENT))
    handle = open_unpacked(os.open(file, os.O_RDONLY), "a.tar")
    assert os.pread(handle, len(CONTENT) + 1, 0) == CONTENT
    assert os.fstat(handle).st_nlink == 0
    os.close(handle)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("keep", [0.999, 0.5, 0.01])
def test_what_is_cut_off_is_refused(name: str, keep: float) -> None:
    """Wherever it ends."""
    content = FORMATS[name](CONTENT)
    with pytest.raises(BadArchive, match=r"cut off|broken"):
        unpacked(content[: int(len(content) * keep)])


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_damaged_is_refused(name: str) -> None:
    """A flipped bit is met by the format's own checksum, if not before; so is garbage behind the end."""
    content = bytearray(FORMATS[name](CONTENT))
    content[len(content) // 2] ^= 1
    damages = [bytes(content), FORMATS[name](CONTENT) + b"garbage"]
    for damaged in damages[1:] if name == "zstd" else damages:
        with pytest.raises(BadArchive, match=r"broken|cut off"):
            unpacked(damaged)


def test_nothing_is_no_archive() -> None:
    """As where a pipe's other end failed."""
    with pytest.raises(BadArchive, match="empty"):
        unpacked(b"")


@pytest.mark.parametrize("name", FORMATS)
def test_a_bomb_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Long before its own end."""
    monkeypatch.setattr(compressed, "HARMLESS", 1 << 16)
    monkeypatch.setattr(compressed, "LARGEST_RATIO", 10)
    bomb, target = FORMATS[name](bytes(1 << 26)), io.BytesIO()
    with pytest.raises(BadArchive, match="bomb"):
        unpack(io.BytesIO(bomb), target, "a.tar")
    assert target.tell() <= max(1 << 16, 10 * len(bomb))


@pytest.mark.parametrize("name", ["xz", "zstd"])
def test_a_window_without_bounds_is_refused(name: str) -> None:
    """A stream says how much memory its reader needs."""
    if name == "xz":
        filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 29}]
        content = lzma.compress(b"small", filters=filters)
    else:
        # A frame's header that states a window of 2 GiB, and an empty last block. Source: RFC 8878, 3.1.1.
        content = b"\x28\xb5\x2f\xfd" + bytes([0, (31 - 10) << 3]) + b"\x01\x00\x00"
    with pytest.raises(BadArchive, match="broken"):
        unpacked(content)
