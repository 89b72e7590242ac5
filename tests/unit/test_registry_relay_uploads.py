"""A blob between an engine and a registry."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from publisher.model.digest import Digest
from publisher.model.errors import Unreachable
from publisher.registry.relay.uploads import ClosingUploads, RelayedBlob, RelayedUpload, StreamLost

if TYPE_CHECKING:
    from collections.abc import Iterator

    from publisher.model.manifest import Descriptor


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    """They end with the test, or it hangs."""
    with ThreadPoolExecutor(2) as pool:
        yield pool


def finish(upload: RelayedUpload) -> Descriptor:
    """What the engine's last request does."""
    upload.end()
    return upload.result()


def test_bytes_pass_in_order_and_are_hashed(threads: ThreadPoolExecutor) -> None:
    """What the engine writes is what the upload reads, and the descriptor tells of it."""
    upload = RelayedUpload(lambda blob: (b"".join(blob.chunks()), blob.descriptor())[1], threads)
    for piece in (b"one", b"two"):
        upload.write(piece)
    assert finish(upload).digest == Digest.of(b"onetwo")


def test_the_writer_waits_for_the_reader() -> None:
    """No more than the bound is ever held."""
    blob = RelayedBlob()

    def write() -> None:
        for _ in range(5):
            blob.write(b"x" * 600_000)

    writer = threading.Thread(target=write)
    writer.start()
    chunks = blob.chunks()
    assert sum(len(next(chunks)) for _ in range(5)) == 3_000_000
    writer.join(5)
    assert not writer.is_alive()


def test_a_failed_upload_stops_the_writer(threads: ThreadPoolExecutor) -> None:
    """An upload that fails raises its reason where the engine's bytes come in."""

    def refuse(_blob: RelayedBlob) -> None:
        raise Unreachable("gone")

    upload = RelayedUpload(refuse, threads)  # type: ignore[arg-type]  # it never returns
    with pytest.raises(Unreachable, match="gone"):
        finish(upload)
    with pytest.raises(Unreachable, match="gone"):
        upload.write(b"x")


def test_a_second_start_is_refused() -> None:
    """What has passed can't be asked for again."""
    blob = RelayedBlob()
    blob.chunks()
    with pytest.raises(StreamLost):
        blob.chunks()


def test_a_cancelled_upload_ends(threads: ThreadPoolExecutor) -> None:
    """An engine that hangs up leaves no thread behind."""
    upload = RelayedUpload(lambda blob: (b"".join(blob.chunks()), blob.descriptor())[1], threads)
    upload.write(b"half")
    upload.cancel("the engine hung up")
    with pytest.raises(Unreachable, match="hung up"):
        finish(upload)


def test_all_who_settle_wait_for_the_last_upload(threads: ThreadPoolExecutor) -> None:
    """The engine's manifest and the release may wait at once: neither goes on before the registry has the blob."""
    go = threading.Event()

    def send(blob: RelayedBlob) -> Descriptor:
        go.wait(5)
        return blob.descriptor()

    upload = RelayedUpload(send, threads)
    upload.end()
    closing = ClosingUploads()
    closing.add(upload)
    settled: list[bool] = []

    def wait() -> None:
        closing.settle()
        settled.append(go.is_set())

    waiters = [threading.Thread(target=wait) for _ in range(2)]
    for waiter in waiters:
        waiter.start()
    waiters[0].join(0.2)
    go.set()
    for waiter in waiters:
        waiter.join(5)
    assert settled == [True, True]
