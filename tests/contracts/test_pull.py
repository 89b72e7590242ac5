"""Pulling: manifests and blobs come back as they were sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import requests

from publisher.model import media
from publisher.model.digest import Digest
from tests.contracts.client import Client, codes
from tests.contracts.servers import Feature

if TYPE_CHECKING:
    from tests.contracts.servers import Server

ABSENT = Digest.of(b"never sent")


def test_ping(client: Client) -> None:
    """The API says which one it is."""
    answer = client.request("GET", "/v2/")
    assert answer.status_code == 200
    assert answer.headers["Docker-Distribution-Api-Version"] == "registry/2.0"


@pytest.mark.parametrize("by", ["tag", "digest"])
def test_manifest_is_read_as_it_was_sent(client: Client, name: str, by: str) -> None:
    """A manifest comes back byte for byte, with its type and digest."""
    image = client.send_image(name, "app", "1.0")
    answer = client.request("GET", f"/v2/{name}/manifests/{'1.0' if by == 'tag' else image.digest}")
    assert answer.status_code == 200
    assert answer.content == image.content
    assert answer.headers["Content-Type"] == media.OCI_MANIFEST
    assert answer.headers["Docker-Content-Digest"] == str(image.digest)
    assert answer.headers["Content-Length"] == str(len(image.content))


def test_head_of_a_manifest_is_a_get_without_its_body(client: Client, name: str) -> None:
    """HEAD tells what GET would."""
    image = client.send_image(name, "app", "1.0")
    answer = client.request("HEAD", f"/v2/{name}/manifests/1.0")
    assert answer.status_code == 200
    assert answer.content == b""
    assert answer.headers["Content-Type"] == media.OCI_MANIFEST
    assert answer.headers["Docker-Content-Digest"] == str(image.digest)
    assert answer.headers["Content-Length"] == str(len(image.content))


@pytest.mark.parametrize("reference", ["absent", str(ABSENT)])
def test_absent_manifest(client: Client, name: str, reference: str) -> None:
    """What isn't there is 404 with a code, for HEAD without a body."""
    client.send_image(name, "app", "1.0")
    answer = client.request("GET", f"/v2/{name}/manifests/{reference}")
    assert answer.status_code == 404
    assert codes(answer) == {"MANIFEST_UNKNOWN"}
    head = client.request("HEAD", f"/v2/{name}/manifests/{reference}")
    assert (head.status_code, head.content) == (404, b"")


def test_manifest_with_a_name_that_no_tag_can_have(client: Client, name: str) -> None:
    """Nothing can be there, so nothing is."""
    assert client.request("GET", f"/v2/{name}/manifests/.INVALID").status_code == 404


def test_blob_is_read_as_it_was_sent(client: Client, name: str) -> None:
    """A blob comes back byte for byte, with its digest."""
    blob = client.send_blob(name, b"some bytes")
    answer = client.request("GET", f"/v2/{name}/blobs/{blob.digest}")
    assert answer.status_code == 200
    assert answer.content == b"some bytes"
    assert answer.headers["Docker-Content-Digest"] == str(blob.digest)
    assert answer.headers["Content-Length"] == "10"


def test_empty_blob(client: Client, name: str) -> None:
    """A blob may have no bytes at all."""
    blob = client.send_blob(name, b"")
    answer = client.request("GET", f"/v2/{name}/blobs/{blob.digest}")
    assert (answer.status_code, answer.content) == (200, b"")


def test_blob_of_several_pieces(client: Client, name: str) -> None:
    """A blob that is larger than any buffer comes back whole."""
    content = bytes(range(256)) * 20_000 + b"end"
    blob = client.send_blob(name, content)
    answer = client.request("GET", f"/v2/{name}/blobs/{blob.digest}")
    assert Digest.of(answer.content) == blob.digest
    part = client.request("GET", f"/v2/{name}/blobs/{blob.digest}", headers={"Range": "bytes=1048570-3145730"})
    assert part.content == content[1_048_570:3_145_731]


def test_head_of_a_blob(client: Client, name: str) -> None:
    """HEAD tells a blob's size and digest."""
    blob = client.send_blob(name, b"some bytes")
    answer = client.request("HEAD", f"/v2/{name}/blobs/{blob.digest}")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["Content-Length"] == "10"
    assert answer.headers["Docker-Content-Digest"] == str(blob.digest)


@pytest.mark.parametrize(
    ("byte_range", "content_range", "content"),
    [
        pytest.param("bytes=2-5", "bytes 2-5/10", b"2345", id="within"),
        pytest.param("bytes=7-", "bytes 7-9/10", b"789", id="to-the-end"),
        pytest.param("bytes=-3", "bytes 7-9/10", b"789", id="the-last"),
        pytest.param("bytes=8-99", "bytes 8-9/10", b"89", id="beyond-the-end"),
        pytest.param("bytes=0-0", "bytes 0-0/10", b"0", id="one-byte"),
    ],
)
def test_part_of_a_blob(client: Client, name: str, byte_range: str, content_range: str, content: bytes) -> None:
    """A range is answered with 206, and says which part it is."""
    blob = client.send_blob(name, b"0123456789")
    answer = client.request("GET", f"/v2/{name}/blobs/{blob.digest}", headers={"Range": byte_range})
    assert answer.status_code == 206
    assert answer.headers["Content-Range"] == content_range
    assert answer.content == content


def test_part_that_is_not_there(server: Server, client: Client, name: str) -> None:
    """A range behind the end is 416."""
    blob = client.send_blob(name, b"0123456789")
    path, headers = f"/v2/{name}/blobs/{blob.digest}", {"Range": "bytes=10-"}
    if not server.has(Feature.RANGE_ERROR):
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            client.request("GET", path, headers=headers)
        return
    answer = client.request("GET", path, headers=headers)
    assert answer.status_code == 416
    assert answer.headers["Content-Range"] == "bytes */10"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_absent_blob(client: Client, name: str, method: str) -> None:
    """A blob that isn't there is 404."""
    client.send_blob(name, b"another")
    answer = client.request(method, f"/v2/{name}/blobs/{ABSENT}")
    assert answer.status_code == 404
    if method == "GET":
        assert codes(answer) == {"BLOB_UNKNOWN"}


def test_blob_belongs_to_its_repository(client: Client, name: str) -> None:
    """What another repository holds isn't here."""
    blob = client.send_blob(name, b"only there")
    assert client.request("HEAD", f"/v2/{name}-b/blobs/{blob.digest}").status_code == 404


@pytest.mark.parametrize("text", ["sha256:xyz", "md5:d41d8cd98f00b204e9800998ecf8427e", "sha256:" + "A" * 64])
def test_blob_under_no_digest(client: Client, name: str, text: str) -> None:
    """What is no digest names no blob, and is never a path on a disk."""
    answer = client.request("GET", f"/v2/{name}/blobs/{text}")
    assert answer.status_code == 400
    assert codes(answer) == {"DIGEST_INVALID"}


@pytest.mark.parametrize(
    "path", ["/v2/../../etc/passwd", "/v2/a/blobs/..%2F..%2Fetc%2Fpasswd", "/v2/a/manifests/%2e%2e"]
)
def test_no_way_out(client: Client, path: str) -> None:
    """A path leads to no file."""
    assert client.request("GET", path).status_code in {301, 400, 404}
