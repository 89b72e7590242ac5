"""Discovery: lists of tags, and of what refers to a manifest."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from publisher.model import media
from publisher.model.digest import Digest
from publisher.model.manifest import parse_manifest
from tests.contracts.client import Client, codes
from tests.contracts.servers import Feature

if TYPE_CHECKING:
    from publisher.model.manifest import Content
    from tests.contracts.servers import Server

TAGS = ["1.0", "1.10", "1.2", "2", "B", "_x", "a", "latest"]


def test_tags_are_listed_in_order(server: Server, client: Client, name: str) -> None:
    """Every tag once, sorted by its bytes."""
    client.send_image(name, "app", *reversed(TAGS))
    answer = client.request("GET", f"/v2/{name}/tags/list")
    assert answer.headers["Content-Type"].partition(";")[0] == "application/json"
    document = answer.json()
    assert document["name"] == name
    assert (document["tags"] if server.has(Feature.SORTED_TAGS) else sorted(document["tags"])) == TAGS
    assert "Link" not in answer.headers


def test_tags_of_an_absent_repository(client: Client, name: str) -> None:
    """A repository that isn't there is 404, not an empty list."""
    answer = client.request("GET", f"/v2/{name}/tags/list")
    assert answer.status_code == 404
    assert codes(answer) == {"NAME_UNKNOWN"}


@pytest.mark.parametrize("size", [1, 3, 7, 8, 100])
def test_tags_page_by_page(server: Server, client: Client, name: str, size: int) -> None:
    """Following Link gives every tag once, `n` at a time; older registries give all at once."""
    client.send_image(name, "app", *TAGS)
    path, pages = f"/v2/{name}/tags/list?n={size}", []
    while path:
        answer = client.request("GET", path)
        pages.append(answer.json()["tags"])
        path = answer.links.get("next", {}).get("url", "")
    tags = [tag for page in pages for tag in page]
    assert sorted(tags) == TAGS
    if server.has(Feature.TAG_PAGES):
        assert tags == TAGS
        assert [len(page) for page in pages] == [size] * (8 // size) + ([8 % size] if 8 % size else [])
    else:
        assert len(pages) == 1


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        pytest.param({"n": 0}, [], id="none"),
        pytest.param({"n": 2, "last": "1.10"}, ["1.2", "2"], id="after-one"),
        pytest.param({"last": "_x"}, ["a", "latest"], id="after-one-all"),
        pytest.param({"n": 2, "last": "1.15"}, ["1.2", "2"], id="after-one-that-is-not-there"),
        pytest.param({"last": "zzz"}, [], id="after-the-end"),
    ],
)
def test_part_of_the_tags(
    server: Server, client: Client, name: str, params: dict[str, Any], expected: list[str]
) -> None:
    """`n` and `last` choose a part."""
    client.send_image(name, "app", *TAGS)
    tags = client.tags(name, **params)
    if server.has(Feature.TAG_PAGES):
        assert tags == expected
    else:
        assert sorted(tags) == TAGS


def test_page_of_no_number(server: Server, client: Client, name: str) -> None:
    """`n` has to be a number."""
    client.send_image(name, "app", *TAGS)
    answer = client.request("GET", f"/v2/{name}/tags/list", params={"n": "-1"})
    assert answer.status_code == (400 if server.has(Feature.TAG_PAGES) else 200)


def refer(client: Client, name: str, subject: Content, kind: str, **more: Any) -> tuple[Content, dict[str, str]]:
    """Put an artifact that refers to `subject`; returns it and its answer's headers."""
    document = json.loads(client.make_image(name, kind).content)
    document |= {"subject": subject.descriptor.document(), "artifactType": kind, **more}
    artifact = parse_manifest(json.dumps(document).encode())
    answer = client.put(name, artifact.digest, artifact)
    assert answer.status_code == 201
    return artifact, dict(answer.headers)


def test_referrers(server: Server, client: Client, name: str) -> None:
    """What refers to a manifest is listed as an index; older registries know no such list."""
    image = client.send_image(name, "app", "1.0")
    artifact, headers = refer(client, name, image, "application/x.sbom", annotations={"who": "me"})
    answer = client.request("GET", f"/v2/{name}/referrers/{image.digest}")
    if not server.has(Feature.REFERRERS):
        assert answer.status_code == 404
        assert "OCI-Subject" not in headers
        return
    assert headers["oci-subject"] == str(image.digest)
    assert answer.headers["Content-Type"] == media.OCI_INDEX
    document = answer.json()
    assert (document["schemaVersion"], document["mediaType"]) == (2, media.OCI_INDEX)
    assert document["manifests"] == [
        {
            "mediaType": media.OCI_MANIFEST,
            "digest": str(artifact.digest),
            "size": len(artifact.content),
            "artifactType": "application/x.sbom",
            "annotations": {"who": "me"},
        }
    ]


def test_referrers_of_one_kind(server: Server, client: Client, name: str) -> None:
    """artifactType filters, and the answer says that it did."""
    image = client.send_image(name, "app", "1.0")
    refer(client, name, image, "application/x.sbom")
    signature, _headers = refer(client, name, image, "application/x.signature")
    path = f"/v2/{name}/referrers/{image.digest}"
    answer = client.request("GET", path, params={"artifactType": "application/x.signature"})
    if not server.has(Feature.REFERRERS):
        assert answer.status_code == 404
        return
    assert answer.headers["OCI-Filters-Applied"] == "artifactType"
    assert [entry["digest"] for entry in answer.json()["manifests"]] == [str(signature.digest)]
    assert len(client.request("GET", path).json()["manifests"]) == 2


@pytest.mark.parametrize("text", [str(Digest.of(b"nothing")), "nonsense"])
def test_referrers_of_nothing(server: Server, client: Client, name: str, text: str) -> None:
    """Nothing refers to what isn't there: an empty list, no 404; what is no digest is 400."""
    client.send_image(name, "app")
    answer = client.request("GET", f"/v2/{name}/referrers/{text}")
    if not server.has(Feature.REFERRERS):
        assert answer.status_code == 404
    elif ":" in text:
        assert (answer.status_code, answer.json()["manifests"]) == (200, [])
    else:
        assert answer.status_code == 400


def test_subject_may_come_later(server: Server, client: Client, name: str) -> None:
    """An artifact is taken before what it refers to."""
    image = client.make_image(name, "later")
    refer(client, name, image, "application/x.sbom")
    assert client.put(name, "1.0", image).status_code == 201
    answer = client.request("GET", f"/v2/{name}/referrers/{image.digest}")
    assert answer.status_code == (200 if server.has(Feature.REFERRERS) else 404)
