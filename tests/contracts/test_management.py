"""Management: what is deleted is gone, and nothing else is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from publisher.model.digest import Digest
from tests.contracts.client import Client, codes
from tests.contracts.servers import Feature

if TYPE_CHECKING:
    from tests.contracts.servers import Server


def test_delete_by_digest_takes_every_tag_along(client: Client, name: str) -> None:
    """A manifest that is deleted has no tags any more; others stay."""
    gone = client.send_image(name, "gone", "1.0", "latest")
    kept = client.send_image(name, "kept", "0.9")
    assert client.request("DELETE", f"/v2/{name}/manifests/{gone.digest}").status_code == 202
    for reference in (gone.digest, "1.0", "latest"):
        assert client.request("GET", f"/v2/{name}/manifests/{reference}").status_code == 404
    assert client.request("GET", f"/v2/{name}/manifests/0.9").content == kept.content
    assert client.tags(name) == ["0.9"]


def test_delete_by_tag(server: Server, client: Client, name: str) -> None:
    """Where one tag can be deleted, its manifest and the other tags stay; elsewhere nothing is touched."""
    image = client.send_image(name, "app", "1.0", "latest")
    answer = client.request("DELETE", f"/v2/{name}/manifests/latest")
    if server.has(Feature.DELETE_BY_TAG):
        assert answer.status_code == 202
        assert client.tags(name) == ["1.0"]
    else:
        assert answer.status_code in {400, 405}
        assert codes(answer) <= {"UNSUPPORTED", "DIGEST_INVALID"}
        assert sorted(client.tags(name)) == ["1.0", "latest"]
    assert client.request("GET", f"/v2/{name}/manifests/{image.digest}").status_code == 200


def test_deleted_content_can_come_again(client: Client, name: str) -> None:
    """What was deleted can be put once more."""
    image = client.send_image(name, "app", "1.0")
    client.request("DELETE", f"/v2/{name}/manifests/{image.digest}")
    assert client.put(name, "2.0", image).status_code == 201
    assert client.tags(name) == ["2.0"]


def test_delete_of_an_absent_manifest(client: Client, name: str) -> None:
    """There is nothing to delete: 404."""
    client.send_image(name, "app", "1.0")
    answer = client.request("DELETE", f"/v2/{name}/manifests/{Digest.of(b'absent')}")
    assert answer.status_code == 404
    assert codes(answer) == {"MANIFEST_UNKNOWN"}


def test_delete_of_a_blob(client: Client, name: str) -> None:
    """A blob that is deleted is gone from its repository, and from no other."""
    blob = client.send_blob(name, b"some bytes")
    client.send_blob(f"{name}-b", b"some bytes")
    assert client.request("DELETE", f"/v2/{name}/blobs/{blob.digest}").status_code == 202
    assert client.request("HEAD", f"/v2/{name}/blobs/{blob.digest}").status_code == 404
    assert client.request("HEAD", f"/v2/{name}-b/blobs/{blob.digest}").status_code == 200


def test_delete_of_an_absent_blob(client: Client, name: str) -> None:
    """There is nothing to delete: 404."""
    client.send_blob(name, b"another")
    answer = client.request("DELETE", f"/v2/{name}/blobs/{Digest.of(b'absent')}")
    assert answer.status_code == 404
    assert codes(answer) == {"BLOB_UNKNOWN"}


@pytest.mark.parametrize("path", ["manifests/1.0", "blobs/uploads/", "tags/list"])
def test_method_that_is_not_for_this(client: Client, name: str, path: str) -> None:
    """A method that means nothing there is refused."""
    client.send_image(name, "app", "1.0")
    method = "POST" if path != "blobs/uploads/" else "DELETE"
    assert client.request(method, f"/v2/{name}/{path}").status_code in {404, 405}
