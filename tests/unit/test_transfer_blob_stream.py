"""Blobs that are sent while an archive is read: under the digest that their bytes have, or not at all."""

from __future__ import annotations

import threading
from contextlib import contextmanager, nullcontext
from io import BytesIO
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from publisher.model.digest import Digest
from publisher.model.errors import Unreachable, VerificationFailed
from publisher.model.reference import Repository
from publisher.transfer.blob_stream import send_streamed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from publisher.model.manifest import Content, Descriptor
    from publisher.model.protocols import Meter, StreamedBlob, Upload


class Quiet:
    def advance(self, amount: int) -> None: ...

    def step(self, text: str) -> None: ...

    def warn(self, text: str, place: object = None) -> None: ...

    def group(self, title: str) -> AbstractContextManager[None]:
        return nullcontext()

    def meter(self, label: str, total: int | None) -> AbstractContextManager[Meter]:
        return nullcontext(self)


class Passing:
    def __init__(self, digest: Digest, content: bytes) -> None:
        self.digest = digest
        self.size = len(content)
        self._stream = BytesIO(content)

    def read(self, size: int, /) -> bytes:
        return self._stream.read(min(size, 100_000))


class Archive:
    """Each blob under the name that it is given; counts how often it is opened."""

    def __init__(self, *contents: bytes, names: dict[bytes, Digest] | None = None) -> None:
        self.contents = contents
        self.names = names or {}
        self.opened = 0

    @contextmanager
    def blobs(self) -> Iterator[Iterator[StreamedBlob]]:
        self.opened += 1
        yield (Passing(self.names.get(content, Digest.of(content)), content) for content in self.contents)


class Store:
    """Keeps what is uploaded; asks for the start of the blobs in `again` a second time, as after a lost session."""

    repository = Repository.parse("127.0.0.1:1/t")

    def __init__(self, again: frozenset[Digest] = frozenset(), refused: frozenset[Digest] = frozenset()) -> None:
        self.held: dict[Digest, bytes] = {}
        self._again = again
        self._refused = refused
        self._lock = threading.Lock()

    def upload(self, blob: Upload) -> Descriptor:
        chunks = blob.chunks()
        first = next(chunks, b"")
        if first and Digest.of(first) in self._again:
            chunks, first = blob.chunks(), b""
        content = first + b"".join(chunks)
        described = blob.descriptor()
        if described.digest in self._refused:
            raise Unreachable("the registry is gone")
        with self._lock:
            self.held[described.digest] = content
        return described

    def blob_size(self, digest: Digest) -> int | None:
        return len(self.held[digest]) if digest in self.held else None

    def mount(self, digest: Digest, origin: Repository) -> bool:
        raise AssertionError((digest, origin))

    def put_manifest(self, content: Content) -> None:
        raise AssertionError(content)


def send(archive: Archive, store: Store, wanted: set[Digest] | None = None) -> tuple[frozenset[Digest], list[Digest]]:
    """What was sent, and what was remembered."""
    remembered: list[Digest] = []
    sent = send_streamed(
        archive,
        store,
        lambda digest, _size: wanted is None or digest in wanted,
        0,
        Quiet(),
        lambda blob: remembered.append(blob.digest),
    )
    return sent, remembered


@given(st.lists(st.binary(min_size=1, max_size=3000), unique=True, max_size=12), st.data())
def test_what_is_wanted_arrives_and_nothing_else(contents: list[bytes], data: st.DataObject) -> None:
    """In one pass, whatever the order; each is remembered."""
    wanted = {Digest.of(content) for content in contents if data.draw(st.booleans())}
    archive, store = Archive(*contents), Store()
    sent, remembered = send(archive, store, wanted)
    assert sent == wanted == set(remembered)
    assert {digest: content for digest, content in store.held.items() if not digest.matches(content)} == {}
    assert set(store.held) == wanted
    assert archive.opened == 1


def test_a_large_blob_passes_in_pieces() -> None:
    """More than all pipes hold."""
    content = bytes(range(256)) * (20 << 12)
    store = Store()
    send(Archive(b"before", content, b"behind"), store)
    assert store.held[Digest.of(content)] == content
    assert len(store.held) == 3


@pytest.mark.parametrize("size", [10, 3 << 20])
def test_bytes_that_are_not_what_their_name_says_are_refused(size: int) -> None:
    """Before the upload is closed, so that no registry holds them under it."""
    content, other = b"x" * size, Digest.of(b"y" * size)
    store = Store()
    with pytest.raises(VerificationFailed, match="isn't what its name says"):
        send(Archive(b"first", content, names={content: other}), store)
    assert other not in store.held


def test_a_lost_blob_is_read_once_more() -> None:
    """The archive is gone through again for it."""
    content = b"a" * 50_000
    archive, store = Archive(b"first", content, b"last"), Store(again=frozenset({Digest.of(content)}))
    send(archive, store)
    assert store.held[Digest.of(content)] == content
    assert archive.opened == 2


def test_the_first_failure_ends_all() -> None:
    """It is the one that is raised."""
    content = b"b" * (3 << 20)
    store = Store(refused=frozenset({Digest.of(content)}))
    with pytest.raises(Unreachable, match="is gone"):
        send(Archive(content, *(bytes([n]) * (2 << 20) for n in range(30))), store)
