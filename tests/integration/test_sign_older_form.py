"""cosign's older form by a job's certificate: cosign 2 reads ours, we read cosign 2's, and both refuse the same."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

import pytest

from publisher.attest.check import Checker
from publisher.attest.identity import ProjectSigner
from publisher.attest.simple import compose_signatures, payload_of, signature_tag
from publisher.http.client import Client
from publisher.http.tls import HostSettings
from publisher.model.artifact import SmallBlob
from publisher.model.errors import BadAttestation
from publisher.model.manifest import Descriptor, Manifest
from publisher.model.reference import Repository, Tag
from publisher.registry.endpoint import locate
from publisher.registry.image import send_blobs
from publisher.registry.repository import RemoteRepository
from publisher.sandbox.server import Sandbox
from publisher.sandbox.sigstore import ISSUER
from tests.support.cosign import Cosign
from tests.support.layout import make_layout
from tests.support.sigstore import ACME, IMAGE, Log, Rehearsal, write_root

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.command import Publish

VERSION = "org.opencontainers.image.version"
WORKFLOW = "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main"
LOG_ANNOTATION = "dev.sigstore.cosign/bundle"
PAYLOAD = payload_of(IMAGE, Repository.parse("acme/app"), "1.2.3", VERSION).content()


@pytest.fixture
def rehearsal(publish: Publish, tmp_path: Path) -> Iterator[Rehearsal]:
    """Every release of it is signed in both forms, by its job."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "publish.toml").write_text('[sign]\nby = "ci"\nlegacy = true\n')
    with Sandbox() as sandbox:
        yield Rehearsal(sandbox, publish, folder)


def verify(rehearsal: Rehearsal, name: str, *words: str, identity: str = WORKFLOW, issuer: str = ISSUER) -> int:
    """What cosign 2 says, with the sandbox's root."""
    cosign = Cosign(2, rehearsal.folder, write_root(rehearsal))
    asked = ["--certificate-identity", identity, "--certificate-oidc-issuer", issuer, "--allow-http-registry", *words]
    return cosign("verify", *asked, f"{rehearsal.host}/{name}")


def remote_of(rehearsal: Rehearsal, name: str) -> RemoteRepository:
    """The repository behind real sockets."""
    client = Client(lambda _host, _name: None, lambda _host: HostSettings())
    return RemoteRepository(client, locate(Repository.parse(f"{rehearsal.host}/{name}"), None))


def test_cosign_2_accepts_what_a_job_signed(rehearsal: Rehearsal) -> None:
    """With its version; it refuses another version, identity and issuer, and a rerun signs nothing twice."""
    done = rehearsal.release("1.2.3")
    assert done.code == 0, done.stderr
    assert verify(rehearsal, "acme/app:1.2.3", "-a", f"{VERSION}=1.2.3") == 0
    assert verify(rehearsal, "acme/app:1.2.3", "-a", f"{VERSION}=1.2.4") != 0
    assert verify(rehearsal, "acme/app:1.2.3", identity=f"{WORKFLOW}x") != 0
    assert verify(rehearsal, "acme/app:1.2.3", issuer="https://gitlab.com") != 0
    assert "signed already" in rehearsal.release("1.2.3").stderr
    with closing(remote_of(rehearsal, "acme/app")) as remote:
        digest = remote.get(Tag("1.2.3")).digest
        image = remote.get(signature_tag(digest))
        assert isinstance(image, Manifest)
        assert len(image.layers) == 1
        remote._client.close()


def test_what_cosign_2_signed_as_a_job_is_verified(rehearsal: Rehearsal) -> None:
    """Of its project, and of no other; an exact tag holds the version that it was signed as."""
    make_layout(rehearsal.folder / "layout", "cosign's")
    asked = ["release", "oci:layout", "--image", "acme/app", "-y", "--no-sign", "--version"]
    assert rehearsal.run(*asked, "1.2.3").code == 0
    with urlopen(f"{rehearsal.sandbox.url}/sigstore/token?audience=sigstore&repository=acme/app") as answer:
        token = json.load(answer)["value"]
    services = f"{rehearsal.sandbox.url}/sigstore"
    words = ["--fulcio-url", services, "--rekor-url", services, "--identity-token", token, "--allow-http-registry"]
    cosign = Cosign(2, rehearsal.folder, write_root(rehearsal))
    assert cosign("sign", *words, "-a", f"{VERSION}=1.2.3", f"{rehearsal.host}/acme/app:1.2.3") == 0
    (rehearsal.folder / "spdx.json").write_text('{"spdxVersion": "SPDX-2.3", "SPDXID": "x", "name": "x"}')
    attested = ["--type", "spdxjson", "--predicate", "spdx.json"]
    assert cosign("attest", *words, *attested, f"{rehearsal.host}/acme/app:1.2.3") == 0
    done = rehearsal.run("verify", "acme/app:1.2.3", "--signed-by", ACME, "--format", "json")
    assert done.code == 0, done.stdout
    (signature,) = done.document["results"][0]["signatures"]
    assert (signature["signer"], signature["log_index"]) == ("github.com/acme/app (release.yml@refs/heads/main)", 0)
    asked = ["verify", "acme/app:1.2.3", "--attested", "sbom", "--signed-by"]
    assert rehearsal.run(*asked, ACME).code == 0
    assert rehearsal.run(*asked, "github.com/acme/other").code == 5
    assert rehearsal.run("verify", "acme/app:1.2.3", "--signed-by", "github.com/acme/other").code == 5
    assert rehearsal.run("retag", "acme/app:1.2.3", "acme/app:1.2.9", "--force").code == 0
    moved = rehearsal.run("verify", "acme/app:1.2.9", "--signed-by", ACME)
    assert (moved.code, "signed as 1.2.3" in moved.stdout) == (5, True)


def log_text(layer: Descriptor, **changes: Any) -> dict[str, str]:
    """The layer's annotations, with other words of the log."""
    document = json.loads(layer.annotations[LOG_ANNOTATION])
    document["Payload"] |= changes.pop("Payload", {})
    return {**layer.annotations, LOG_ANNOTATION: json.dumps(document | changes)}


def broken_annotations(good: Descriptor, other: Descriptor) -> dict[str, dict[str, str]]:
    """Annotations that must not count, by name. other: a layer of the same job's, of the same payload."""
    theirs = json.loads(other.annotations[LOG_ANNOTATION])
    key, certificate = "dev.cosignproject.cosign/signature", "dev.sigstore.cosign/certificate"
    return {
        "no word of the log": {name: text for name, text in good.annotations.items() if name != LOG_ANNOTATION},
        "no log at all": {**good.annotations, LOG_ANNOTATION: "{}"},
        "another promise": log_text(good, SignedEntryTimestamp=theirs["SignedEntryTimestamp"]),
        "another time": log_text(good, Payload={"integratedTime": 1700000000}),
        "another place": log_text(good, Payload={"logIndex": 70}),
        "another entry": {**good.annotations, LOG_ANNOTATION: other.annotations[LOG_ANNOTATION]},
        "another log": log_text(good, Payload={"logID": "00" * 32}),
        "another certificate": {**good.annotations, certificate: other.annotations[certificate]},
        "another signature": {**good.annotations, key: other.annotations[key]},
        "no certificate": {**good.annotations, certificate: "x"},
    }


def holds(checker: Checker, layer: Descriptor) -> bool:
    """Whether a layer counts."""
    try:
        checker.simple(PAYLOAD, layer, IMAGE)
    except BadAttestation:
        return False
    return True


def test_what_any_part_of_is_anothers_is_refused() -> None:
    """Certificate, promise, entry and signature belong together; a late one, and another Sigstore's, is none."""
    log = Log()
    checker = Checker([ProjectSigner(ACME)], log.trust())
    good, other = log.sign_simply(PAYLOAD), log.sign_simply(PAYLOAD)
    assert holds(checker, good)
    assert not holds(Checker([ProjectSigner("github.com/acme/other")], log.trust()), good)
    for name, texts in broken_annotations(good, other).items():
        layer = Descriptor(good.media_type, good.digest, good.size, annotations=texts)
        assert not holds(checker, layer), name
    assert not holds(checker, log.sign_simply(PAYLOAD.replace(b"1.2.3", b"1.2.4")))
    assert not holds(checker, log.sign_simply(PAYLOAD, late=timedelta(hours=1)))
    with pytest.raises(BadAttestation, match="the trust root doesn't know"):
        checker.simple(PAYLOAD, Log().sign_simply(PAYLOAD), IMAGE)


def test_cosign_2_refuses_the_same(rehearsal: Rehearsal) -> None:
    """Each of the broken ones, in place of the good one that it was made of; and accepts that."""
    assert rehearsal.release("1.2.3").code == 0
    with closing(remote_of(rehearsal, "acme/app")) as remote:
        digest = remote.get(Tag("1.2.3")).digest
        tag = signature_tag(digest)
        image = remote.get(tag)
        assert isinstance(image, Manifest)
        (good,) = image.layers
        with remote.open_blob(good) as stream:
            payload = stream.read()
        other = _signed_again(rehearsal, remote, image, tag)
        for name, texts in broken_annotations(good, other).items():
            merged, config = compose_signatures([{**good.document(), "annotations": texts}])
            send_blobs(remote, [config, SmallBlob(good.media_type, payload)])
            remote.put(merged, tag)
            assert verify(rehearsal, "acme/app:1.2.3") != 0, name
        remote.put(image, tag)
        assert verify(rehearsal, "acme/app:1.2.3") == 0
        remote._client.close()


def _signed_again(rehearsal: Rehearsal, remote: RemoteRepository, image: Manifest, tag: Tag) -> Descriptor:
    """Another signature of the same payload, by the same job: an empty list is what the release finds."""
    empty, config = compose_signatures([])
    send_blobs(remote, [config])
    remote.put(empty, tag)
    assert rehearsal.release("1.2.3").code == 0
    again = remote.get(tag)
    assert isinstance(again, Manifest)
    assert again != image
    return again.layers[0]
