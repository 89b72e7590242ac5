"""SBOMs of a signed release: made by a real syft, by what behaves as trivy is documented, or too large to be signed."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from publisher.attest.sbom import LARGEST_LOGGED
from publisher.model.digest import Digest
from publisher.sandbox.options import Options
from publisher.sandbox.server import Sandbox
from tests.support.attest import new_key, private_pem, public_pem
from tests.support.layout import make_layout
from tests.support.sigstore import ACME, Rehearsal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.command import Publish, Result

# Source: trivy.dev, "trivy image": its options, and TRIVY_USERNAME, TRIVY_PASSWORD, TRIVY_INSECURE, TRIVY_NON_SSL for a
# registry. It reads what it names from the registry alone, by its digest, and whatever else it is given ends it.
TRIVY = """#!{python}
import base64, json, os, sys, urllib.request
asked, name = sys.argv[1:-1], sys.argv[-1]
assert asked == ["image", "--quiet", "--image-src", "remote", "--format", "spdx-json"], asked
assert not [key for key in os.environ if key.startswith("COSIGN") or "PRIVATE KEY" in os.environ[key]]
assert os.environ["TRIVY_NON_SSL"] == os.environ["TRIVY_INSECURE"] == "true"
repository, digest = name.split("@")
host, path = repository.split("/", 1)
secret = os.environ.get("TRIVY_USERNAME", "") + ":" + os.environ.get("TRIVY_PASSWORD", "")
headers = {{"Accept": "application/vnd.oci.image.manifest.v1+json"}}
if secret != ":":
    headers["Authorization"] = "Basic " + base64.b64encode(secret.encode()).decode()
url = f"http://{{host}}/v2/{{path}}/manifests/{{digest}}"
with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
    layers = json.load(answer)["layers"]
packages = [{{"SPDXID": f"SPDXRef-{{i}}", "name": layer["digest"]}} for i, layer in enumerate(layers)]
json.dump({{"spdxVersion": "SPDX-2.3", "SPDXID": "SPDXRef-DOCUMENT", "name": name, "packages": packages}}, sys.stdout)
"""


@pytest.fixture
def rehearsal(publish: Publish, tmp_path: Path) -> Iterator[Rehearsal]:
    """A registry with the referrers API."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "key.pem").write_bytes(private_pem(key := new_key()))
    (folder / "pub.pem").write_bytes(public_pem(key))
    with Sandbox(options=Options()) as sandbox:
        yield Rehearsal(sandbox, publish, folder)


def released(rehearsal: Rehearsal, maker: str) -> Result:
    """Signed by a key, with an SBOM that a program makes."""
    words = ["release", "oci:layout", "--image", f"{rehearsal.host}/acme/app", "--version", "1.2.3", "-y"]
    path = os.pathsep.join([str(rehearsal.folder / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])
    environ = {"PATH": path, "COSIGN_PASSWORD": "unused"}
    return rehearsal.publish(*words, "--key", "key.pem", "--sbom", maker, cwd=rehearsal.folder, environ=environ)


def install_trivy(rehearsal: Rehearsal) -> None:
    """No package index here has the real one."""
    (rehearsal.folder / "bin").mkdir()
    file = rehearsal.folder / "bin" / "trivy"
    file.write_text(TRIVY.format(python=sys.executable))
    file.chmod(0o755)


@pytest.mark.parametrize("maker", ["syft", "trivy"])
def test_an_installed_program_makes_the_sbom_of_each_platform(rehearsal: Rehearsal, maker: str) -> None:
    """From what was pushed, by its digest; the index counts as having it, and each platform's stands for itself."""
    if maker == "trivy":
        install_trivy(rehearsal)
    make_layout(rehearsal.folder / "layout", maker, ("linux/amd64", "linux/arm64"))
    done = released(rehearsal, maker)
    assert done.code == 0, done.stderr
    words = ["--signed-by", "pub.pem", "--attested", "sbom", "-o", "out", "--format", "json"]
    asked = ["verify", f"{rehearsal.host}/acme/app:1.2.3", *words]
    found = rehearsal.publish(*asked, cwd=rehearsal.folder)
    assert found.code == 0, found.stdout
    predicates = [one["predicate"] for one in found.document["results"][0]["signatures"]]
    assert predicates.count("https://spdx.dev/Document") == 2
    sboms = [json.loads(file.read_text()) for file in (rehearsal.folder / "out").glob("*sbom*.json")]
    assert {one["spdxVersion"] for one in sboms if "spdxVersion" in one} == {"SPDX-2.3"}


def test_a_program_that_fails_moves_no_tag(rehearsal: Rehearsal) -> None:
    """Its own words are told, and the same command finishes once it works."""
    install_trivy(rehearsal)
    good = (rehearsal.folder / "bin" / "trivy").read_text()
    (rehearsal.folder / "bin" / "trivy").write_text("#!/bin/sh\necho 'no database' >&2\nexit 1\n")
    done = released(rehearsal, "trivy")
    assert (done.code, "no database" in done.stderr) == (2, True), done.stderr
    assert rehearsal.publish("verify", f"{rehearsal.host}/acme/app:1.2.3").code == 5
    (rehearsal.folder / "bin" / "trivy").write_text(good)
    assert released(rehearsal, "trivy").code == 0


def test_an_sbom_that_the_public_log_does_not_take_is_refused_before_anything_is_sent(rehearsal: Rehearsal) -> None:
    """With its size and the limit; a key, which no log hears of, may sign it."""
    padding = "x" * LARGEST_LOGGED
    document = {"spdxVersion": "SPDX-2.3", "SPDXID": "SPDXRef-DOCUMENT", "name": padding, "packages": []}
    (rehearsal.folder / "large.json").write_text(json.dumps(document))
    asked = ["release", "oci:layout", "--image", "acme/app", "--version", "1.2.3", "-y", "--sbom", "large.json"]
    done = rehearsal.run(*asked, "--sign")
    assert (done.code, "3,145,728 are taken in the public log" in done.stderr) == (2, True), done.stderr
    assert "pushed" not in done.stderr
    assert rehearsal.run(*asked, "--key", "key.pem").code == 0


def test_buildkits_sbom_that_the_public_log_does_not_take_is_left_out_and_told(rehearsal: Rehearsal) -> None:
    """The rest is signed."""
    make_layout(rehearsal.folder / "layout", "large", ("linux/amd64", "linux/arm64"))
    add_attestation(rehearsal.folder / "layout", "x" * LARGEST_LOGGED)
    done = rehearsal.release("1.2.3")
    assert done.code == 0, done.stderr
    assert "3,145,728 are taken: it is not signed" in done.stderr
    assert rehearsal.run("verify", "acme/app:1.2.3", "--signed-by", ACME).code == 0
    assert rehearsal.run("verify", "acme/app:1.2.3", "--signed-by", ACME, "--attested", "sbom").code == 5


def add_attestation(layout: Path, name: str) -> None:
    """An SBOM in the index, as BuildKit puts one there."""

    def put(document: object) -> dict[str, object]:
        raw = json.dumps(document).encode()
        digest = Digest.of(raw)
        (layout / "blobs" / "sha256" / digest.hex).write_bytes(raw)
        return {"digest": str(digest), "size": len(raw)}

    listing = json.loads((layout / "index.json").read_text())
    root = json.loads((layout / "blobs" / "sha256" / listing["manifests"][0]["digest"].partition(":")[2]).read_text())
    child = root["manifests"][0]["digest"]
    subject = [{"name": "app", "digest": {"sha256": child.partition(":")[2]}}]
    sbom = {"spdxVersion": "SPDX-2.3", "name": name, "packages": []}
    kind = "https://spdx.dev/Document"
    statement = {
        "_type": "https://in-toto.io/Statement/v0.1",
        "predicateType": kind,
        "predicate": sbom,
        "subject": subject,
    }
    layer = {
        "mediaType": "application/vnd.in-toto+json",
        **put(statement),
        "annotations": {"in-toto.io/predicate-type": kind},
    }
    config = {
        "mediaType": "application/vnd.oci.image.config.v1+json",
        **put({"architecture": "unknown", "os": "unknown"}),
    }
    media_type = "application/vnd.oci.image.manifest.v1+json"
    manifest = {"schemaVersion": 2, "mediaType": media_type, "config": config, "layers": [layer]}
    entry = {
        "mediaType": media_type, **put(manifest), "platform": {"architecture": "unknown", "os": "unknown"},
        "annotations": {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": child},
    }  # fmt: skip
    root["manifests"].append(entry)
    listing["manifests"][0] |= put(root)
    (layout / "index.json").write_text(json.dumps(listing))
