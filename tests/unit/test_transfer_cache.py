"""The cache of compressed layers: guesses that may be lost."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from publisher.model import media
from publisher.model.digest import Digest
from publisher.model.manifest import Descriptor
from publisher.model.reference import Repository
from publisher.transfer.cache import BlobCache
from publisher.transfer.compression import Compression
from publisher.transfer.reuse import BlobLocation

if TYPE_CHECKING:
    from pathlib import Path

GZIP = Compression()
DIFF = Digest.of(b"raw")
BLOB = Descriptor(media.OCI_LAYER_GZIP, Digest.of(b"made"), 4)
HERE, NEAR, FAR = (Repository.parse(text) for text in ("a.example/app", "a.example/base", "b.example/app"))


@pytest.mark.parametrize(
    ("target", "compression", "expected"),
    [
        pytest.param(HERE, GZIP, {DIFF: BlobLocation(BLOB, HERE)}, id="same"),
        pytest.param(NEAR, GZIP, {DIFF: BlobLocation(BLOB, HERE)}, id="same-registry"),
        pytest.param(FAR, GZIP, {}, id="other-registry"),
        pytest.param(HERE, Compression(level=2), {}, id="other-level"),
        pytest.param(HERE, Compression("zstd"), {}, id="other-compression"),
    ],
)
def test_guess_is_for_one_registry_and_one_way(
    tmp_path: Path, target: Repository, compression: Compression, expected: dict[Digest, BlobLocation]
) -> None:
    """Else a level that was asked for would be silently another."""
    cache = BlobCache(tmp_path / "new" / "blobs.jsonl")
    cache.remember(HERE, GZIP, {DIFF: BLOB})
    assert cache.locations(target, compression, [DIFF]) == expected


@pytest.mark.parametrize("order", [(HERE, NEAR), (NEAR, HERE)], ids=["own-first", "own-last"])
def test_a_repositorys_own_blob_comes_before_a_neighbours(tmp_path: Path, order: tuple[Repository, ...]) -> None:
    """What is there needs no mount."""
    cache = BlobCache(tmp_path / "blobs.jsonl")
    for repository in order:
        cache.remember(repository, GZIP, {DIFF: BLOB})
    assert cache.locations(HERE, GZIP, [DIFF]) == {DIFF: BlobLocation(BLOB, HERE)}


def test_cut_anywhere_what_is_whole_is_read(tmp_path: Path) -> None:
    """A crash in the middle of a line loses that line, and not the next one either."""
    path = tmp_path / "blobs.jsonl"
    other = Digest.of(b"other")
    BlobCache(path).remember(HERE, GZIP, {DIFF: BLOB})
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        locations = BlobCache(path).locations(HERE, GZIP, [DIFF])
        assert locations == ({DIFF: BlobLocation(BLOB, HERE)} if length == len(whole) - 1 else {})
        BlobCache(path).remember(HERE, GZIP, {other: BLOB})
        assert BlobCache(path).locations(HERE, GZIP, [other]) == {other: BlobLocation(BLOB, HERE)}


def test_oldest_guesses_go(tmp_path: Path) -> None:
    """The file doesn't grow without end."""
    path = tmp_path / "blobs.jsonl"
    cache = BlobCache(path)
    cache.remember(HERE, GZIP, {DIFF: BLOB})
    for number in range(4):
        layers = {Digest.of(f"{number}-{place}".encode()): BLOB for place in range(4_096)}
        cache.remember(HERE, GZIP, layers)
    assert cache.locations(HERE, GZIP, [DIFF]) == {}
    assert len(cache.locations(HERE, GZIP, layers)) == 4_096
    assert path.stat().st_size < 5 << 20
    assert [diff_id.name for diff_id in tmp_path.iterdir()] == ["blobs.jsonl"]


def test_threads_dont_disturb_each_other(tmp_path: Path) -> None:
    """Layers end side by side."""
    cache = BlobCache(tmp_path / "blobs.jsonl")
    diff_ids = [Digest.of(str(number).encode()) for number in range(400)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda diff_id: cache.remember(HERE, GZIP, {diff_id: BLOB}), diff_ids))
    assert set(cache.locations(HERE, GZIP, diff_ids)) == set(diff_ids)


def test_cache_that_cant_be_written_is_none(tmp_path: Path) -> None:
    """A release doesn't fail for it."""
    (tmp_path / "file").write_bytes(b"")
    BlobCache(tmp_path / "file" / "blobs.jsonl").remember(HERE, GZIP, {DIFF: BLOB})


@pytest.mark.parametrize("mode", [0o602, 0o660])
def test_what_others_may_have_written_is_no_guess(tmp_path: Path, mode: int) -> None:
    """Nor is it kept: the next line begins a file that is ours alone."""
    cache = BlobCache(tmp_path / "blobs.jsonl")
    cache.remember(HERE, GZIP, {DIFF: BLOB})
    assert cache.locations(HERE, GZIP, [DIFF])
    assert (tmp_path / "blobs.jsonl").stat().st_mode & 0o777 == 0o600
    (tmp_path / "blobs.jsonl").chmod(mode)
    assert cache.locations(HERE, GZIP, [DIFF]) == {}
    other = Digest.of(b"other")
    cache.remember(HERE, GZIP, {other: BLOB})
    assert cache.locations(HERE, GZIP, [DIFF, other]).keys() == {other}


def test_a_link_that_somebody_laid_is_not_written_through(tmp_path: Path) -> None:
    """Two users with one folder can't have each other's files written to."""
    (tmp_path / "precious").write_text("kept")
    (tmp_path / "blobs.jsonl").symlink_to(tmp_path / "precious")
    BlobCache(tmp_path / "blobs.jsonl").remember(HERE, GZIP, {DIFF: BLOB})
    assert (tmp_path / "precious").read_text() == "kept"
