"""What refers to an image goes with it to another repository, whatever either registry knows of referrers."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from publisher.model import media
from publisher.model.manifest import Content, parse_manifest
from publisher.sandbox.options import Options
from publisher.sandbox.server import Sandbox
from tests.contracts.client import Client

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.command import Publish
    from tests.support.registry import RegistryProcess

SBOM, SIGNATURE = "application/x.sbom", "application/x.signature"


class Place:
    """A registry, with or without the referrers API."""

    def __init__(self, url: str, *, lists: bool) -> None:
        self.client, self.lists = Client(url), lists
        self.host = url.removeprefix("http://")

    def refer(self, name: str, subject: Content, kind: str) -> Content:
        """Put an artifact on `subject`, as a tool would: where there is no API the tag lists it."""
        document = json.loads(self.client.make_image(name, kind).content)
        document |= {"subject": subject.descriptor.document(), "artifactType": kind}
        artifact = parse_manifest(json.dumps(document).encode())
        assert self.client.put(name, artifact.digest, artifact).status_code == 201
        if not self.lists:
            entry = {**artifact.descriptor.document(), "artifactType": kind}
            listing = {"schemaVersion": 2, "mediaType": media.OCI_INDEX, "manifests": [entry]}
            tag = f"sha256-{subject.digest.hex}"
            assert self.client.put(name, tag, json.dumps(listing).encode(), media.OCI_INDEX).status_code == 201
        return artifact

    def referrers(self, name: str, subject: Content) -> dict[str, str]:
        """What refers to it, as digest to kind."""
        path = f"referrers/{subject.digest}" if self.lists else f"manifests/sha256-{subject.digest.hex}"
        answer = self.client.request("GET", f"/v2/{name}/{path}")
        entries = answer.json()["manifests"] if answer.status_code == 200 else []
        return {entry["digest"]: entry["artifactType"] for entry in entries}


@pytest.fixture(params=["api", "tags", "distribution"])
def places(request: pytest.FixtureRequest, registry: RegistryProcess) -> Iterator[tuple[Place, Place]]:
    """Where it comes from, and a sandbox or a real registry that it goes to."""
    with ExitStack() as opened:
        origin = opened.enter_context(Sandbox(options=Options(referrers=request.param != "tags")))
        if request.param == "distribution":
            yield Place(origin.url, lists=True), Place(registry.url, lists=False)
        else:
            target = opened.enter_context(Sandbox(options=Options(referrers=request.param == "tags")))
            yield Place(origin.url, lists=request.param != "tags"), Place(target.url, lists=request.param == "tags")


def test_signatures_and_sboms_go_along(places: tuple[Place, Place], publish: Publish, name: str) -> None:
    """With the signature of the SBOM, and cosign's tag; they are told, and a second time nothing is written."""
    here, there = places
    image = here.client.send_image(name, "app", "1.0.0")
    sbom = here.refer(name, image, SBOM)
    signature = here.refer(name, sbom, SIGNATURE)
    beside = here.client.make_image(name, "cosign")
    tag = f"sha256-{image.digest.hex}.sig"
    assert here.client.put(name, tag, beside).status_code == 201
    words = ("retag", f"{here.host}/{name}:1.0.0", f"{there.host}/{name}:1.0.0")
    result = publish(*words)
    assert result.code == 0, result.stderr
    assert f"carried  {SBOM}, {SIGNATURE}, sha256-{image.digest.hex[:12]}….sig to {there.host}/{name}" in result.stderr
    assert there.referrers(name, image) == {str(sbom.digest): SBOM}
    assert there.referrers(name, sbom) == {str(signature.digest): SIGNATURE}
    for target in (sbom.digest, signature.digest, tag):
        held = there.client.request("GET", f"/v2/{name}/manifests/{target}")
        assert held.content in {sbom.content, signature.content, beside.content}
    again = publish(*words, "--format", "json")
    assert (again.code, again.document["moves"][0]["state"]) == (0, "unchanged")


def test_what_an_index_lists_keeps_its_referrers(
    places: tuple[Place, Place], publish: Publish, name: str, tmp_path: Path
) -> None:
    """A platform of it may be signed by itself; release takes them along as retag does."""
    here, there = places
    child = here.client.send_image(name, "amd64")
    entry = {**child.descriptor.document(), "platform": {"os": "linux", "architecture": "amd64"}}
    listing = {"schemaVersion": 2, "mediaType": media.OCI_INDEX, "manifests": [entry]}
    index = parse_manifest(json.dumps(listing).encode())
    assert here.client.put(name, "1.0.0", index).status_code == 201
    signature = here.refer(name, child, SIGNATURE)
    source = f"docker://{here.host}/{name}@{index.digest}"
    result = publish("release", source, "--image", f"{there.host}/{name}", "--version", "1.0.0")
    assert result.code == 0, result.stderr
    assert there.referrers(name, child) == {str(signature.digest): SIGNATURE}


def test_another_signature_in_the_target_stays(places: tuple[Place, Place], publish: Publish, name: str) -> None:
    """It may be the one that is trusted there."""
    here, there = places
    image = here.client.send_image(name, "app", "1.0.0")
    tag = f"sha256-{image.digest.hex}.sig"
    assert here.client.put(name, tag, here.client.make_image(name, "mine")).status_code == 201
    theirs = there.client.make_image(name, "theirs")
    assert there.client.put(name, tag, theirs).status_code == 201
    result = publish("retag", f"{here.host}/{name}:1.0.0", f"{there.host}/{name}:1.0.0")
    assert result.code == 0, result.stderr
    assert f"{there.host}/{name}:{tag} holds something else than {here.host}/{name}'s, and stays" in result.stderr
    assert there.client.request("GET", f"/v2/{name}/manifests/{tag}").content == theirs.content
