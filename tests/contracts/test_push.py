"""Pushing: uploads of every kind, mounts, and manifests that are checked."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from publisher.model import media
from publisher.model.digest import Digest
from publisher.model.manifest import Descriptor, Platform, compose_index, compose_manifest
from tests.contracts.client import Client, codes
from tests.contracts.servers import Feature

if TYPE_CHECKING:
    import requests

    from tests.contracts.servers import Server


def finish(client: Client, answer: requests.Response, content: bytes, data: bytes = b"") -> requests.Response:
    """End an upload."""
    return client.request("PUT", answer.headers["Location"], data=data, params={"digest": str(Digest.of(content))})


def patch(client: Client, answer: requests.Response, data: bytes, start: int | None = None) -> requests.Response:
    """Send one piece of an upload; with `start` it says which."""
    headers = {"Content-Type": "application/octet-stream"}
    if start is not None:
        headers["Content-Range"] = f"{start}-{start + len(data) - 1}"
    return client.request("PATCH", answer.headers["Location"], data=data, headers=headers)


def test_upload_begins(client: Client, name: str) -> None:
    """An upload has a place, an id, and nothing yet."""
    answer = client.start_upload(name)
    assert answer.status_code == 202
    assert f"/v2/{name}/blobs/uploads/" in answer.headers["Location"]
    assert answer.headers["Docker-Upload-UUID"]
    assert answer.headers["Range"] == "0-0"
    assert answer.headers["Content-Length"] == "0"


def test_upload_in_one_put(client: Client, name: str) -> None:
    """POST, then PUT with all bytes."""
    answer = finish(client, client.start_upload(name), b"whole", b"whole")
    assert answer.status_code == 201
    assert answer.headers["Location"].endswith(f"/v2/{name}/blobs/{Digest.of(b'whole')}")
    assert answer.headers["Docker-Content-Digest"] == str(Digest.of(b"whole"))
    assert client.request("GET", answer.headers["Location"]).content == b"whole"


def test_upload_in_one_stream(client: Client, name: str) -> None:
    """POST, one PATCH that says no range, PUT without a body: what docker does."""
    sent = patch(client, client.start_upload(name), b"streamed")
    assert sent.status_code == 202
    assert sent.headers["Range"] == "0-7"
    assert finish(client, sent, b"streamed").status_code == 201


@pytest.mark.parametrize("last", [b"", b"gh"], ids=["all-by-patch", "last-by-put"])
def test_upload_in_pieces(client: Client, name: str, last: bytes) -> None:
    """Pieces say where they begin; the last may come with the PUT."""
    first = patch(client, client.start_upload(name), b"abc", 0)
    second = patch(client, first, b"def", 3)
    assert second.status_code == 202
    assert second.headers["Range"] == "0-5"
    answer = finish(client, second, b"abcdef" + last, last)
    assert answer.status_code == 201
    assert client.request("GET", answer.headers["Location"]).content == b"abcdef" + last


def test_status_of_an_upload(client: Client, name: str) -> None:
    """GET tells how far an upload is, and where it goes on."""
    sent = patch(client, client.start_upload(name), b"abc", 0)
    status = client.request("GET", sent.headers["Location"])
    assert status.status_code == 204
    assert status.headers["Range"] == "0-2"
    assert finish(client, status, b"abcdef", b"def").status_code == 201


@pytest.mark.parametrize("start", [0, 2, 4, 100], ids=["again", "overlap", "gap", "far"])
def test_piece_out_of_order(server: Server, client: Client, name: str, start: int) -> None:
    """A piece that doesn't begin where the last one ended is 416, and the upload goes on from there."""
    sent = patch(client, client.start_upload(name), b"abc", 0)
    answer = patch(client, sent, b"xyz", start)
    if not server.has(Feature.CONTENT_RANGE):
        assert answer.status_code == 202
        return
    assert answer.status_code == 416
    assert answer.headers["Range"] == "0-2"
    status = client.request("GET", answer.headers["Location"])
    assert finish(client, patch(client, status, b"def", 3), b"abcdef").status_code == 201


def test_range_that_cannot_be_read(server: Server, client: Client, name: str) -> None:
    """A Content-Range that says nothing is 416."""
    opened = client.start_upload(name)
    headers = {"Content-Range": "some-bytes"}
    answer = client.request("PATCH", opened.headers["Location"], data=b"abc", headers=headers)
    assert answer.status_code == (416 if server.has(Feature.CONTENT_RANGE) else 202)


def test_upload_with_another_digest(client: Client, name: str) -> None:
    """Bytes that don't have the digest are refused, and nothing is there."""
    answer = finish(client, client.start_upload(name), b"promised", b"sent")
    assert answer.status_code == 400
    assert codes(answer) == {"DIGEST_INVALID"}
    for content in (b"promised", b"sent"):
        assert client.request("HEAD", f"/v2/{name}/blobs/{Digest.of(content)}").status_code == 404


@pytest.mark.parametrize("params", [{}, {"digest": "nonsense"}, {"digest": "sha256:12"}])
def test_upload_without_a_digest(client: Client, name: str, params: dict[str, str]) -> None:
    """An upload can't end without a digest."""
    opened = client.start_upload(name)
    answer = client.request("PUT", opened.headers["Location"], data=b"abc", params=params)
    assert answer.status_code == 400
    assert codes(answer) == {"DIGEST_INVALID"}


def test_sha512_blob(client: Client, name: str) -> None:
    """Blobs may have sha512 digests."""
    import hashlib

    digest = f"sha512:{hashlib.sha512(b'long').hexdigest()}"
    opened = client.start_upload(name)
    answer = client.request("PUT", opened.headers["Location"], data=b"long", params={"digest": digest})
    assert answer.status_code == 201


def test_cancelled_upload(client: Client, name: str) -> None:
    """A cancelled upload is gone."""
    place = client.start_upload(name).headers["Location"]
    assert client.request("DELETE", place).status_code == 204
    for method in ("GET", "DELETE"):
        answer = client.request(method, place)
        assert answer.status_code == 404
        assert codes(answer) == {"BLOB_UPLOAD_UNKNOWN"}
    assert client.request("PATCH", place, data=b"abc").status_code == 404


def test_ended_upload(client: Client, name: str) -> None:
    """An upload that has ended can't go on."""
    opened = client.start_upload(name)
    assert finish(client, opened, b"abc", b"abc").status_code == 201
    assert client.request("GET", opened.headers["Location"]).status_code == 404


def test_upload_by_one_post(server: Server, client: Client, name: str) -> None:
    """POST with a digest and the bytes: 201, or an ordinary upload where that isn't known."""
    answer = client.request(
        "POST", f"/v2/{name}/blobs/uploads/", data=b"abc", params={"digest": str(Digest.of(b"abc"))}
    )
    if server.has(Feature.MONOLITHIC_POST):
        assert answer.status_code == 201
        assert client.request("GET", answer.headers["Location"]).content == b"abc"
    else:
        assert answer.status_code == 202


def test_same_blob_twice(client: Client, name: str) -> None:
    """Sending what is there already does no harm."""
    assert client.send_blob(name, b"twice") == client.send_blob(name, b"twice")
    assert client.request("GET", f"/v2/{name}/blobs/{Digest.of(b'twice')}").content == b"twice"


def test_mount(client: Client, name: str) -> None:
    """A blob of another repository is shared without being sent."""
    blob = client.send_blob(name, b"shared")
    answer = client.start_upload(f"{name}-b", mount=str(blob.digest), **{"from": name})
    assert answer.status_code == 201
    assert answer.headers["Docker-Content-Digest"] == str(blob.digest)
    assert answer.headers["Location"].endswith(f"/v2/{name}-b/blobs/{blob.digest}")
    assert client.request("GET", f"/v2/{name}-b/blobs/{blob.digest}").content == b"shared"


@pytest.mark.parametrize(
    ("origin", "digest"),
    [
        pytest.param("absent/repository", Digest.of(b"shared"), id="no-repository"),
        pytest.param("{name}", Digest.of(b"not there"), id="no-blob"),
        pytest.param("", Digest.of(b"shared"), id="no-origin"),
    ],
)
def test_mount_that_cannot_be(client: Client, name: str, origin: str, digest: Digest) -> None:
    """Where there is nothing to mount, an ordinary upload begins."""
    client.send_blob(name, b"shared")
    params = {"mount": str(digest)} | ({"from": origin.format(name=name)} if origin else {})
    answer = client.start_upload(f"{name}-b", **params)
    assert answer.status_code == 202
    assert finish(client, answer, b"other", b"other").status_code == 201


def test_put_of_a_manifest(client: Client, name: str) -> None:
    """A manifest that was put is there by tag and by digest."""
    image = client.make_image(name, "app")
    answer = client.put(name, "1.0", image)
    assert answer.status_code == 201
    assert answer.headers["Docker-Content-Digest"] == str(image.digest)
    assert answer.headers["Location"].endswith(f"/v2/{name}/manifests/{image.digest}")
    assert client.request("GET", answer.headers["Location"]).content == image.content
    assert client.tags(name) == ["1.0"]


def test_put_by_digest_makes_no_tag(client: Client, name: str) -> None:
    """Content by digest is there before any tag is."""
    image = client.send_image(name, "app")
    assert client.request("HEAD", f"/v2/{name}/manifests/{image.digest}").status_code == 200
    assert client.request("GET", f"/v2/{name}/tags/list").json().get("tags") in ([], None)


def test_put_under_another_digest(client: Client, name: str) -> None:
    """A manifest can't be put under a digest that it doesn't have."""
    image = client.make_image(name, "app")
    answer = client.put(name, Digest.of(b"another"), image)
    assert answer.status_code == 400
    assert codes(answer) == {"DIGEST_INVALID"}


def test_tag_moves(client: Client, name: str) -> None:
    """A tag that is put again names the new content; the old is still there by digest."""
    old = client.send_image(name, "old", "latest")
    new = client.send_image(name, "new", "latest")
    assert client.request("GET", f"/v2/{name}/manifests/latest").content == new.content
    assert client.request("GET", f"/v2/{name}/manifests/{old.digest}").content == old.content


def test_bytes_are_kept_whatever_their_form(client: Client, name: str) -> None:
    """A manifest isn't written anew: spaces and order stay."""
    image = client.make_image(name, "app")
    raw = json.dumps(dict(reversed(json.loads(image.content).items())), indent=7).encode() + b"\n\n"
    assert client.put(name, "1.0", raw).status_code == 201
    answer = client.request("GET", f"/v2/{name}/manifests/1.0")
    assert answer.content == raw
    assert answer.headers["Docker-Content-Digest"] == str(Digest.of(raw))


@pytest.mark.parametrize("part", ["config", "layer"])
def test_manifest_whose_blob_is_missing(client: Client, name: str, part: str) -> None:
    """A manifest isn't taken before its blobs."""
    image = client.make_image(name, "app")
    missing = Descriptor(image.layers[0].media_type, Digest.of(b"missing"), 7)
    config, layer = (missing, image.layers[0]) if part == "config" else (image.config, missing)
    answer = client.put(name, "1.0", compose_manifest(config, (layer,)))
    assert answer.status_code == 400
    assert codes(answer) == {"MANIFEST_BLOB_UNKNOWN"}
    assert client.request("HEAD", f"/v2/{name}/manifests/1.0").status_code == 404


@pytest.mark.parametrize("kind", ["", "application/json", "text/plain", "application/octet-stream", media.OCI_INDEX])
def test_manifest_with_another_content_type(client: Client, name: str, kind: str) -> None:
    """Its Content-Type has to say what it is."""
    image = client.make_image(name, "app")
    headers = {"Content-Type": kind} if kind else {}
    answer = client.request("PUT", f"/v2/{name}/manifests/1.0", data=image.content, headers=headers)
    assert (answer.status_code, codes(answer)) == (400, {"MANIFEST_INVALID"})
    assert client.request("HEAD", f"/v2/{name}/manifests/1.0").status_code == 404


def test_index(client: Client, name: str) -> None:
    """An index of images in the same repository is taken, and comes back as an index."""
    images = [client.send_image(name, text) for text in ("amd64", "arm64")]
    entries = tuple(
        Descriptor(image.media_type, image.digest, len(image.content), Platform("linux", arch))
        for image, arch in zip(images, ("amd64", "arm64"), strict=True)
    )
    index = compose_index(entries)
    assert client.put(name, "1.0", index).status_code == 201
    answer = client.request("GET", f"/v2/{name}/manifests/1.0")
    assert answer.headers["Content-Type"] == media.OCI_INDEX
    assert answer.content == index.content


def test_index_whose_child_is_missing(client: Client, name: str) -> None:
    """An index isn't taken before its manifests."""
    client.send_image(name, "app")
    entry = Descriptor(media.OCI_MANIFEST, Digest.of(b"missing"), 7, Platform("linux", "amd64"))
    answer = client.put(name, "1.0", compose_index((entry,)))
    assert answer.status_code == 400
    assert codes(answer) == {"MANIFEST_BLOB_UNKNOWN"}


def test_docker_manifest(client: Client, name: str) -> None:
    """Docker's own media types are kept as they are."""
    image = client.make_image(name, "app")
    document: dict[str, Any] = json.loads(image.content) | {"mediaType": media.DOCKER_MANIFEST}
    document["config"]["mediaType"] = media.DOCKER_CONFIG
    document["layers"][0]["mediaType"] = media.DOCKER_LAYER_GZIP
    raw = json.dumps(document).encode()
    assert client.put(name, "1.0", raw, media.DOCKER_MANIFEST).status_code == 201
    answer = client.request("GET", f"/v2/{name}/manifests/1.0")
    assert answer.headers["Content-Type"] == media.DOCKER_MANIFEST
    assert answer.content == raw


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"no json", id="no-json"),
        pytest.param(b"[]", id="a-list"),
        pytest.param(b'{"schemaVersion":2}', id="no-parts"),
        pytest.param(b'{"schemaVersion":1}', id="schema-1"),
    ],
)
def test_manifest_that_is_none(server: Server, client: Client, name: str, raw: bytes) -> None:
    """What isn't a manifest is refused."""
    client.send_image(name, "app")
    answer = client.put(name, "1.0", raw)
    assert answer.status_code in ({400} if server.has(Feature.STRICT_MANIFESTS) else {400, 404, 500})
    if server.has(Feature.STRICT_MANIFESTS):
        assert codes(answer) == {"MANIFEST_INVALID"}
    assert client.request("HEAD", f"/v2/{name}/manifests/1.0").status_code == 404


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"manifests": []}, id="manifest-and-index"),
        pytest.param({"mediaType": media.DOCKER_MANIFEST}, id="another-type-inside"),
    ],
)
def test_ambiguous_manifest(client: Client, name: str, change: dict[str, Any]) -> None:
    """A document that two readers could read in two ways is refused (CVE-2021-41190)."""
    raw = json.dumps(json.loads(client.make_image(name, "app").content) | change).encode()
    answer = client.put(name, "1.0", raw)
    assert answer.status_code == 400
    assert codes(answer) == {"MANIFEST_INVALID"}


def test_doubled_key(server: Server, client: Client, name: str) -> None:
    """A key that stands twice means two things."""
    raw = client.make_image(name, "app").content.replace(
        b'{"schemaVersion":2', b'{"schemaVersion":2,"schemaVersion":2', 1
    )
    assert client.put(name, "1.0", raw).status_code == (400 if server.has(Feature.DOUBLED_KEYS) else 201)


@pytest.mark.parametrize("size", [1 << 20, 4 << 20])
def test_large_manifest(client: Client, name: str, size: int) -> None:
    """Manifests up to 4 MiB are taken: the specification asks for it."""
    padding = {f"padding{number}": "x" * 60_000 for number in range(size // 60_100)}
    image = client.make_image(name, "app", padding)
    raw = image.content + b" " * (size - len(image.content))
    assert client.put(name, "1.0", raw).status_code == 201
    assert client.request("GET", f"/v2/{name}/manifests/1.0").content == raw


def test_huge_manifest(server: Server, client: Client, name: str) -> None:
    """There is a limit, and it is told."""
    answer = client.put(name, "1.0", b" " * (17 << 20))
    assert answer.status_code == (413 if server.has(Feature.MANIFEST_LIMIT) else 400)


def test_tags_in_one_request(server: Server, client: Client, name: str) -> None:
    """`?tag=` beside a digest writes tags and says which; older registries ignore it and say nothing."""
    image = client.send_image(name, "app", "1.0.0")
    answer = client.put(name, f"{image.digest}?tag=1.0&tag=latest", image)
    assert answer.status_code == 201
    if server.has(Feature.MULTI_TAG):
        assert answer.headers["OCI-Tag"] == "1.0, latest"
        assert client.tags(name) == ["1.0", "1.0.0", "latest"]
    else:
        assert "OCI-Tag" not in answer.headers
        assert client.tags(name) == ["1.0.0"]


@pytest.mark.parametrize("tag", ["-x", ".x", "a b", "x" * 129])
def test_put_under_no_tag(client: Client, name: str, tag: str) -> None:
    """What can't be a tag can't be put."""
    image = client.make_image(name, "app")
    assert client.put(name, tag, image).status_code in {400, 404}


@pytest.mark.parametrize("bad", ["Upper/case", "a//b", "-a/b", "a/b-"])
def test_repository_with_a_bad_name(server: Server, client: Client, bad: str) -> None:
    """A name that doesn't follow the grammar holds nothing."""
    taken = bad != bad.lower() and not server.has(Feature.STRICT_NAMES)
    assert client.start_upload(bad).status_code in ({202} if taken else {301, 400, 404})
