"""Signed releases: what stands in the registry is what independent verifiers accept, and what they refuse."""

from __future__ import annotations

import base64
import json
import random
import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from publisher.attest.bundle import bundle_artifact
from publisher.attest.dsse import Envelope, signed_bytes
from publisher.attest.keys import SigningKey
from publisher.attest.simple import SimpleSignature, compose_signatures, layer_of, payload_of, signature_tag
from publisher.attest.statements import PROVENANCE, SIGNATURE, Statement, Subject
from publisher.http.client import Client
from publisher.http.tls import HostSettings
from publisher.model.artifact import SmallBlob, compose_artifact
from publisher.model.digest import Digest
from publisher.model.reference import Repository
from publisher.registry.endpoint import locate
from publisher.registry.image import send_blobs
from publisher.registry.referrers import list_referrers
from publisher.registry.repository import RemoteRepository
from publisher.sandbox.options import Options
from publisher.sandbox.server import Sandbox
from tests.support.attest import DATA, PASSWORD, cosign_key, new_key, private_pem, public_pem
from tests.support.cosign import Cosign, find_tool
from tests.support.layout import make_layout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from publisher.model.manifest import Content
    from tests.support.command import Publish, Result
    from tests.support.registry import RegistryProcess

VERSION = "org.opencontainers.image.version"
SPDX = {
    "spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": "app",
    "documentNamespace": "https://example.org/app", "packages": [{"SPDXID": "SPDXRef-a", "name": "a"}],
    "creationInfo": {"created": "2026-01-01T00:00:00Z", "creators": ["Tool: test"]},
}  # fmt: skip
CYCLONEDX = {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "components": []}


@dataclass(frozen=True)
class Bench:
    """A registry, a key pair of cosign's, and all that works with them. password: the key's."""

    publish: Publish
    host: str
    name: str
    folder: Path

    @property
    def image(self) -> str:
        """Where it is released to."""
        return f"{self.host}/{self.name}"

    def cosign(self, version: int) -> Cosign:
        """One of the two."""
        return Cosign(version, self.folder)

    def release(self, version: str = "1.2.3", *words: str, layout: str = "layout") -> Result:
        """Sign and release a layout."""
        folder = self.folder / layout
        if not folder.exists():
            make_layout(folder, f"{self.name} {layout}")
        asked = ["release", f"oci:{folder}", "--image", self.image, "--version", version, "-y", *words]
        return self.publish(*asked, cwd=self.folder, environ={"COSIGN_PASSWORD": PASSWORD.decode()})

    def signed(self, version: str = "1.2.3", *words: str, layout: str = "layout") -> Result:
        """By the key."""
        done = self.release(version, "--key", "cosign.key", *words, layout=layout)
        assert done.code == 0, done.stderr
        return done

    def verify(self, reference: str, *words: str, who: str = "cosign.pub") -> Result:
        """Who has signed it?"""
        asked = ["verify", reference, "--signed-by", who, *words]
        return self.publish(*asked, cwd=self.folder)

    def remote(self, name: str = "") -> RemoteRepository:
        """Its repository, to put there what no release would."""
        client = Client(lambda _host, _name: None, lambda _host: HostSettings())
        return RemoteRepository(client, locate(Repository.parse(f"{self.host}/{name or self.name}"), None))

    def attach(self, bundle: bytes, subject: Content, predicate: str = SIGNATURE) -> None:
        """Put a bundle beside an image."""
        with closing(self.remote()) as remote:
            artifact, blobs = bundle_artifact(bundle, predicate, subject.descriptor)
            send_blobs(remote, blobs)
            remote.put_manifest(artifact)
            list_referrers(remote, subject.digest, [artifact])

    def content(self, tag: str) -> Content:
        """What a tag holds."""
        with closing(self.remote()) as remote:
            return remote.get(Repository.parse(self.image).tag(tag).target)


@contextmanager
def closing(remote: RemoteRepository) -> Iterator[RemoteRepository]:
    """Its connections don't outlive it."""
    try:
        yield remote
    finally:
        remote.close()
        remote._client.close()


@pytest.fixture(params=["distribution", "api", "tags"])
def bench(
    request: pytest.FixtureRequest, registry: RegistryProcess, publish: Publish, name: str, tmp_path: Path
) -> Iterator[Bench]:
    """A real registry without the referrers API, and the sandbox with and without."""
    folder = tmp_path / "work"
    shutil.copytree(DATA / "cosign3", folder)
    publish.environ["COLUMNS"] = "250"  # sentences in one piece
    if request.param == "distribution":
        yield Bench(publish, registry.host, name, folder)
        return
    with Sandbox(options=Options(referrers=request.param == "api")) as sandbox:
        yield Bench(publish, sandbox.url.removeprefix("http://"), name, folder)


def bundle_of(key: SigningKey, digest: Digest, predicate: str = SIGNATURE, version: str = "1.2.3") -> bytes:
    """A bundle as a release would make it."""
    from publisher.attest.bundle import key_bundle

    payload = Statement(predicate, (Subject(digest, "r/n", {VERSION: version}),), {}).content()
    return key_bundle(Envelope(payload, key.sign(signed_bytes(payload))), key.public)


def write(bench: Bench, file: str, document: dict[str, Any]) -> str:
    """A JSON file beside the configuration."""
    (bench.folder / file).write_text(json.dumps(document))
    return file


# What a release leaves, and who accepts it.


# Who accepts what, cell by cell, with a registry that lists referrers and with those that don't. Columns: cosign 2,
# cosign 3, publish. cosign 2 sees no bundle where it looks for a signature; statements other than signatures are
# written as bundles only. Reads of `.att` are those of what cosign 2 attests by default.
OURS = [
    ("signature as a bundle", "verify", (10, 0, 0)),
    ("signature as a bundle and .sig", "verify older", (0, 0, 0)),
    ("provenance as a bundle", "slsaprovenance1", (0, 0, 0)),
    ("SPDX as a bundle", "spdxjson", (0, 0, 0)),
    ("CycloneDX as a bundle", "cyclonedx", (0, 0, 0)),
]


@dataclass(frozen=True)
class SignedRelease:
    """Releases with all that can be signed; the older form only in the second."""

    bench: Bench
    plain: str
    older: str

    def verdicts(self, kind: str) -> tuple[int, int, int]:
        """What the three say."""
        reference = self.older if kind == "verify older" else self.plain
        two, three = self.bench.cosign(2), self.bench.cosign(3)
        if kind.startswith("verify"):
            words = ["-a", f"{VERSION}={reference.rpartition(':')[2]}"]
            return two.verify(reference, *words), three.verify(reference, *words), self.bench.verify(reference).code
        attested = self.bench.verify(reference, "--attested", "provenance" if "slsa" in kind else "sbom").code
        return two.verify_attestation(reference, kind), three.verify_attestation(reference, kind), attested


def test_who_accepts_what_a_release_signed(bench: Bench) -> None:
    """Signature, provenance, an SBOM of each form."""
    bench.signed("1.2.3", "--sbom", write(bench, "spdx.json", SPDX))
    bench.signed("1.2.3", "--sbom", write(bench, "cyclonedx.json", CYCLONEDX))
    (bench.folder / "publish.toml").write_text('[sign]\nby = "cosign.key"\nlegacy = true\n')
    assert bench.release("1.2.4", layout="other").code == 0
    assert "signed already" in bench.release("1.2.4", layout="other").stderr
    release = SignedRelease(bench, f"{bench.image}:1.2.3", f"{bench.image}:1.2.4")
    assert [(name, kind, release.verdicts(kind)) for name, kind, _codes in OURS] == OURS
    assert all(bench.cosign(v).verify(release.older, "-a", f"{VERSION}=9.9.9") for v in (2, 3))
    shown = bench.verify(release.plain, "--attested", "sbom", "--format", "json").document
    first, second, *sboms = (one["predicate"] for one in shown["results"][0]["signatures"])
    assert (first, second) == ("https://sigstore.dev/cosign/sign/v1", "https://slsa.dev/provenance/v1")
    assert sorted(sboms) == ["https://cyclonedx.org/bom", "https://spdx.dev/Document"]


SLSA: dict[str, Any] = {
    "buildDefinition": {"buildType": "https://x", "externalParameters": {}},
    "runDetails": {"builder": {"id": "x"}},
}
PREDICATES: dict[str, dict[str, Any]] = {"slsaprovenance1": SLSA, "spdxjson": SPDX, "cyclonedx": CYCLONEDX}


@pytest.mark.parametrize(("version", "form"), [(2, "bundle"), (2, "older"), (3, "bundle")])
def test_what_cosign_signed_is_verified(bench: Bench, version: int, form: str) -> None:
    """Each version's own form of a signature, and statements of each kind, as bundles and under cosign 2's `.att`."""
    shutil.copytree(DATA / f"cosign{version}", bench.folder, dirs_exist_ok=True)
    assert bench.release().code == 0
    reference = f"{bench.image}:1.2.3"
    pinned = f"{bench.image}@{bench.content('1.2.3').digest}"
    assert bench.verify(reference).code == 5
    cosign = bench.cosign(version)
    assert cosign.sign(pinned, "-a", f"{VERSION}=1.2.3") == 0
    assert bench.verify(reference, "--attested", "sbom").code == 5
    for kind, predicate in PREDICATES.items():
        file = write(bench, f"{kind}.json", predicate)
        assert cosign.attest(pinned, kind, file, older=form == "older") == 0
        word = "provenance" if "slsa" in kind else "sbom"
        done = bench.verify(reference, "--attested", word)
        assert done.code == 0, done.stdout
    assert "signed by the key sha256:" in done.stdout
    assert bench.verify(reference, "-o", "out", "--attested", "sbom", "--attested", "provenance").code == 0
    written = [json.loads(file.read_text()) for file in (bench.folder / "out").glob("*-sbom*.json")]
    assert SPDX in written
    other = bench.verify(reference, "--attested", "sbom", who=other_key(bench))
    assert other.code == 5


def other_key(bench: Bench) -> str:
    """A key that has signed nothing here."""
    (bench.folder / "other.pem").write_bytes(public_pem(new_key()))
    return "other.pem"


def test_podmans_policy_accepts_the_older_form(bench: Bench, tmp_path: Path) -> None:
    """It demands the repository's own name in the payload."""
    skopeo = find_tool("skopeo")
    (bench.folder / "publish.toml").write_text('[sign]\nby = "cosign.key"\nlegacy = true\n')
    assert bench.release("1.2.3").code == 0
    key = str(bench.folder / "cosign.pub")
    demand = [{"type": "sigstoreSigned", "keyPath": key, "signedIdentity": {"type": "matchRepository"}}]
    policy = {"default": [{"type": "reject"}], "transports": {"docker": {bench.image: demand}}}
    (bench.folder / "policy.json").write_text(json.dumps(policy))
    (bench.folder / "reg.d").mkdir()
    (bench.folder / "reg.d" / "all.yaml").write_text("default-docker:\n  use-sigstore-attachments: true\n")

    def copy(tag: str) -> int:
        words = ["--policy", "policy.json", "--registries.d", "reg.d", "copy", "--src-tls-verify=false"]
        target = f"dir:{tmp_path / tag}"
        return subprocess.run(
            [skopeo, *words, f"docker://{bench.image}:{tag}", target],
            cwd=bench.folder,
            capture_output=True,
            check=False,
        ).returncode

    assert copy("1.2.3") == 0
    assert bench.release("1.2.4", "--no-sign", layout="other").code == 0
    assert copy("1.2.4") != 0


@pytest.mark.parametrize("kind", ["P-384", "Ed25519", "RSA-3072"])
def test_every_kind_of_key_is_accepted(bench: Bench, kind: str) -> None:
    """From a PEM file, and from the environment."""
    key = new_key(kind)
    (bench.folder / "pub.pem").write_bytes(public_pem(key))
    done = bench.publish(
        "release", f"oci:{bench.folder / 'layout'}", "--image", bench.image, "--version", "1.2.3", "--key", "env://SIGNING",
        cwd=(make_layout(bench.folder / "layout", bench.name), bench.folder)[1],
        environ={"SIGNING": private_pem(key).decode()},
    )  # fmt: skip
    assert done.code == 0, done.stderr
    reference = f"{bench.image}:1.2.3"
    assert bench.verify(reference, who="pub.pem").code == 0
    assert bench.cosign(3).verify(reference, key="pub.pem") == 0


def test_a_signed_index_counts_for_its_platforms_where_the_registry_lists_referrers(bench: Bench) -> None:
    """Every platform has the same bundles there; elsewhere only the index has a list."""
    make_layout(bench.folder / "layout", bench.name, ("linux/amd64", "linux/arm64"))
    bench.signed()
    index = bench.content("1.2.3")
    assert bench.verify(f"{bench.image}:1.2.3").code == 0
    assert bench.cosign(3).verify(f"{bench.image}:1.2.3") == 0
    with closing(bench.remote()) as remote:
        by_api = list_referrers(remote, index.digest, [])
    child = json.loads(index.content)["manifests"][0]["digest"]
    expected = 0 if by_api else 5
    assert bench.verify(f"{bench.image}@{child}").code == expected
    assert (bench.cosign(3).verify(f"{bench.image}@{child}") == 0) is by_api


def test_signatures_go_along_with_retag(bench: Bench, other_registry: RegistryProcess) -> None:
    """Old and new form, to a registry without the API; both cosigns verify there."""
    (bench.folder / "publish.toml").write_text('[sign]\nby = "cosign.key"\nlegacy = true\n')
    assert bench.release("1.2.3").code == 0
    target = f"{other_registry.host}/{bench.name}:1.2.3"
    assert bench.publish("retag", f"{bench.image}:1.2.3", target).code == 0
    assert bench.verify(target).code == 0
    assert [bench.cosign(v).verify(target) for v in (2, 3)] == [0, 0]


def test_statements_are_written_as_files(bench: Bench) -> None:
    """As signed, and what each says by itself."""
    bench.signed("1.2.3", "--sbom", write(bench, "spdx.json", SPDX))
    assert bench.verify(f"{bench.image}:1.2.3", "-o", "out").code == 0
    short = bench.content("1.2.3").digest.short
    names = sorted(file.name for file in (bench.folder / "out").iterdir())
    assert names == sorted(
        f"{short}-{word}.json"
        for word in ("signature.intoto", "provenance", "provenance.intoto", "sbom", "sbom.intoto")
    )
    assert json.loads((bench.folder / "out" / f"{short}-sbom.json").read_text()) == SPDX


def test_what_buildkit_attached_is_signed_as_it_is(bench: Bench) -> None:
    """Of the platform that it names; what speaks of another image is left out, and told."""
    make_layout(bench.folder / "layout", bench.name, ("linux/amd64", "linux/arm64"))
    index = json.loads((bench.folder / "layout" / "index.json").read_text())["manifests"][0]
    root = json.loads(blob_file(bench, index["digest"]).read_text())
    child = root["manifests"][0]["digest"]
    for named, subject in ((child, child), (child, str(Digest.of(b"other")))):
        root["manifests"].append(attestation_entry(bench, named, subject))
    listed = write_blob(bench, json.dumps(root).encode())
    listing = {"schemaVersion": 2, "manifests": [{**index, "digest": str(listed), "size": len(json.dumps(root))}]}
    (bench.folder / "layout" / "index.json").write_text(json.dumps(listing))
    done = bench.signed()
    assert "speaks of no platform of it, and is not signed" in done.stderr
    reference = f"{bench.image}:1.2.3"
    assert bench.verify(reference, "--attested", "sbom", "-o", "out").code == 0
    (file,) = (bench.folder / "out").glob("*-sbom.json")
    assert json.loads(file.read_text()) == SPDX
    assert "signed already" in bench.signed().stderr
    assert bench.cosign(3).verify(reference) == 0


def blob_file(bench: Bench, digest: str) -> Path:
    """Where the layout keeps it."""
    return bench.folder / "layout" / "blobs" / "sha256" / digest.removeprefix("sha256:")


def write_blob(bench: Bench, content: bytes) -> Digest:
    """Put it into the layout."""
    digest = Digest.of(content)
    blob_file(bench, str(digest)).write_bytes(content)
    return digest


def attestation_entry(bench: Bench, named: str, subject: str) -> dict[str, Any]:
    """An SBOM as BuildKit puts one into an index."""
    statement = {
        "_type": "https://in-toto.io/Statement/v0.1", "predicateType": "https://spdx.dev/Document", "predicate": SPDX,
        "subject": [{"name": "pkg:docker/app", "digest": {"sha256": subject.removeprefix("sha256:")}}],
    }  # fmt: skip
    layer, config = json.dumps(statement).encode(), b'{"architecture":"unknown","os":"unknown"}'
    layers = [{
        "mediaType": "application/vnd.in-toto+json", "digest": str(write_blob(bench, layer)), "size": len(layer),
        "annotations": {"in-toto.io/predicate-type": "https://spdx.dev/Document"},
    }]  # fmt: skip
    manifest = {
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "layers": layers,
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json", "size": len(config),
            "digest": str(write_blob(bench, config)),
        },
    }  # fmt: skip
    raw = json.dumps(manifest).encode()
    return {
        "mediaType": manifest["mediaType"], "digest": str(write_blob(bench, raw)), "size": len(raw),
        "platform": {"architecture": "unknown", "os": "unknown"},
        "annotations": {
            "vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": named,
        },
    }  # fmt: skip


def test_a_key_and_its_password_are_shown_nowhere(bench: Bench) -> None:
    """Not on a screen however it ends, not in a receipt, not in the registry: by all that was said and kept."""
    key, password = new_key(), "c4nary+/s3cret"
    pem = private_pem(key, password.encode()).decode()
    plain = private_pem(key).decode()
    (bench.folder / "pub.pem").write_bytes(public_pem(key))
    make_layout(bench.folder / "layout", bench.name)
    said = []
    asked = ["-v", "release", f"oci:{bench.folder / 'layout'}", "--image", bench.image, "-y", "--version"]
    for version, text, secret in (
        ("1.2.3", pem, password), ("1.2.4", pem, "wrong-c4nary"), ("1.2.5", plain, ""), ("1.2.6", plain[:-60], ""),
    ):  # fmt: skip
        environ = {"SIGNING": text, "COSIGN_PASSWORD": secret}
        words = [*asked, version, "--key", "env://SIGNING", "--receipt", "receipt.json"]
        done = bench.publish(*words, cwd=bench.folder, environ=environ)
        said.append((done.code, done.stdout + done.stderr))
    assert [code for code, _text in said] == [0, 3, 0, 2]
    kept = [file.read_text(errors="replace") for file in bench.publish.home.rglob("*") if file.is_file()]
    kept += [(bench.folder / "receipt.json").read_text()]
    secrets = [password, "wrong-c4nary", *secret_lines(pem), *secret_lines(plain)]
    for secret in secrets:
        assert not [text for text in [*kept, *(text for _code, text in said)] if secret in text], secret


def secret_lines(pem: str) -> list[str]:
    """What of a key must stand nowhere."""
    return [line for line in pem.splitlines() if not line.startswith("-----") and len(line) > 20]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--key", "cosign.pub"], 2, "is a public key"),
        (["--key", "absent.key"], 2, "here is no key absent.key"),
        (["--key", "env://ABSENT"], 2, "here is no key env://ABSENT"),
        (["--key", "awskms:///alias/x"], 2, "keys stay in a service"),
        (["--sbom", "spdx.json"], 2, "--sbom is for a release that is signed"),
        (["--no-sign", "--key", "cosign.key"], 2, "--no-sign leaves out"),
        (["--key", "cosign.key", "--sbom", "absent.json"], 2, "can't be read"),
        (["--key", "cosign.key", "--sbom", "cosign.pub"], 2, "is no SBOM in JSON"),
        (["--key", "cosign.key", "--sbom", "other.json"], 4, "is of another image"),
    ],
)
def test_bad_input_is_refused_before_any_tag(bench: Bench, words: list[str], code: int, said: str) -> None:
    """With the exit code that says whose turn it is."""
    write(bench, "other.json", SPDX | {"name": f"app@{Digest.of(b'other')}"})
    write(bench, "spdx.json", SPDX)
    done = bench.release("1.2.3", *words)
    assert (done.code, said in done.stderr) == (code, True), done.stderr
    with closing(bench.remote()) as remote:
        assert "1.2.3" not in remote.tags()


def test_the_configuration_names_the_key_and_who_must_have_signed(bench: Bench) -> None:
    """Its paths are relative to the file; a check takes the public half beside the key, and asks for no password."""
    (bench.folder / "publish.toml").write_text(f'images = ["{bench.image}"]\n[sign]\nby = "cosign.key"\n')
    make_layout(bench.folder / "layout", bench.name)
    sub = bench.folder / "sub"
    sub.mkdir()
    start, password = ["--config", "../publish.toml"], {"COSIGN_PASSWORD": PASSWORD.decode()}
    asked = [*start, "release", "oci:../layout", "-y", "--version"]
    planned = bench.publish(*start, "plan", "oci:../layout", "--version", "1.2.3", "--format", "json", cwd=sub)
    assert planned.document["signing"]["by"] == "key"
    assert bench.publish(*asked, "1.2.3", cwd=sub, environ=password).code == 0
    assert bench.publish(*start, "verify", f"{bench.image}:1.2.3", cwd=sub).code == 0
    make_layout(bench.folder / "layout", f"{bench.name} other")
    assert bench.publish(*asked, "1.2.4", "--no-sign", cwd=sub).code == 0
    assert bench.publish(*start, "verify", f"{bench.image}:1.2.4", cwd=sub).code == 5


@pytest.mark.parametrize("bench", ["api"], indirect=True)
def test_retag_points_no_tag_of_ours_to_what_others_signed(bench: Bench) -> None:
    """`[sign] verify` says who: the image that goes there is verified where it goes, before any tag is written."""
    table = f'images = ["{bench.image}"]\n[sign]\nby = "cosign.key"\nverify = ["cosign.pub"]\n'
    (bench.folder / "publish.toml").write_text(table)
    bench.signed("1.2.2", layout="old")
    assert bench.release("1.2.4", "--no-sign", layout="unsigned").code == 0
    other = f"{bench.host}/{bench.name}-other"
    for target, source, code, said in (
        (f"{bench.image}:stable", "1.2.2", 0, ""),
        (f"{bench.image}:edge", "1.2.4", 5, "it is not signed"),
        (f"{bench.image}:1.2.3", "1.2.2", 5, "the tag 1.2.3 holds an image signed as 1.2.2"),
        (f"{other}:edge", "1.2.4", 0, ""),
    ):
        done = bench.publish("retag", f"{bench.image}:{source}", target, cwd=bench.folder)
        assert (done.code, said in done.stderr) == (code, True), done.stderr
    with closing(bench.remote()) as remote:
        assert not {"edge", "1.2.3"} & set(remote.tags())
    sub = bench.folder / "sub"
    sub.mkdir()
    words = ["--config", "../publish.toml", "retag", f"{bench.image}:1.2.2", f"{bench.image}:beta"]
    assert bench.publish(*words, cwd=sub).code == 0


# Tampering: refused here, and by both cosigns alike.


def test_a_tag_moved_back_to_an_older_signed_image_is_found_out(bench: Bench) -> None:
    """Both are signed, in both forms; the version is part of what is signed."""
    (bench.folder / "publish.toml").write_text('[sign]\nby = "cosign.key"\nlegacy = true\n')
    bench.signed("1.2.2", layout="old")
    bench.signed("1.2.3", layout="new")
    assert bench.publish("retag", f"{bench.image}:1.2.2", f"{bench.image}:1.2.3", "--force").code == 0
    reference = f"{bench.image}:1.2.3"
    found = bench.verify(reference)
    assert found.code == 5
    assert "the tag 1.2.3 holds an image signed as 1.2.2" in found.stdout
    assert [bench.cosign(v).verify(reference) for v in (2, 3)] == [0, 0]
    assert all(bench.cosign(v).verify(reference, "-a", f"{VERSION}=1.2.3") for v in (2, 3))
    assert bench.verify(f"{bench.image}:1.2.2").code == 0


@pytest.mark.parametrize("bench", ["api"], indirect=True)
def test_an_image_that_is_two_versions_is_signed_as_both(bench: Bench) -> None:
    """Each tag holds what was signed as its version; a third version nobody has signed."""
    bench.signed("1.2.2")
    bench.signed("1.2.3")
    assert bench.release("1.2.4", "--no-sign").code == 0
    verdicts = [bench.verify(f"{bench.image}:{version}") for version in ("1.2.2", "1.2.3", "1.2.4")]
    assert [one.code for one in verdicts] == [0, 0, 5]
    assert "the tag 1.2.4 holds an image signed as 1.2." in verdicts[2].stdout


def tamper_payload(bench: Bench, image: Content) -> None:
    """The version is another than was signed."""
    document = json.loads(bundle_of(cosign_key("cosign3"), image.digest))
    payload = base64.b64decode(document["dsseEnvelope"]["payload"]).replace(b"1.2.3", b"9.9.9")
    document["dsseEnvelope"]["payload"] = base64.b64encode(payload).decode()
    bench.attach(json.dumps(document).encode(), image)


def tamper_digest(bench: Bench, image: Content) -> None:
    """Another image's signature is attached here."""
    bench.attach(bundle_of(cosign_key("cosign3"), Digest.of(b"other")), image)


def tamper_older_form(bench: Bench, image: Content) -> None:
    """The same in the older form."""
    payload = payload_of(Digest.of(b"other"), Repository.parse(bench.image), "1.2.3", VERSION).content()
    blob, layer = layer_of(payload, SimpleSignature(signature=cosign_key("cosign3").sign(payload)))
    merged, config = compose_signatures([layer])
    with closing(bench.remote()) as remote:
        send_blobs(remote, [blob, config])
        remote.put(merged, signature_tag(image.digest))


def tamper_key(bench: Bench, image: Content) -> None:
    """Another key has signed it."""
    bench.attach(bundle_of(SigningKey(new_key()), image.digest), image)


def tamper_nothing(bench: Bench, image: Content) -> None:
    """Nobody has signed it."""


def tamper_unsigned_referrer(bench: Bench, image: Content) -> None:
    """A statement without any signature stands there."""
    payload = Statement(SIGNATURE, (Subject(image.digest, "r"),), {}).content()
    kind = "application/vnd.in-toto+json"
    artifact, blobs = compose_artifact(kind, SmallBlob(kind, payload), image.descriptor)
    with closing(bench.remote()) as remote:
        send_blobs(remote, blobs)
        remote.put_manifest(artifact)
        list_referrers(remote, image.digest, [artifact])


def tamper_bytes(bench: Bench, image: Content) -> None:
    """The signature itself is another."""
    document = json.loads(bundle_of(cosign_key("cosign3"), image.digest))
    other = json.loads(bundle_of(cosign_key("cosign3"), image.digest, version="1.2.4"))
    document["dsseEnvelope"]["signatures"] = other["dsseEnvelope"]["signatures"]
    bench.attach(json.dumps(document).encode(), image)


TAMPERINGS: list[Callable[[Bench, Content], None]] = [
    tamper_payload, tamper_digest, tamper_older_form, tamper_key, tamper_nothing, tamper_unsigned_referrer,
    tamper_bytes,
]  # fmt: skip


@pytest.mark.parametrize("tamper", TAMPERINGS, ids=lambda tamper: tamper.__name__)
def test_both_cosigns_refuse_what_is_refused_here(bench: Bench, tamper: Callable[[Bench, Content], None]) -> None:
    """And beside it a good signature counts, for all three."""
    assert bench.release().code == 0
    image, reference = bench.content("1.2.3"), f"{bench.image}:1.2.3"
    tamper(bench, image)
    assert bench.verify(reference).code == 5
    assert all(bench.cosign(v).verify(reference) for v in (2, 3))
    bench.attach(bundle_of(cosign_key("cosign3"), image.digest), image)
    assert bench.verify(reference).code == 0
    assert bench.cosign(3).verify(reference) == 0


def test_a_lying_list_makes_no_provenance(bench: Bench) -> None:
    """The annotation says provenance, the statement something else: `--attested` and cosign go by the statement."""
    bench.signed()
    assert bench.release("1.2.4", layout="other").code == 0
    image, reference = bench.content("1.2.4"), f"{bench.image}:1.2.4"
    key = cosign_key("cosign3")
    bench.attach(bundle_of(key, image.digest, version="1.2.4"), image)
    bench.attach(bundle_of(key, image.digest, "https://x/custom"), image, PROVENANCE)
    assert bench.verify(reference).code == 0
    assert bench.verify(reference, "--attested", "provenance").code == 5
    assert [bench.cosign(v).verify_attestation(reference, "slsaprovenance1") != 0 for v in (2, 3)] == [True, True]


def test_an_unrelated_statement_is_no_signature_here(bench: Bench) -> None:
    """cosign 3 takes any statement by the key for one: the one place where the two differ, on purpose."""
    assert bench.release().code == 0
    image, reference = bench.content("1.2.3"), f"{bench.image}:1.2.3"
    bench.attach(bundle_of(cosign_key("cosign3"), image.digest, "https://x/custom"), image, "https://x/custom")
    assert bench.verify(reference).code == 5
    assert bench.cosign(3).verify(reference) == 0


def mutate(good: bytes, chance: random.Random) -> bytes:
    """A byte flipped, a piece gone or doubled, two neighbours exchanged."""
    at, span = chance.randrange(len(good) - 1), chance.randrange(1, 30)
    flip = good[:at] + bytes([good[at] ^ chance.randrange(1, 128)]) + good[at + 1 :]
    gone = good[:at] + good[at + span :]
    twice = good[:at] + good[at : at + span] + good[at:]
    exchanged = good[:at] + good[at + 1 : at + 2] + good[at : at + 1] + good[at + 2 :]
    return chance.choice([flip, gone, twice, exchanged])


def test_cosigns_verdict_on_mutations_is_ours(publish: Publish, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """`--whole` takes 2,000 of them. What cosign reads more generously than we do says the same as the good one."""
    folder = tmp_path / "work"
    shutil.copytree(DATA / "cosign3", folder)
    chance = random.Random(7)
    with Sandbox() as sandbox:
        bench = Bench(publish, sandbox.url.removeprefix("http://"), "first", folder)
        assert bench.release().code == 0
        image = bench.content("1.2.3")
        good = bundle_of(cosign_key("cosign3"), image.digest)
        names = [f"m/{number}" for number in range(2000 if pytestconfig.getoption("--whole") else 100)]
        mutated = {name: mutate(good, chance) for name in names}
        for name, bundle in mutated.items():
            place_image(bench, image, name)
            Bench(publish, bench.host, name, folder).attach(bundle, image)
        references = [f"{bench.host}/{name}@{image.digest}" for name in names]
        verdicts = bench.publish(
            "verify", *references, "--signed-by", "cosign.pub", "--format", "json", cwd=folder
        ).document["results"]
        ours = {one["reference"].partition("@")[0]: one["state"] == "equal" for one in verdicts}
        for name, reference in zip(names, references, strict=True):
            theirs = bench.cosign(3).verify(reference) == 0
            own = ours[f"{bench.host}/{name}"]
            assert theirs or not own, mutated[name]
            assert own or not theirs or same_meaning(mutated[name], good), mutated[name]


def place_image(bench: Bench, image: Content, name: str) -> None:
    """The same image in another repository."""
    with closing(bench.remote(name)) as remote:
        for blob in json.loads(image.content)["layers"] + [json.loads(image.content)["config"]]:
            assert remote.mount(Digest.parse(blob["digest"]), Repository.parse(bench.image))
        remote.put_manifest(image)


def same_meaning(mutated: bytes, good: bytes) -> bool:
    """Whether Go's reader sees the same payload and signature: it takes other spellings of base64 and of keys."""
    one, other = (json.loads(content)["dsseEnvelope"] for content in (mutated, good))
    return loosely(one["payload"]) == loosely(other["payload"])


def loosely(text: str) -> bytes:
    """Base64 in any of its alphabets, with or without padding."""
    plain = text.replace("-", "+").replace("_", "/").rstrip("=")
    return base64.b64decode(plain + "=" * (-len(plain) % 4))
