"""The registry client against a registry that cuts, forgets and answers oddly."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from publisher.http.message import ConnectionLost
from publisher.model import media
from publisher.model.digest import Digest
from publisher.model.errors import (
    BadArchive,
    BadManifest,
    Denied,
    ImmutableTag,
    PublishError,
    Refused,
    VerificationFailed,
)
from publisher.model.manifest import Descriptor, compose_manifest
from publisher.model.reference import Repository, Tag
from publisher.registry.answers import BlobUnknown, DigestPushRefused

if TYPE_CHECKING:
    from collections.abc import Iterator


from tests.support.odd_registry import BASE, MIB, Odd, RandomBlob, open_repository, serve_odd


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param(Odd(), id="by-the-book"),
        pytest.param(Odd(patch_status=201), id="201-to-patch"),
        pytest.param(Odd(put_status=204, no_digest=True), id="204-without-digest"),
        pytest.param(Odd(put_status=200), id="200-to-put"),
        pytest.param(Odd(location="http://127.0.0.1:{port}/v2/app/blobs/uploads/{name}?_state=a%3D%3D"), id="query"),
        pytest.param(Odd(location="http://127.0.0.1:{port}/elsewhere/uploads/{name}"), id="another-path"),
        pytest.param(Odd(needs_range=True), id="no-chunked-bodies"),
        pytest.param(Odd(cuts=[3 * MIB]), id="cut"),
        pytest.param(Odd(cuts=[3 * MIB + 17, 5 * MIB + 1, 6 * MIB]), id="three-cuts"),
        pytest.param(Odd(cuts=[1]), id="cut-at-the-first-byte"),
        pytest.param(Odd(cuts=[3 * MIB], forgets=1), id="session-lost"),
        pytest.param(Odd(cuts=[3 * MIB], no_status=True), id="no-status"),
        pytest.param(Odd(patch_answers=[503, 500, 429]), id="busy"),
        pytest.param(Odd(patch_answers=[404]), id="404-to-patch"),
        pytest.param(Odd(cuts=[2 * MIB], needs_range=True), id="cut-in-pieces"),
        pytest.param(Odd(lost_put_answers=1), id="answer-lost"),
        pytest.param(Odd(lost_put_answers=1, no_head=True), id="answer-lost-no-head"),
        pytest.param(Odd(corrupted=1), id="corrupted-once"),
    ],
)
@pytest.mark.parametrize("size", [0, 1, 1000, MIB, MIB + 1, 7 * MIB], ids=str)
def test_an_upload_arrives_whole(odd: Odd, size: int) -> None:
    """Whatever the registry does on the way, it holds the blob at the end, and no session is left."""
    copy = Odd(**{**vars(odd), "cuts": [*odd.cuts], "patch_answers": [*odd.patch_answers]})
    blob = RandomBlob(size)
    with serve_odd(copy) as server, open_repository(server) as remote:
        sent = remote.upload(blob)
        assert remote.blob_size(sent.digest) == size
    assert server.blobs[str(sent.digest)] == blob.content
    assert server.uploads == {}


def test_a_small_blob_takes_two_requests() -> None:
    """A config goes in the body of the last request."""
    with serve_odd(Odd()) as server, open_repository(server) as remote:
        remote.upload(RandomBlob(1000))
    assert [method for method, _ in server.log] == ["POST", "PUT"]


def test_a_large_blob_is_one_stream() -> None:
    """However many chunks, one PATCH."""
    with serve_odd(Odd()) as server, open_repository(server) as remote:
        remote.upload(RandomBlob(5 * MIB))
    assert [method for method, _ in server.log] == ["POST", "PATCH", "PUT"]


def test_a_cut_costs_no_more_than_what_was_under_way() -> None:
    """After a cut the upload goes on at the registry's offset, from memory."""
    blob = RandomBlob(24 * MIB)
    with serve_odd(Odd(cuts=[8 * MIB, 20 * MIB])) as server, open_repository(server) as remote:
        remote.upload(blob)
    assert blob.reads == 1
    assert server.received <= len(blob.content) + 2 * blob.chunk


def test_what_left_the_window_is_read_again() -> None:
    """A session lost after more than the window starts the blob anew."""
    blob = RandomBlob(40 * MIB, MIB)
    with serve_odd(Odd(cuts=[36 * MIB], forgets=1)) as server, open_repository(server) as remote:
        sent = remote.upload(blob)
    assert blob.reads == 2
    assert server.blobs[str(sent.digest)] == blob.content


def test_endless_trouble_ends_with_its_reason() -> None:
    """The tries are bounded, the session is cancelled."""
    with serve_odd(Odd(cuts=[1] * 99)) as server, open_repository(server) as remote:
        with pytest.raises(ConnectionLost):
            remote.upload(RandomBlob(6 * MIB))
        assert server.count("PATCH") <= 10
    assert server.uploads == {}


@pytest.mark.parametrize(
    "error", [OSError("disk gone"), BadArchive("torn"), KeyboardInterrupt()], ids=lambda error: type(error).__name__
)
def test_a_source_that_fails_is_no_broken_connection(error: BaseException) -> None:
    """The source's own error comes out, nothing is sent again, and the session is cancelled."""

    class Failing(RandomBlob):
        def chunks(self) -> Iterator[bytes]:
            yield from super().chunks()
            raise error

    blob = Failing(6 * MIB)
    with serve_odd(Odd()) as server:
        with open_repository(server) as remote, pytest.raises(type(error)):
            remote.upload(blob)
        assert server.count("DELETE") == 1
    assert blob.reads == 1
    assert server.blobs == {}


def test_a_lying_digest_is_seen() -> None:
    """A registry that says it holds something else fails the upload."""
    lie = str(Digest.of(b"other"))
    with (
        serve_odd(Odd(lie=lie)) as server,
        open_repository(server) as remote,
        pytest.raises(VerificationFailed, match=lie),
    ):
        remote.upload(RandomBlob(10))


CHALLENGE = (401, {"WWW-Authenticate": "Basic realm=x"}, "")


def test_credentials_stay_at_home() -> None:
    """An upload that leads to another origin gets the bytes and no Authorization."""
    with serve_odd(Odd()) as foreign:
        foreign.uploads["x"] = bytearray()
        odd = Odd(location=f"http://127.0.0.1:{foreign.port}/store/uploads/x?signature=a%2Fb")
        foreign.odd.location = "/store/uploads/x?signature=a%2Fb"
        with serve_odd(odd) as server, open_repository(server, user="ann") as remote:
            odd.answers["HEAD", "blobs/" + str(Digest.of(b"x"))] = CHALLENGE
            with pytest.raises(Denied):
                remote.blob_size(Digest.of(b"x"))
            sent = remote.upload(RandomBlob(2 * MIB))
        assert server.authorized
        assert foreign.authorized == []
        assert str(sent.digest) in foreign.blobs
        assert all("signature=a%2Fb" in path for _method, path in foreign.log)


def test_a_proof_of_rights_is_used_by_the_first_upload() -> None:
    """The session that proved the right to push carries a blob."""
    with serve_odd(Odd()) as server, open_repository(server) as remote:
        remote.prove_push()
        remote.prove_push()
        remote.upload(RandomBlob(10))
    assert server.count("POST") == 1


def test_an_unused_proof_is_cancelled() -> None:
    """Nothing is left behind at the registry."""
    with serve_odd(Odd()) as server:
        with open_repository(server) as remote:
            remote.prove_push()
        assert server.count("DELETE") == 1
    assert server.uploads == {}


def test_a_refused_proof_names_user_and_repository() -> None:
    """Without the right to push, who asked and for what is said before anything is sent."""
    odd = Odd(answers={("POST", "blobs/uploads/"): (403, {}, '{"errors":[{"code":"DENIED"}]}')})
    with (
        serve_odd(odd) as server,
        open_repository(server, user="ann") as remote,
        pytest.raises(Denied, match="app as ann"),
    ):
        remote.prove_push()


def test_a_mount_that_failed_leaves_a_session_to_use() -> None:
    """202 to a mount is an upload begun, and the next blob takes it."""
    with serve_odd(Odd()) as server, open_repository(server) as remote:
        assert not remote.mount(Digest.of(b"x"), Repository.parse(f"127.0.0.1:{server.port}/base"))
        remote.upload(RandomBlob(10))
    assert server.count("POST") == 1
    assert "from=base" in server.log[0][1]


CONTENT = compose_manifest(Descriptor(media.OCI_CONFIG, Digest.of(b"{}"), 2), ())
MANIFEST = f"manifests/{CONTENT.digest}"


def refused(status: int, code: str) -> tuple[int, dict[str, str], str]:
    """A scripted refusal."""
    return status, {}, json.dumps({"errors": [{"code": code, "message": code.lower()}]})


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param(Odd(), id="by-the-book"),
        pytest.param(Odd(no_head=True), id="405-to-head"),
        pytest.param(Odd(no_digest=True, put_status=204), id="no-digest"),
        pytest.param(Odd(lie="sha256:nonsense"), id="unreadable-digest"),
    ],
)
def test_a_manifest_is_put_and_found(odd: Odd) -> None:
    """What was put under a tag is there, byte for byte, and HEAD tells the same as GET."""
    with serve_odd(odd) as server, open_repository(server) as remote:
        assert remote.head(Tag("1")) is None
        remote.put_manifest(CONTENT)
        remote.put(CONTENT, Tag("1"))
        assert remote.head(Tag("1")) == remote.head(CONTENT.digest) == CONTENT.descriptor
        assert remote.get(Tag("1")) == CONTENT


def test_a_manifest_that_is_not_what_was_asked_for_is_refused() -> None:
    """Bytes that don't have the digest asked for, or the one stated, fail."""
    with serve_odd(Odd()) as server, open_repository(server) as remote:
        server.manifests[str(Digest.of(b"x"))] = (CONTENT.content, CONTENT.media_type)
        with pytest.raises(VerificationFailed, match="don't have the digest"):
            remote.find(Digest.of(b"x"))
        server.odd.lie = str(Digest.of(b"y"))
        server.manifests["1"] = (CONTENT.content, CONTENT.media_type)
        with pytest.raises(VerificationFailed, match="don't have the digest"):
            remote.find(Tag("1"))


def test_a_manifest_of_two_types_is_refused() -> None:
    """Content-Type and mediaType must agree."""
    with serve_odd(Odd()) as server, open_repository(server) as remote:
        server.manifests["1"] = (CONTENT.content, media.DOCKER_MANIFEST)
        with pytest.raises(BadManifest, match="Content-Type"):
            remote.find(Tag("1"))


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        pytest.param(refused(405, "UNSUPPORTED"), DigestPushRefused, id="405"),
        pytest.param(refused(400, "TAG_INVALID"), DigestPushRefused, id="tag-invalid"),
        pytest.param((404, {}, "page not found"), DigestPushRefused, id="no-route"),
        pytest.param(refused(404, "NAME_UNKNOWN"), Refused, id="no-repository"),
        pytest.param(refused(400, "MANIFEST_BLOB_UNKNOWN"), BlobUnknown, id="blob-unknown"),
        pytest.param(refused(404, "MANIFEST_UNKNOWN"), BlobUnknown, id="child-unknown"),
        pytest.param(refused(413, ""), BadManifest, id="too-large"),
        pytest.param(refused(403, "DENIED"), Denied, id="denied"),
    ],
)
def test_a_refused_push_by_digest_has_its_reason(answer: tuple[int, dict[str, str], str], kind: type) -> None:
    """Registries that take tags only, lack blobs or deny are told apart."""
    with serve_odd(Odd(answers={("PUT", MANIFEST): answer})) as server, open_repository(server) as remote:
        with pytest.raises(PublishError) as caught:
            remote.put_manifest(CONTENT)
        assert type(caught.value) is kind


@pytest.mark.parametrize("held", [False, True], ids=["another-image", "the-same-image"])
def test_a_frozen_tag_is_told_from_one_that_is_right_already(held: bool) -> None:
    """403 for immutability is an error only where the tag holds another image."""
    answer = refused(403, "DENIED immutability settings")
    with serve_odd(Odd(answers={("PUT", "manifests/1"): answer})) as server, open_repository(server) as remote:
        if held:
            server.manifests["1"] = (CONTENT.content, CONTENT.media_type)
            remote.put(CONTENT, Tag("1"))
        else:
            with pytest.raises(ImmutableTag):
                remote.put(CONTENT, Tag("1"))


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param(Odd(largest=4 * MIB), id="our-pieces"),
        pytest.param(Odd(largest=MIB), id="nginx"),
        pytest.param(Odd(largest=100_000), id="small"),
        pytest.param(Odd(largest=5 * MIB, hangs_up=True), id="without-a-word"),
        pytest.param(Odd(largest=8 * MIB, needs_range=True, min_chunk=6 * MIB), id="shortest-piece"),
    ],
)
@pytest.mark.parametrize("size", [MIB // 2, MIB + 1, 9 * MIB], ids=str)
def test_an_upload_that_is_too_large_goes_on_in_pieces(odd: Odd, size: int) -> None:
    """As small as whoever stands before the registry lets through."""
    blob = RandomBlob(size)
    with serve_odd(replace(odd, total=size)) as server, open_repository(server) as remote:
        assert server.blobs == {str(remote.upload(blob).digest): blob.content}
        remote.close()
        assert not server.uploads


def test_a_blob_that_no_piece_of_gets_through_is_named() -> None:
    """With its size, and what may be the cause."""
    blob = RandomBlob(4 * MIB + 1)
    with serve_odd(Odd(largest=1000)) as server, open_repository(server) as remote:
        with pytest.raises(BadManifest) as caught:
            remote.upload(blob)
        assert server.count("PATCH") == 5
    assert caught.value.message == (
        f"127.0.0.1:{server.port} takes no request of 65,536 bytes, and so not the blob {Digest.of(blob.content)} of "
        "4,194,305 bytes (HTTP 413)"
    )
    assert "proxy" in (caught.value.hint or "")


PAGE = "tags/list?n=1000"


def page(tags: object, link: str = "") -> tuple[int, dict[str, str], str]:
    """A page of tags."""
    return 200, {"Link": f'<{link}>; rel="next"'} if link else {}, json.dumps({"name": "app", "tags": tags})


@pytest.mark.parametrize(
    ("pages", "expected"),
    [
        pytest.param({PAGE: page(["a", "b"])}, ("a", "b"), id="one"),
        pytest.param({PAGE: page(None)}, (), id="null"),
        pytest.param({PAGE: refused(404, "NAME_UNKNOWN")}, (), id="no-repository"),
        pytest.param(
            {PAGE: page(["a"], f"{BASE}tags/list?last=a"), "tags/list?last=a": page(["b", "a"])}, ("a", "b"), id="path"
        ),
        pytest.param({PAGE: page(["a"], "list?last=a"), "tags/list?last=a": page(["b"])}, ("a", "b"), id="relative"),
    ],
)
def test_all_pages_of_tags_are_read(
    pages: dict[str, tuple[int, dict[str, str], str]], expected: tuple[str, ...]
) -> None:
    """Every tag once, over all pages; null and an unknown name are none."""
    odd = Odd(answers={("GET", path): found for path, found in pages.items()})
    with serve_odd(odd) as server, open_repository(server) as remote:
        assert remote.tags() == expected


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(page(["a"], f"{BASE}{PAGE}"), id="circle"),
        pytest.param(page(["a"], "http://127.0.0.1:1/v2/app/tags/list"), id="another-origin"),
        pytest.param((200, {}, "<html>"), id="no-json"),
        pytest.param((404, {}, "not here"), id="bare-404"),
        pytest.param((403, {}, ""), id="denied"),
        pytest.param(refused(500, "UNKNOWN"), id="broken"),
    ],
)
def test_a_list_that_may_be_short_is_an_error(found: tuple[int, dict[str, str], str]) -> None:
    """No answer but a whole list, or an unknown repository, is taken for a list."""
    odd = Odd(answers={("GET", PAGE): found})
    with serve_odd(odd) as server, open_repository(server) as remote, pytest.raises(PublishError):
        remote.tags()


@pytest.mark.parametrize(
    ("cuts", "no_ranges"),
    [
        pytest.param([], False, id="by-the-book"),
        pytest.param([MIB, 1, MIB], False, id="cuts"),
        pytest.param([MIB], True, id="cut-no-ranges"),
    ],
)
def test_a_blob_is_read_whole(cuts: list[int], no_ranges: bool) -> None:
    """A download goes on where its connection broke."""
    blob = RandomBlob(3 * MIB)
    with serve_odd(Odd(get_cuts=[*cuts], no_ranges=no_ranges)) as server, open_repository(server) as remote:
        sent = remote.upload(blob)
        with remote.open_blob(sent) as stream:
            assert stream.read() == blob.content


@pytest.mark.parametrize("held", [b"abcX", b"abc", b"abcde"], ids=["flipped", "short", "long"])
def test_a_blob_that_is_another_is_refused(held: bytes) -> None:
    """Before its last bytes are given out, a blob is known to be what was asked for."""
    with serve_odd(Odd()) as server, open_repository(server) as remote:
        stated = Descriptor(media.OCI_LAYER_TAR, Digest.of(b"abcd"), 4)
        server.blobs[str(stated.digest)] = held
        with remote.open_blob(stated) as stream, pytest.raises(VerificationFailed):
            stream.read(4)


def test_deleting_tells_absent_from_refused() -> None:
    """A tag that wasn't there is no error; a registry that deletes no tags is."""
    odd = Odd(
        answers={("DELETE", "manifests/a"): (202, {}, ""), ("DELETE", "manifests/b"): refused(400, "DIGEST_INVALID")}
    )
    with serve_odd(odd) as server, open_repository(server) as remote:
        assert remote.delete(Tag("a"))
        assert not remote.delete(Tag("c"))
        with pytest.raises(Refused):
            remote.delete(Tag("b"))
