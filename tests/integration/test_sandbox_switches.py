"""The sandbox's switches: registries that do less, later or stricter than others."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from publisher.sandbox.options import Options
from publisher.sandbox.server import Sandbox
from tests.contracts.client import Client, codes

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.command import Publish


def test_delete_by_tag_can_be_unsupported() -> None:
    """Without it a tag stays, and digests can still be deleted."""
    with Sandbox(options=Options(delete_by_tag=False)) as sandbox, Client(sandbox.url) as client:
        image = client.send_image("a/b", "app", "1.0")
        answer = client.request("DELETE", "/v2/a/b/manifests/1.0")
        assert (answer.status_code, codes(answer)) == (405, {"UNSUPPORTED"})
        assert client.tags("a/b") == ["1.0"]
        assert client.request("DELETE", f"/v2/a/b/manifests/{image.digest}").status_code == 202
        assert client.tags("a/b") == []


def test_a_sample_is_there(publish: Publish, tmp_path: Path) -> None:
    """Two platforms, whole, the same bytes each time, and left alone where a kept store has it already."""
    digests = set()
    for _ in range(2):
        with Sandbox(store=tmp_path / "store", options=Options(sample=True, auth=True)) as sandbox:
            environ = {"PUBLISH_SANDBOX": sandbox.url}
            checked = publish("verify", "sandbox/sample", "--verify", "deep", "--format", "json", environ=environ)
            assert checked.code == 0, checked.stderr
            [found] = checked.document["results"]
            assert found["platforms"] == ["linux/amd64", "linux/arm64"]
            words = ("release", "docker://sandbox/sample", "--image", "a/b", "--version", "1.0.0")
            told = publish(*words, environ=environ)
            assert (told.code, "***" in told.stderr) == (0, False), "its password is no secret"
            digests.add(found["digest"])
    with Sandbox(options=Options(sample=True)) as fresh:
        digests.add(fresh.store.state()["sandbox/sample"]["latest"])
    # On every Python, and as the README shows it.
    assert digests == {"sha256:03ed7035b3320d14cfdb9549791c4c27a8280abb425e381ed360b742411ab57c"}


def test_several_tags_can_be_unsupported() -> None:
    """Without it `?tag=` is ignored, as older registries do."""
    with Sandbox(options=Options(multi_tag=False)) as sandbox, Client(sandbox.url) as client:
        image = client.send_image("a/b", "app")
        answer = client.put("a/b", f"{image.digest}?tag=1.0", image)
        assert answer.status_code == 201
        assert "OCI-Tag" not in answer.headers
        assert sandbox.store.tags("a/b") == []


def test_push_by_digest_can_be_unsupported() -> None:
    """Without it only tags are taken."""
    with Sandbox(options=Options(put_by_digest=False)) as sandbox, Client(sandbox.url) as client:
        image = client.make_image("a/b", "app")
        answer = client.put("a/b", image.digest, image)
        assert (answer.status_code, codes(answer)) == (405, {"UNSUPPORTED"})
        assert client.put("a/b", "1.0", image).status_code == 201


def test_referrers_can_be_unsupported() -> None:
    """Without it there is no such route."""
    with Sandbox(options=Options(referrers=False)) as sandbox, Client(sandbox.url) as client:
        image = client.send_image("a/b", "app")
        assert client.request("GET", f"/v2/a/b/referrers/{image.digest}").status_code == 404


def test_tags_come_in_pages_unasked() -> None:
    """A registry may give fewer tags than there are, whatever was asked."""
    with Sandbox(options=Options(page=2)) as sandbox, Client(sandbox.url) as client:
        client.send_image("a/b", "app", *"abcde")
        assert client.tags("a/b") == client.tags("a/b", n=100) == ["a", "b"]
        answer = client.request("GET", "/v2/a/b/tags/list", params={"last": "b"})
        assert answer.json()["tags"] == ["c", "d"]
        assert answer.links["next"]["url"] == "/v2/a/b/tags/list?n=2&last=d"


def test_changes_are_seen_late() -> None:
    """A tag that moved names its old content for a while; content by digest is there at once."""
    with Sandbox(options=Options(lag=0.6)) as sandbox, Client(sandbox.url) as client:
        old = client.send_image("a/b", "old", "latest")
        assert client.request("HEAD", "/v2/a/b/manifests/latest").status_code == 404
        assert client.tags("a/b") == []
        time.sleep(0.7)
        new = client.send_image("a/b", "new", "latest")
        assert client.request("HEAD", "/v2/a/b/manifests/latest").headers["Docker-Content-Digest"] == str(old.digest)
        assert client.request("HEAD", f"/v2/a/b/manifests/{new.digest}").status_code == 200
        assert sandbox.store.state()["a/b"]["latest"] == str(new.digest)
        time.sleep(0.7)
        assert client.request("HEAD", "/v2/a/b/manifests/latest").headers["Docker-Content-Digest"] == str(new.digest)


def test_frozen_tags() -> None:
    """A frozen tag is written once: other content is refused in Docker Hub's words, the same content is not."""
    options = Options(immutable=(r"[0-9]+\.[0-9]+\.[0-9]+",))
    with Sandbox(options=options) as sandbox, Client(sandbox.url) as client:
        first = client.send_image("a/b", "first", "1.0.0", "1.0")
        second = client.make_image("a/b", "second")
        answer = client.put("a/b", "1.0.0", second)
        assert (answer.status_code, codes(answer)) == (403, {"DENIED"})
        assert "immutability settings" in answer.text
        assert client.put("a/b", "1.0.0", first).status_code == 201
        assert client.put("a/b", "1.0", second).status_code == 201
        assert client.put("a/b", f"{second.digest}?tag=1.0&tag=1.0.0", second).status_code == 403
        for reference in ("1.0.0", first.digest):
            assert client.request("DELETE", f"/v2/a/b/manifests/{reference}").status_code == 403
        assert sandbox.store.state()["a/b"] == {"1.0.0": str(first.digest), "1.0": str(second.digest)}


@pytest.mark.parametrize(("size", "status"), [(5_000, 201), (5_001, 413)])
def test_limit_of_manifests(size: int, status: int) -> None:
    """A smaller limit is a limit to the byte."""
    with Sandbox(options=Options(manifest_limit=5_000)) as sandbox, Client(sandbox.url) as client:
        image = client.make_image("a/b", "app")
        raw = image.content + b" " * (size - len(image.content))
        assert client.put("a/b", "1.0", raw).status_code == status
