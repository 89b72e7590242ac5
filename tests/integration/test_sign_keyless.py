"""Keyless from end to end, offline: the job's identity signs, and every other identity, log or time is refused."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.request import urlopen

import pytest

from publisher.attest.bundle import bundle_artifact
from publisher.attest.check import Checker
from publisher.attest.identity import PersonSigner, ProjectSigner
from publisher.attest.keyless import Keyless
from publisher.attest.statements import SIGNATURE
from publisher.http.client import Client
from publisher.http.tls import HostSettings
from publisher.model.errors import BadAttestation
from publisher.model.reference import Repository
from publisher.registry.endpoint import locate
from publisher.registry.image import send_blobs
from publisher.registry.repository import RemoteRepository
from publisher.sandbox.server import Sandbox
from publisher.sandbox.sigstore import ISSUER
from tests.support.cosign import Cosign
from tests.support.http_server import Answer, ServerRequest, serve
from tests.support.layout import make_layout
from tests.support.sigstore import ACME, IMAGE, JOB, Log, Rehearsal, write_root

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from publisher.model.digest import Digest
    from tests.support.command import Publish


@pytest.fixture(scope="module")
def log() -> Log:
    """One for all."""
    return Log()


@pytest.mark.parametrize(
    "signer",
    [
        ProjectSigner(ACME),
        ProjectSigner("github.com/ACME/App"),
        ProjectSigner(ACME, "refs/tags/*"),
        ProjectSigner(ACME, "refs/tags/v1.2.3"),
        PersonSigner(f"https://github.com/{JOB['job_workflow_ref']}", ISSUER),
    ],
    ids=str,
)
def test_the_jobs_signature_holds_for_its_project(log: Log, signer: ProjectSigner | PersonSigner) -> None:
    """By its branches and tags, by one of them, or by the workflow's own name."""
    found = Checker([signer], log.trust()).bundle(log.sign(), IMAGE)
    assert (found.word, found.log_index) == ("signature", 7)


@pytest.mark.parametrize(
    ("job", "signer", "said"),
    [
        ({}, ProjectSigner("github.com/acme/other"), "not by github.com/acme/other"),
        ({}, ProjectSigner(ACME, "refs/heads/*"), "it was signed for refs/tags/v1.2.3"),
        ({}, ProjectSigner(ACME, "refs/tags/v1.2"), "it was signed for refs/tags/v1.2.3"),
        ({"ref": "refs/pull/7/merge"}, ProjectSigner(ACME), "it was signed for refs/pull/7/merge"),
        ({"iss": "https://gitlab.com"}, ProjectSigner(ACME), "vouched for by https://gitlab.com"),
        ({"iss": "https://evil.example"}, ProjectSigner(ACME), "vouched for by https://evil.example"),
        ({}, ProjectSigner("gitlab.com/acme/app"), "vouched for by"),
        ({}, PersonSigner("a@b.example", ISSUER), "not by a@b.example"),
        ({"email": "a@b.example"}, PersonSigner("a@b.example", "https://other.example"), "not by a@b.example via"),
        ({"repository": "acme/app.evil"}, ProjectSigner(ACME), "not by github.com/acme/app"),
    ],
)
def test_another_identity_issuer_or_ref_is_refused(
    log: Log, job: dict[str, str], signer: ProjectSigner | PersonSigner, said: str
) -> None:
    """Each is said."""
    with pytest.raises(BadAttestation, match=said):
        Checker([signer], log.trust()).bundle(log.sign(job=job), IMAGE)


def tamper(bundle: bytes, *path: str, value: object) -> bytes:
    """The bundle with something else in its log entry."""
    document = json.loads(bundle)
    inner = document["verificationMaterial"]["tlogEntries"][0]
    *parents, last = path
    for parent in parents:
        inner = inner[parent]
    inner[last] = value
    return json.dumps(document).encode()


def broken_bundles(log: Log, digest: Digest = IMAGE) -> Iterator[tuple[str, bytes]]:
    """What must not hold, by name."""
    good, other = log.sign(digest), log.sign(digest)
    entry = json.loads(other)["verificationMaterial"]["tlogEntries"][0]
    yield "another authority", Log().sign(digest)
    yield (
        "checkpoint of another tree",
        tamper(good, "inclusionProof", "checkpoint", value=entry["inclusionProof"]["checkpoint"]),
    )
    yield "another time", tamper(good, "integratedTime", value="1700000000")
    yield (
        "another promise",
        tamper(
            good, "inclusionPromise", "signedEntryTimestamp", value=entry["inclusionPromise"]["signedEntryTimestamp"]
        ),
    )
    yield "another body", tamper(good, "canonicalizedBody", value=entry["canonicalizedBody"])
    swapped = json.loads(good)
    swapped["verificationMaterial"]["tlogEntries"] = [entry]
    yield "another entry", json.dumps(swapped).encode()
    missing = json.loads(good)
    missing["verificationMaterial"]["tlogEntries"] = []
    yield "no entry", json.dumps(missing).encode()
    certificate = json.loads(other)["verificationMaterial"]["certificate"]
    swapped = json.loads(good)
    swapped["verificationMaterial"]["certificate"] = certificate
    yield "another certificate", json.dumps(swapped).encode()
    late = Log()
    late.__dict__.update({name: value for name, value in vars(log).items() if name.startswith("_")})
    late._clock = lambda: late.now
    late.now = log.now
    yield "certificate expired when it was logged", late.sign(digest, late=timedelta(hours=1))


def holds(checker: Checker, bundle: bytes, digest: Digest = IMAGE) -> bool:
    """Whether a bundle counts."""
    try:
        checker.bundle(bundle, digest)
    except BadAttestation:
        return False
    return True


def test_what_any_part_of_is_anothers_is_refused(log: Log) -> None:
    """Certificate, both logs, their proofs: all are needed, and all of this signature."""
    checker = Checker([ProjectSigner(ACME)], log.trust())
    assert checker.bundle(log.sign(), IMAGE)
    for name, bundle in broken_bundles(log):
        assert not holds(checker, bundle), name


def test_the_public_root_is_at_hand_offline(log: Log) -> None:
    """As it was shipped: nothing is asked for it, and the sandbox's certificates are nobody's there."""
    with pytest.raises(BadAttestation, match=r"the trust root doesn't know: .* a newer sigstore brings a newer root"):
        Checker([ProjectSigner(ACME)], Keyless()).bundle(log.sign(), IMAGE)


@pytest.mark.parametrize("part", ["tlogs", "ctlogs", "certificateAuthorities"])
def test_a_foreign_log_or_authority_vouches_for_nothing(log: Log, part: str) -> None:
    """A root of which one part is another sandbox's: too old to know it, for all that can be told."""
    checker = Checker([ProjectSigner(ACME)], log.trust(**{part: Log().trusted_root()[part]}))
    said = "the root is too old for it, or another Sigstore's: take a newer trusted_root.json"
    with pytest.raises(BadAttestation, match=said):
        checker.bundle(log.sign(), IMAGE)


# From end to end.


@pytest.fixture
def rehearsal(publish: Publish, tmp_path: Path) -> Iterator[Rehearsal]:
    """One."""
    folder = tmp_path / "project"
    folder.mkdir()
    with Sandbox() as sandbox:
        yield Rehearsal(sandbox, publish, folder)


def test_a_release_is_signed_by_its_job_and_verified_by_its_project(rehearsal: Rehearsal) -> None:
    """And by cosign, with the sandbox's root; nothing but the sandbox is asked."""
    done = rehearsal.release("1.2.3")
    assert done.code == 0, done.stderr
    assert "signed   by github.com/acme/app (release.yml@refs/heads/main): signature, provenance" in done.stderr
    assert "recorded for good in the public log" in done.stderr
    told = [done.stdout, done.stderr, *(f.read_text() for f in rehearsal.publish.home.rglob("*.json"))]
    # Manifests that a receipt keeps are Base64 of JSON too, but have no dots.
    assert not [text for text in told if re.search(r"eyJ[\w-]*\.eyJ", text)], "an identity token is nobody's business"
    pinned = done.stdout.strip().splitlines()[-1]
    assert pinned.startswith("publish verify acme/app@sha256:")
    assert rehearsal.run(*pinned.split()[1:]).code == 0
    assert rehearsal.run("verify", "acme/app:1.2.3", "--signed-by", "github.com/acme/other").code == 5
    assert "signed already" in rehearsal.release("1.2.3").stderr
    cosign = Cosign(3, rehearsal.folder)
    write_root(rehearsal)
    words = ["--trusted-root", "root.json", "--certificate-oidc-issuer", ISSUER, "--allow-http-registry"]
    name = "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main"
    reference = f"{rehearsal.host}/acme/app:1.2.3"
    assert cosign("verify", *words, "--certificate-identity", name, reference) == 0
    assert (
        cosign("verify-attestation", "--type", "slsaprovenance1", *words, "--certificate-identity", name, reference)
        == 0
    )
    assert cosign("verify", *words, "--certificate-identity", f"{name}x", reference) != 0


def test_cosign_refuses_the_same(log: Log, rehearsal: Rehearsal) -> None:
    """Each of the broken ones, beside an image; and accepts the good one."""
    (rehearsal.folder / "root.json").write_text(json.dumps(log.trusted_root()))
    asked = ["release", "oci:layout", "--version", "1.2.3", "-y"]
    client = Client(lambda _host, _name: None, lambda _host: HostSettings())
    checker, cosign = Checker([ProjectSigner(ACME)], log.trust()), Cosign(3, rehearsal.folder)
    words = ["--trusted-root", "root.json", "--certificate-oidc-issuer", ISSUER, "--allow-http-registry"]
    words += ["--certificate-identity", f"https://github.com/{JOB['job_workflow_ref']}"]
    digest = make_layout(rehearsal.folder / "layout", "keyless")
    for number, (name, bundle) in enumerate([("good", log.sign(digest)), *broken_bundles(log, digest)]):
        repository = Repository.parse(f"{rehearsal.host}/acme/app{number}")
        assert rehearsal.run(*asked, "--image", f"acme/app{number}").code == 0
        remote = RemoteRepository(client, locate(repository, None))
        artifact, blobs = bundle_artifact(bundle, SIGNATURE, remote.get(digest).descriptor)
        send_blobs(remote, blobs)
        remote.put_manifest(artifact)
        accepted = cosign("verify", *words, f"{repository}@{digest}") == 0
        assert accepted is holds(checker, bundle, digest) is (name == "good"), name
    client.close()


def test_provenance_says_which_workflow_made_it(rehearsal: Rehearsal) -> None:
    """By the token's claims, in the form that GitHub's own attestations have."""
    assert rehearsal.release("1.2.3").code == 0
    assert rehearsal.run("verify", "acme/app:1.2.3", "--signed-by", ACME, "-o", "out").code == 0
    (file,) = (rehearsal.folder / "out").glob("*-provenance.json")
    provenance = json.loads(file.read_text())
    definition = provenance["buildDefinition"]
    assert definition["buildType"] == "https://actions.github.io/buildtypes/workflow/v1"
    assert definition["externalParameters"]["workflow"] == {
        "ref": "refs/heads/main", "repository": "https://github.com/acme/app", "path": ".github/workflows/release.yml",
    }  # fmt: skip
    assert definition["internalParameters"]["publish"]["version"] == "1.2.3"
    assert provenance["runDetails"] == {
        "builder": {"id": "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main"},
        "metadata": {"invocationId": "https://github.com/acme/app/actions/runs/1/attempts/1"},
    }


def write_private_sigstore(rehearsal: Rehearsal) -> None:
    """The sandbox's services as somebody's own: by files, and without rehearsing."""
    write_root(rehearsal)
    with urlopen(f"{rehearsal.sandbox.url}/sigstore/signing_config.json") as answer:
        (rehearsal.folder / "services.json").write_bytes(answer.read())
    table = '[sign]\nby = "ci"\ntrust = "root.json"\nsigning-config = "services.json"\n'
    (rehearsal.folder / "publish.toml").write_text(table)


def test_a_private_repositorys_name_goes_into_a_log_only_when_that_is_typed(rehearsal: Rehearsal) -> None:
    """A `[sign]` table is not enough; then a Sigstore of one's own signs, and its root verifies."""
    write_private_sigstore(rehearsal)
    (rehearsal.folder / "event.json").write_text('{"repository": {"private": true}}')
    image = f"{rehearsal.host}/acme/app"
    job = {
        "GITHUB_ACTIONS": "true", "GITHUB_REF": "refs/heads/main", "GITHUB_SHA": "0" * 40,
        "GITHUB_REPOSITORY": "acme/app",
        "GITHUB_EVENT_PATH": str(rehearsal.folder / "event.json"), "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "sandbox",
        "ACTIONS_ID_TOKEN_REQUEST_URL": f"{rehearsal.sandbox.url}/sigstore/token?repository=acme/app",
    }  # fmt: skip
    asked = ["release", "oci:layout", "--image", image, "--version", "1.2.3", "-y"]
    refused = rehearsal.publish(*asked, cwd=rehearsal.folder, environ=job)
    assert (refused.code, "type --sign if that is meant" in refused.stderr.lower()) == (4, True), refused.stderr
    done = rehearsal.publish(*asked, "--sign", cwd=rehearsal.folder, environ=job)
    assert done.code == 0, done.stderr
    assert rehearsal.publish("verify", f"{image}:1.2.3", "--signed-by", ACME, cwd=rehearsal.folder).code == 0


@pytest.mark.parametrize(("audience", "code"), [("sigstore", 0), ("somebody-else", 3)])
def test_a_token_that_the_job_was_given_signs_unless_it_is_for_somebody_else(
    rehearsal: Rehearsal, audience: str, code: int
) -> None:
    """As GitLab hands one out. It is shown nowhere, however it ends."""
    write_private_sigstore(rehearsal)
    with urlopen(f"{rehearsal.sandbox.url}/sigstore/token?audience={audience}&repository=acme/app") as answer:
        token = json.load(answer)["value"]
    asked = ["-v", "release", "oci:layout", "--image", f"{rehearsal.host}/acme/app", "--version", "1.2.3", "-y"]
    done = rehearsal.publish(*asked, cwd=rehearsal.folder, environ={"SIGSTORE_ID_TOKEN": token})
    assert done.code == code, done.stderr
    assert ("gives this job no certificate" in done.stderr) is (code == 3)
    kept = [file.read_text(errors="replace") for file in rehearsal.publish.home.rglob("*") if file.is_file()]
    assert not [text for text in [done.stdout, done.stderr, *kept] if token in text or token.split(".")[1] in text]


def test_outside_of_ci_a_key_is_asked_for(publish: Publish, tmp_path: Path) -> None:
    """Exit 2, before anything is sent."""
    make_layout(tmp_path / "layout", "x")
    asked = ["release", f"oci:{tmp_path / 'layout'}", "--image", "127.0.0.1:1/a/b", "--version", "1.0.0", "--sign"]
    with serve(empty_registry) as server:
        asked[3] = f"{server.host}/a/b"
        done = publish(*asked)
        assert (done.code, "Name a key: --key cosign.key" in done.stderr) == (2, True), done.stderr
        in_ci = {"GITHUB_ACTIONS": "true", "GITHUB_REF": "refs/heads/main", "GITHUB_SHA": "0" * 40}
        done = publish(*asked, environ=in_ci)
        assert (done.code, "id-token: write" in done.stderr) == (3, True), done.stderr
        assert not [seen for seen in server.requests if seen.method not in {"GET", "HEAD"}]


def empty_registry(seen: ServerRequest) -> Answer:
    """There is nothing."""
    return Answer(404, body=b'{"errors":[{"code":"NAME_UNKNOWN"}]}') if "/tags/" in seen.path else Answer(200)
