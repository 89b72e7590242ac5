"""The sandbox is never kinder than a registry, and no page of the web may use it."""

from __future__ import annotations

import hashlib
import json
import os
import resource
from pathlib import Path

import pytest
import requests

from publisher.model import media
from publisher.model.digest import Digest
from publisher.model.manifest import Descriptor, compose_index
from publisher.sandbox.blob_store import MemoryBlobStore
from publisher.sandbox.server import Sandbox
from publisher.sandbox.store import Store, TooManyUploads
from tests.contracts.client import Client, codes


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example", "Content-Type": "text/plain"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
@pytest.mark.parametrize(
    "path", ["/v2/a/b/blobs/uploads/", "/token", "/v2/namespaces/a/repositories", "/_sandbox/state"]
)
def test_pages_of_other_sites_are_refused(headers: dict[str, str], path: str) -> None:
    """A browser sends what any page says to this machine; nothing is written, and nothing told."""
    with Sandbox() as sandbox:
        for method in ("GET", "POST", "PUT"):
            answer = requests.request(method, sandbox.url + path, headers=headers, data=b"{}", timeout=5)
            assert (answer.status_code, sandbox.store.state()) == (403, {})


@pytest.mark.parametrize("site", [{}, {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}])
def test_its_own_page_is_answered(site: dict[str, str]) -> None:
    """And what sends no Origin, as no client of a registry does."""
    with Sandbox() as sandbox:
        for headers in ({}, {"Origin": sandbox.url}):
            assert requests.get(f"{sandbox.url}/", headers={**headers, **site}, timeout=5).status_code == 200


@pytest.mark.parametrize("number", ["9" * 5000, "-1", "1.5", "²", "1_0"])
def test_a_page_size_that_is_no_number(number: str) -> None:
    """400, as distribution 3 says; not an error of ours."""
    with Sandbox() as sandbox, Client(sandbox.url) as client:
        client.send_image("a/b", "app", "1.0")
        answer = client.request("GET", "/v2/a/b/tags/list", params={"n": number})
        assert answer.status_code == 400
        assert codes(answer) == {"PAGINATION_NUMBER_INVALID"}


def test_a_manifest_by_its_sha512_digest() -> None:
    """It is kept under the digest that it was put by, and its tags and lists name it so."""
    with Sandbox() as sandbox, Client(sandbox.url) as client:
        image = client.make_image("a/b", "app")
        digest = f"sha512:{hashlib.sha512(image.content).hexdigest()}"
        answer = client.put("a/b", f"{digest}?tag=1.0", image)
        assert (answer.status_code, answer.headers["Docker-Content-Digest"]) == (201, digest)
        for target in (digest, "1.0"):
            read = client.request("GET", f"/v2/a/b/manifests/{target}")
            assert (read.content, read.headers["Docker-Content-Digest"]) == (image.content, digest)
        index = compose_index((Descriptor(media.OCI_MANIFEST, Digest.parse(digest), len(image.content)),))
        assert client.put("a/b", "index", index).status_code == 201
        wrong = f"sha512:{hashlib.sha512(b'another').hexdigest()}"
        assert codes(client.put("a/b", wrong, image)) == {"DIGEST_INVALID"}


@pytest.mark.parametrize("kind", [media.DOCKER_MANIFEST, media.DOCKER_INDEX])
def test_dockers_manifests_say_what_they_are(kind: str) -> None:
    """The header alone is not enough there."""
    with Sandbox() as sandbox, Client(sandbox.url) as client:
        document = json.loads(client.send_image("a/b", "app").content)
        if kind == media.DOCKER_INDEX:
            document = {"schemaVersion": 2, "manifests": []}
        document.pop("mediaType", None)
        assert codes(client.put("a/b", "1.0", json.dumps(document).encode(), kind)) == {"MANIFEST_INVALID"}


def test_bytes_go_to_the_newest_location() -> None:
    """An older one is 416, and says where the upload goes on."""
    with Sandbox() as sandbox, Client(sandbox.url) as client:
        first = client.start_upload("a/b").headers["Location"]
        assert client.request("PATCH", first, data=b"abc").status_code == 202
        late = client.request("PATCH", first, data=b"def")
        assert (late.status_code, late.headers["Range"], codes(late)) == (416, "0-2", {"RANGE_INVALID"})
        sent = client.request("PATCH", late.headers["Location"], data=b"def")
        digest = {"digest": str(Digest.of(b"abcdef"))}
        assert client.request("PUT", sent.headers["Location"], params=digest).status_code == 201


def test_open_uploads_are_limited() -> None:
    """At 200 the one that was left alone longest goes, if a minute has passed; else no more can be begun."""
    now = 0.0
    store = Store(MemoryBlobStore(), clock=lambda: now)
    first, *_rest = [store.begin("a/b") for _upload in range(200)]
    with pytest.raises(TooManyUploads):
        store.begin("a/b")
    now = 61.0
    second = store.begin("a/b")
    assert (store.session("a/b", first), store.session("a/b", second) is not None) == (None, True)
    store.close()


def test_too_many_uploads_are_told() -> None:
    """429, with a time to come back."""
    with Sandbox() as sandbox, Client(sandbox.url) as client:
        answers = [client.start_upload("a/b") for _upload in range(201)]
        assert {answer.status_code for answer in answers[:200]} == {202}
        assert (answers[200].status_code, answers[200].headers["Retry-After"]) == (429, "5")


def test_many_large_blobs_take_few_files() -> None:
    """What is kept in memory doesn't take an open file each."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    open_files = len(list(Path("/proc/self/fd").iterdir()))
    store = MemoryBlobStore()
    resource.setrlimit(resource.RLIMIT_NOFILE, (open_files + 20, hard))
    try:
        contents = [bytes([number]) * ((1 << 20) + number) for number in range(100)]
        for content in contents:
            blob = store.begin()
            blob.append(content)
            store.keep(blob, Digest.of(content))
        for content in contents:
            digest = Digest.of(content)
            assert store.read(digest, (1 << 20) - 1, 5) == content[(1 << 20) - 1 :][:5]
            assert store.size(digest) == len(content)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        store.close()


def test_its_folders_are_its_users_alone(tmp_path: Path) -> None:
    """Whatever the umask."""
    before = os.umask(0)
    try:
        with Sandbox(store=tmp_path / "new" / "store") as sandbox, Client(sandbox.url) as client:
            client.send_image("a/b", "app", "1.0")
    finally:
        os.umask(before)
    folders = [path for path in (tmp_path / "new" / "store").rglob("*") if path.is_dir()]
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "new" / "store", *folders)} == {0o700}
