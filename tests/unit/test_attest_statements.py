"""Who may sign, what provenance says, which SBOMs are taken: tables of inputs and what becomes of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from publisher.attest.check import Attestation
from publisher.attest.identity import Certificate, PersonSigner, ProjectSigner, parse_signer
from publisher.attest.provenance import compose_provenance
from publisher.attest.sbom import LARGEST_LOGGED, read_sbom
from publisher.attest.statements import CYCLONEDX, SIGNATURE, SPDX, Statement, Subject, read_statement
from publisher.credentials.oidc import IdentityToken
from publisher.facts.build_origin import read_build_origin
from publisher.model.digest import Digest
from publisher.model.environment import clean_environment
from publisher.model.errors import BadAttestation, ConfigError, Denied, PublishError, Refused, UsageError
from publisher.model.facts import Facts, Project
from publisher.model.reference import Tag
from publisher.sigstore.client import Services
from publisher.workflows.signatures import version_difference
from tests.support.attest import cosign_public, new_key, private_pem, read_fixture

IMAGE = Digest.of(b"image")
GITHUB = "https://token.actions.githubusercontent.com"

# Who.


@pytest.mark.parametrize(
    ("text", "signer"),
    [
        ("github.com/acme/app", ProjectSigner("github.com/acme/app")),
        ("github.com/acme/app.git", ProjectSigner("github.com/acme/app")),
        ("github.com/acme/app@refs/tags/v*", ProjectSigner("github.com/acme/app", "refs/tags/v*")),
        ("gitlab.com/group/sub/project", ProjectSigner("gitlab.com/group/sub/project")),
        ("a@b.example via https://accounts.example", PersonSigner("a@b.example", "https://accounts.example")),
    ],
)
def test_who_is_read(text: str, signer: object) -> None:
    """And shown as it was written, but for git's ending."""
    assert parse_signer(text, lambda _name: None) == signer
    assert str(signer) == text.replace(".git", "") if text.endswith(".git") else str(signer) == text


@pytest.mark.parametrize(
    "text",
    [
        "", "nobody", "github.com/acme", "github.com/acme/app/more", "github.com/acme/app@v1", "github.com/acme/app@",
        "gitlab.com/project", "a@b via http://x", " via https://x",
        "awskms:///alias/x", "github.com/acme/a pp",
    ],
)  # fmt: skip
def test_who_is_nobody_is_a_usage_error(text: str) -> None:
    """Exit 2."""
    with pytest.raises((UsageError, ConfigError)) as raised:
        parse_signer(text, lambda _name: None)
    assert raised.value.exit_code == 2


def test_who_may_be_a_key_of_either_half() -> None:
    """A file, or what a variable holds."""
    files = {"cosign.pub": read_fixture("cosign3/cosign.pub"), "env://KEY": private_pem(new_key("Ed25519"))}
    assert parse_signer("cosign.pub", files.get) == cosign_public("cosign3")
    assert str(parse_signer("env://KEY", files.get)).startswith("the key sha256:")


@given(st.text(alphabet="abc/*.+[]()\\$^", max_size=12), st.text(alphabet="abc/.+[]()\\$^", max_size=12))
def test_a_ref_pattern_knows_no_sign_but_the_star(pattern: str, ref: str) -> None:
    """Everything else stands for itself."""
    signer = ProjectSigner("github.com/acme/app", f"refs/{pattern}")
    certificate = Certificate(name="x", issuer=GITHUB, repository="https://github.com/acme/app", ref=f"refs/{ref}")
    pieces = pattern.split("*")
    at, fits = 0, ref.startswith(pieces[0])
    for piece in pieces:
        found = ref.find(piece, at)
        fits, at = fits and found >= 0, found + len(piece)
    fits = fits and (ref == pattern if len(pieces) == 1 else ref.endswith(pieces[-1]))
    fits = fits and len(ref) >= sum(map(len, pieces))
    assert (signer.refusal(certificate) == "") is fits


# The version that is signed along.


@pytest.mark.parametrize(
    ("tag", "signed", "differs"),
    [
        ("1.2.3", "1.2.3", False),
        ("v1.2.3", "1.2.3", False),
        ("1.2.3", "v1.2.3", False),
        ("1.2.3", "1.2.2", True),
        ("1.2.3", "1.2.3-rc.1", True),
        ("1.2.3-rc.1", "1.2.3", True),
        ("1.2.3-alpine", "1.2.3-alpine", False),
        ("latest", "1.2.2", False),
        ("main", "1.2.2", False),
        (None, "1.2.2", False),
        ("1.2.3", None, False),
    ],
)
def test_an_exact_tag_holds_the_version_that_was_signed(tag: str | None, signed: str | None, differs: bool) -> None:
    """Floating tags and digests bear none; a signature without a version says none."""
    annotations = {"org.opencontainers.image.version": signed} if signed else {}
    subject = Subject(IMAGE, "", annotations)
    attestation = Attestation(statement=Statement(SIGNATURE, (subject,), {}), subject=subject, signer="s", payload=b"")
    found = version_difference(Tag(tag) if tag else None, attestation)
    assert found == (f"the tag {tag} holds an image signed as {signed}" if differs else None)


# Statements.


@pytest.mark.parametrize(
    "change",
    [
        {"_type": "x"}, {"subject": []}, {"subject": "x"}, {"subject": [{"name": "x"}]}, {"predicateType": 7},
        {"subject": [{"digest": {"sha512": "ab"}}]}, {"subject": [{"digest": {"sha256": "AB" * 32}}]},
        {"subject": [{"digest": {"sha256": "ab"}}]}, {"predicate": []}, {"more": 1},
        {"subject": [{"digest": {"sha256": "a" * 64}, "annotations": 7}]},
    ],
)  # fmt: skip
def test_a_statement_that_is_none_is_refused(change: dict[str, Any]) -> None:
    """Two readers must not see two things."""
    good = json.loads(Statement(SIGNATURE, (Subject(IMAGE, "r"),), {}).content())
    assert read_statement(json.dumps(good).encode()).subject(IMAGE).name == "r"
    with pytest.raises(BadAttestation):
        read_statement(json.dumps(good | change).encode())


# SBOMs.

SYFT = {"spdxVersion": "SPDX-2.3", "name": "app", "packages": [{}, {}]}
CDX = {"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [{}]}


def test_both_forms_of_sbom_are_known() -> None:
    """With the number of packages."""
    one, other = (read_sbom(json.dumps(document).encode(), "f", logged=False) for document in (SYFT, CDX))
    assert (one.predicate_type, one.form, one.packages) == (SPDX, "spdx", 2)
    assert (other.predicate_type, other.form, other.packages) == (CYCLONEDX, "cyclonedx", 1)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"SPDXVersion: SPDX-2.3\n",
        b"[]",
        b"{}",
        b"<bom/>",
        b'{"spdxVersion":"SPDX-3.0"}',
        b"\xff",
        b'{"a":1,"a":2}',
    ],
)
def test_another_sbom_is_refused_with_what_would_do(content: bytes) -> None:
    """Exit 2."""
    with pytest.raises(ConfigError):
        read_sbom(content, "f", logged=False)


def test_the_public_logs_limit_is_known_beforehand() -> None:
    """What it wouldn't take is refused before anything is sent; a key may sign it."""
    large = json.dumps(SYFT | {"x": "y" * LARGEST_LOGGED}).encode()
    assert read_sbom(large, "f", logged=False)
    with pytest.raises(ConfigError, match="taken in the public log"):
        read_sbom(large, "f", logged=True)


@pytest.mark.parametrize(
    ("document", "refused"),
    [
        (SYFT, False),
        (SYFT | {"name": f"reg/app@{IMAGE}"}, False),
        (SYFT | {"name": f"reg/app@{Digest.of(b'other')}"}, True),
        (CDX | {"metadata": {"component": {"name": f"reg/app@{Digest.of(b'other')}"}}}, True),
        (CDX | {"metadata": {"component": {"purl": f"pkg:oci/app@sha256%3A{IMAGE.hex}"}}}, False),
        (CDX | {"metadata": {"component": {"version": str(Digest.of(b"other"))}}}, False),
        (CDX | {"metadata": 7}, False),
    ],
)
def test_an_sbom_of_another_image_is_refused(document: dict[str, Any], refused: bool) -> None:
    """Where it says of which it is, by name; what an engine calls an image by isn't what a registry does."""
    sbom = read_sbom(json.dumps(document).encode(), "f", logged=False)
    if not refused:
        sbom.refuse_other([IMAGE], "f")
        return
    with pytest.raises(Refused, match="of another image"):
        sbom.refuse_other([IMAGE], "f")


# Provenance.

JOB = {
    "GITHUB_ACTIONS": "true", "GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "acme/app",
    "GITHUB_REF": "refs/tags/v1", "GITHUB_SHA": "c" * 40, "GITHUB_RUN_ID": "7", "GITHUB_RUN_ATTEMPT": "2",
    "GITHUB_WORKFLOW_REF": "acme/app/.github/workflows/r.yml@refs/tags/v1", "GITHUB_EVENT_NAME": "push",
    "GITHUB_REPOSITORY_ID": "1", "GITHUB_REPOSITORY_OWNER_ID": "2", "RUNNER_ENVIRONMENT": "github-hosted",
}  # fmt: skip
FACTS = Facts(
    now=datetime(2026, 1, 1, tzinfo=UTC), ref="refs/heads/main", revision="d" * 40, changed=("a",),
    project=Project(source="https://github.com/acme/app"),
)  # fmt: skip


def test_a_github_jobs_provenance_is_that_of_githubs_own_attestations() -> None:
    """To the letter, but for our own part among what is internal."""
    origin = read_build_origin(JOB, FACTS)
    provenance = compose_provenance(origin, "1.0.0", "publish 1", [IMAGE])
    assert provenance == {
        "buildDefinition": {
            "buildType": "https://actions.github.io/buildtypes/workflow/v1",
            "externalParameters": {
                "workflow": {
                    "ref": "refs/tags/v1", "repository": "https://github.com/acme/app",
                    "path": ".github/workflows/r.yml",
                }
            },
            "internalParameters": {
                "github": {
                    "event_name": "push", "repository_id": "1", "repository_owner_id": "2",
                    "runner_environment": "github-hosted",
                },
                "publish": {"version": "1.0.0", "tool": "publish 1", "configs": [str(IMAGE)]},
            },
            "resolvedDependencies": [
                {"uri": "git+https://github.com/acme/app@refs/tags/v1", "digest": {"gitCommit": "c" * 40}}
            ],
        },
        "runDetails": {
            "builder": {"id": "https://github.com/acme/app/.github/workflows/r.yml@refs/tags/v1"},
            "metadata": {"invocationId": "https://github.com/acme/app/actions/runs/7/attempts/2"},
        },
    }  # fmt: skip


def test_the_tokens_claims_come_before_the_environment() -> None:
    """Anybody in the job can set a variable; a reusable workflow is the builder, not who calls it."""
    claims = {"repository": "acme/true", "job_workflow_ref": "acme/shared/.github/workflows/s.yml@v2"}
    origin = read_build_origin(JOB, FACTS, claims)
    assert origin.repository == "https://github.com/acme/true"
    assert origin.builder == "https://github.com/acme/shared/.github/workflows/s.yml@v2"


def test_gitlabs_and_a_hand_made_releases_provenance() -> None:
    """Each with a type of ours, and nothing of the machine."""
    gitlab = {
        "GITLAB_CI": "true", "CI_SERVER_URL": "https://gitlab.com", "CI_PROJECT_URL": "https://gitlab.com/g/p",
        "CI_COMMIT_TAG": "v1", "CI_COMMIT_REF_NAME": "v1", "CI_COMMIT_SHA": "e" * 40, "CI_RUNNER_ID": "9",
        "CI_JOB_URL": "https://gitlab.com/g/p/-/jobs/3", "CI_PROJECT_ID": "4", "CI_PIPELINE_SOURCE": "push",
    }  # fmt: skip
    provenance = compose_provenance(read_build_origin(gitlab, FACTS), None, "t", [])
    assert provenance["buildDefinition"]["externalParameters"] == {
        "repository": "https://gitlab.com/g/p", "ref": "refs/tags/v1", "path": ".gitlab-ci.yml",
    }  # fmt: skip
    assert provenance["runDetails"]["builder"] == {"id": "https://gitlab.com/-/runners/9"}
    by_hand = compose_provenance(read_build_origin({"USER": "me", "HOSTNAME": "box"}, FACTS), None, "t", [])
    assert by_hand["buildDefinition"]["externalParameters"] == {
        "repository": "https://github.com/acme/app", "ref": "refs/heads/main", "dirty": True,
    }  # fmt: skip
    assert "me" not in json.dumps(by_hand).split('"')
    assert "box" not in json.dumps(by_hand)


# What else is input.


@pytest.mark.parametrize("text", ["", "a", "a.b", "a.!!.c", "a.bnVsbA.c", "a.W10.c", "a./w.c"])
def test_an_identity_token_that_is_none(text: str) -> None:
    """Exit 3, without its text."""
    with pytest.raises(Denied) as raised:
        IdentityToken.read(text)
    assert raised.value.message == "the job's identity token can't be read"


def test_services_are_read_from_a_signing_config() -> None:
    """Those of a version that is spoken here."""
    good = {
        "caUrls": [{"url": "https://f.example/", "majorApiVersion": 1}],
        "rekorTlogUrls": [
            {"url": "https://two.example", "majorApiVersion": 2}, {"url": "https://r.example", "majorApiVersion": 1},
        ],
    }  # fmt: skip
    assert Services.read(json.dumps(good).encode()) == Services("https://f.example", "https://r.example")
    with pytest.raises(PublishError, match="needs a newer publish") as raised:
        Services.read(json.dumps(good | {"rekorTlogUrls": good["rekorTlogUrls"][:1]}).encode())
    assert raised.value.exit_code == 6
    with pytest.raises(ConfigError):
        Services.read(b"[]")


def test_no_child_gets_a_key() -> None:
    """By whatever name it stands in the environment."""
    environ = {"MY_KEY": private_pem(new_key()).decode(), "COSIGN_PASSWORD": "x", "SIGSTORE_ID_TOKEN": "y", "PATH": "/"}
    assert clean_environment(environ) == {"PATH": "/"}
