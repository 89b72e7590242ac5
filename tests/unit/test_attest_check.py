"""The verifier: what cosign wrote holds, and nothing that was changed, swapped or meant for something else does."""

from __future__ import annotations

import base64
import copy
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from publisher.attest.bundle import bundle_artifact, bundle_layer, key_bundle, read_bundle
from publisher.attest.check import Checker
from publisher.attest.dsse import Envelope, signed_bytes
from publisher.attest.identity import PersonSigner, ProjectSigner
from publisher.attest.keyless import Keyless
from publisher.attest.keys import SigningKey
from publisher.attest.simple import (
    SIGNATURE_ANNOTATION,
    SimplePayload,
    SimpleSignature,
    compose_signatures,
    layer_of,
    payload_of,
    signature_tag,
)
from publisher.attest.statements import CYCLONEDX, PROVENANCE, SIGNATURE, SPDX, Statement, Subject, word_of
from publisher.model.digest import Digest
from publisher.model.errors import BadAttestation
from publisher.model.manifest import Descriptor, Manifest, parse_manifest
from publisher.model.reference import Repository
from tests.support.attest import DIGEST, KINDS, cosign_key, cosign_public, hint_of, new_key, read_fixture

if TYPE_CHECKING:
    from publisher.attest.check import Attestation

OTHER = Digest.of(b"another image")
VERSION = "org.opencontainers.image.version"


def checker_of(*keys: Any) -> Checker:
    """For these keys; no certificate is ever asked about."""
    return Checker(keys, Keyless())


def sign(key: SigningKey, digest: Digest = DIGEST, predicate: str = SIGNATURE, version: str = "1.2.3") -> bytes:
    """A bundle of ours."""
    payload = Statement(predicate, (Subject(digest, "r/n", {VERSION: version}),), {}).content()
    return key_bundle(Envelope(payload, key.sign(signed_bytes(payload))), key.public)


@pytest.mark.parametrize(
    ("folder", "name", "word"),
    [
        ("cosign3", "signature", "signature"),
        ("cosign3", "provenance", "provenance"),
        ("cosign3", "sbom", "sbom"),
        ("cosign2", "sbom", "sbom"),
    ],
)
def test_bundles_of_both_cosigns_hold(folder: str, name: str, word: str) -> None:
    """By the key that made them, of the image that they are of."""
    found = checker_of(cosign_public(folder)).bundle(read_fixture(f"{folder}/{name}.bundle.json"), DIGEST)
    assert (found.word, found.subject.digest) == (word, DIGEST)
    assert found.version == ("1.2.3" if name == "signature" else None)
    artifact = parse_manifest(read_fixture(f"{folder}/{name}.manifest.json"))
    layer = bundle_layer(artifact)
    assert layer is not None
    assert layer.digest.matches(read_fixture(f"{folder}/{name}.bundle.json"))


def test_cosigns_older_form_holds() -> None:
    """With the version among what is optional there."""
    image = parse_manifest(read_fixture("cosign2/sig.manifest.json"))
    assert isinstance(image, Manifest)
    payload = read_fixture("cosign2/sig.payload.json")
    found = checker_of(cosign_public("cosign2")).simple(payload, image.layers[0], DIGEST)
    assert (found.word, found.version) == ("signature", "1.2.3")
    for changed in (payload.replace(b"1.2.3", b"1.2.4"), payload + b" "):
        with pytest.raises(BadAttestation, match="not signed by"):
            checker_of(cosign_public("cosign2")).simple(changed, image.layers[0], DIGEST)
    with pytest.raises(BadAttestation, match="speaks of"):
        checker_of(cosign_public("cosign2")).simple(payload, image.layers[0], OTHER)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_signed_here_holds_here(kind: str) -> None:
    """With every kind of key, in both forms, with the hint that cosign writes."""
    key = SigningKey(new_key(kind))
    bundle = sign(key)
    assert checker_of(key.public).bundle(bundle, DIGEST).version == "1.2.3"
    assert json.loads(bundle)["verificationMaterial"] == {"publicKey": {"hint": hint_of(key.public)}}
    payload = payload_of(DIGEST, Repository.parse("acme/app"), "1.2.3", VERSION).content()
    blob, layer = layer_of(payload, SimpleSignature(signature=key.sign(payload)))
    kept = Descriptor(blob.media_type, Digest.of(payload), len(payload), annotations=layer["annotations"])
    assert checker_of(key.public).simple(payload, kept, DIGEST).version == "1.2.3"


@pytest.mark.parametrize("index", ["9" * 5_000, "-1", "x", "", "\N{SUPERSCRIPT TWO}", None, [1]])
def test_a_place_in_the_log_that_is_none_is_left_out(index: object) -> None:
    """Nothing of a log entry beside a key's signature is signed."""
    key = SigningKey(new_key("Ed25519"))
    document = json.loads(sign(key))
    document["verificationMaterial"]["tlogEntries"] = [{"logIndex": index}]
    assert checker_of(key.public).bundle(json.dumps(document).encode(), DIGEST).log_index is None


def test_the_same_statement_gives_the_same_artifact() -> None:
    """No time stands in it; the image that holds signatures, too."""
    subject = Descriptor("application/vnd.oci.image.manifest.v1+json", DIGEST, 7)
    one, two = (bundle_artifact(b"{}", SIGNATURE, subject)[0] for _time in range(2))
    assert one == two
    assert one.annotations == {
        "dev.sigstore.bundle.content": "dsse-envelope", "dev.sigstore.bundle.predicateType": SIGNATURE,
    }  # fmt: skip
    layer = layer_of(b"{}", SimpleSignature(signature=b"s"))[1]
    assert compose_signatures([layer]) == compose_signatures([layer])
    assert str(signature_tag(DIGEST)) == f"sha256-{DIGEST.hex}.sig"


@pytest.mark.parametrize(
    ("name", "shown"),
    [("acme/app", "index.docker.io/acme/app"), ("ghcr.io/acme/app", "ghcr.io/acme/app")],
)
def test_the_older_form_names_the_repository_as_podman_wants_it(name: str, shown: str) -> None:
    """Whole, with its registry."""
    document = json.loads(payload_of(DIGEST, Repository.parse(name), None, VERSION).content())
    assert document["critical"]["identity"] == {"docker-reference": shown}
    assert document["optional"] is None


TAMPERINGS = {
    "payload changed after signing": lambda document, _key: swap_payload(document, b"1.2.3", b"1.2.4"),
    "signature of another digest": lambda _document, key: json.loads(sign(key, OTHER)),
    "another key": lambda _document, _key: json.loads(sign(SigningKey(new_key()))),
    "no signature": lambda document, _key: drop(document, "dsseEnvelope", "signatures"),
    "two signatures": lambda document, _key: double_signature(document),
    "another payload type": lambda document, _key: put(document, "text/plain", "dsseEnvelope", "payloadType"),
    "another form": lambda document, _key: put(document, "application/x", "mediaType"),
    "a file's signature": lambda document, _key: put(document, {"messageDigest": {}}, "messageSignature"),
    "key and certificate": lambda document, _key: put(
        document, {"rawBytes": "AAAA"}, "verificationMaterial", "certificate"
    ),
    "neither key nor certificate": lambda document, _key: put(document, {}, "verificationMaterial"),
}


def put(document: dict[str, Any], value: object, *path: str) -> dict[str, Any]:
    """The document with another value."""
    *parents, last = path
    inner = document
    for parent in parents:
        inner = inner[parent]
    inner[last] = value
    return document


def drop(document: dict[str, Any], *path: str) -> dict[str, Any]:
    """The document without a value."""
    *parents, last = path
    inner = document
    for parent in parents:
        inner = inner[parent]
    del inner[last]
    return document


def swap_payload(document: dict[str, Any], old: bytes, new: bytes) -> dict[str, Any]:
    """The document with another payload."""
    payload = base64.b64decode(document["dsseEnvelope"]["payload"])
    assert old in payload
    return put(document, base64.b64encode(payload.replace(old, new)).decode(), "dsseEnvelope", "payload")


def double_signature(document: dict[str, Any]) -> dict[str, Any]:
    """The document with its signature twice."""
    return put(document, 2 * document["dsseEnvelope"]["signatures"], "dsseEnvelope", "signatures")


@pytest.mark.parametrize("name", TAMPERINGS)
def test_what_was_tampered_with_never_holds(name: str) -> None:
    """Each with its own sentence, as a kind of its own."""
    key = cosign_key("cosign3")
    changed = TAMPERINGS[name](copy.deepcopy(json.loads(sign(key))), key)  # type: ignore[no-untyped-call]
    with pytest.raises(BadAttestation):
        checker_of(key.public).bundle(json.dumps(changed).encode(), DIGEST)


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[]", b"\xff", b"[" * 100_000, b'{"a":' * 100_000, b"null", b'{"mediaType":1,"mediaType":2}'],
)
def test_what_is_no_bundle_is_told_as_that(content: bytes) -> None:
    """And brings nothing down."""
    with pytest.raises(BadAttestation):
        read_bundle(content)


def test_an_unrelated_statement_is_no_signature() -> None:
    """cosign takes any statement by the key for one; here it stays what it says it is."""
    key = cosign_key("cosign3")
    found = checker_of(key.public).bundle(sign(key, predicate="https://x/custom"), DIGEST)
    assert found.statement.predicate_type != SIGNATURE
    assert found.word == "https://x/custom"


def test_a_platforms_sbom_counts_for_its_index_and_its_signature_does_not() -> None:
    """What is said of one platform isn't said of all."""
    key = cosign_key("cosign3")
    checker = checker_of(key.public)
    assert checker.bundle(sign(key, OTHER, SPDX), DIGEST, [OTHER]).subject.digest == OTHER
    with pytest.raises(BadAttestation, match="speaks of"):
        checker.bundle(sign(key, OTHER, SIGNATURE), DIGEST, [OTHER])


def test_a_key_bundle_is_nothing_to_those_who_ask_for_a_project() -> None:
    """And says so."""
    checker = checker_of(ProjectSigner("github.com/acme/app"), PersonSigner("a@b.c", "https://issuer"))
    with pytest.raises(BadAttestation, match="signed by a key, and by none of those asked for"):
        checker.bundle(sign(cosign_key("cosign3")), DIGEST)


GOOD = {name: read_fixture(f"cosign3/{name}.bundle.json") for name in ("signature", "provenance", "sbom")}


def meaning(found: Attestation) -> tuple[bytes, str]:
    """What an attestation says, and who says it."""
    return found.payload, found.signer


@st.composite
def mutations(draw: st.DrawFn) -> bytes:
    """A good bundle with something done to its bytes or to its parts."""
    good = GOOD[draw(st.sampled_from(sorted(GOOD)))]
    return draw(st.sampled_from([flipped, cut, exchanged, dropped, doubled, mixed, reencoded]))(draw, good)


def flipped(draw: st.DrawFn, good: bytes) -> bytes:
    """One byte is another."""
    at, bits = draw(st.integers(0, len(good) - 1)), draw(st.integers(1, 255))
    return good[:at] + bytes([good[at] ^ bits]) + good[at + 1 :]


def cut(draw: st.DrawFn, good: bytes) -> bytes:
    """A piece is missing, or stands twice."""
    start = draw(st.integers(0, len(good) - 1))
    stop = draw(st.integers(start + 1, min(start + 40, len(good))))
    return good[:start] + good[start:stop] * draw(st.sampled_from([0, 2])) + good[stop:]


def exchanged(draw: st.DrawFn, good: bytes) -> bytes:
    """Two neighbours have changed places."""
    at = draw(st.integers(0, len(good) - 2))
    return good[:at] + good[at + 1 : at + 2] + good[at : at + 1] + good[at + 2 :]


def dropped(draw: st.DrawFn, good: bytes) -> bytes:
    """A key is missing."""
    document = json.loads(good)
    paths = [
        ("mediaType",), ("verificationMaterial",), ("verificationMaterial", "publicKey"), ("dsseEnvelope",),
        ("dsseEnvelope", "payload"), ("dsseEnvelope", "payloadType"), ("dsseEnvelope", "signatures"),
    ]  # fmt: skip
    return json.dumps(drop(document, *draw(st.sampled_from(paths)))).encode()


def doubled(draw: st.DrawFn, good: bytes) -> bytes:
    """A key stands twice, with the same value or another's."""
    key = draw(st.sampled_from([b'"mediaType":', b'"payload":', b'"signatures":', b'"dsseEnvelope":']))
    at = good.index(key)
    value = draw(st.sampled_from([b'"x",', b"[],", b"{},", b"null,"]))
    return good[:at] + key + value + good[at:]


def mixed(draw: st.DrawFn, good: bytes) -> bytes:
    """Payload of one, signature of another."""
    other = json.loads(GOOD[draw(st.sampled_from(sorted(GOOD)))])
    document = json.loads(good)
    part = draw(st.sampled_from(["payload", "signatures"]))
    document["dsseEnvelope"][part] = other["dsseEnvelope"][part]
    return json.dumps(document).encode()


def reencoded(draw: st.DrawFn, good: bytes) -> bytes:
    """The same statement, written in other bytes."""
    document = json.loads(good)
    statement = json.loads(base64.b64decode(document["dsseEnvelope"]["payload"]))
    text = json.dumps(statement, indent=draw(st.integers(0, 3)), sort_keys=draw(st.booleans()))
    document["dsseEnvelope"]["payload"] = base64.b64encode(text.encode()).decode()
    return json.dumps(document).encode()


@settings(max_examples=5000, deadline=None, suppress_health_check=list(HealthCheck))
@given(mutations())
def test_no_mutation_of_a_good_bundle_says_anything_new(mutated: bytes) -> None:
    """Either it says what one of the good ones says, by the same key, or it isn't signed."""
    checker = checker_of(cosign_public("cosign3"))
    try:
        found = checker.bundle(mutated, DIGEST)
    except BadAttestation:
        return
    good = {meaning(checker.bundle(bundle, DIGEST)) for bundle in GOOD.values()}
    assert meaning(found) in good
    assert without_hint(mutated) in [without_hint(bundle) for bundle in GOOD.values()]


def without_hint(bundle: bytes) -> Any:
    """All but the hint at the key, which nobody relies on: it isn't signed, and a key is always named by the user."""
    document = json.loads(bundle)
    document["verificationMaterial"]["publicKey"].pop("hint", None)
    return document


@given(st.binary(min_size=1, max_size=400))
def test_any_bytes_are_no_signature(content: bytes) -> None:
    """Whatever stands in a registry."""
    assume(content not in GOOD.values())
    with pytest.raises(BadAttestation):
        checker_of(cosign_public("cosign3")).bundle(content, DIGEST)


def test_what_a_signature_covers_is_what_dsse_says() -> None:
    """The specification's own example."""
    assert signed_bytes(b"hello world", "http://example.com/HelloWorld") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        (SIGNATURE, "signature"),
        (PROVENANCE, "provenance"),
        ("https://slsa.dev/provenance/v0.2", "provenance"),
        (SPDX, "sbom"),
        (f"{SPDX}/v2.3", "sbom"),
        (CYCLONEDX, "sbom"),
        ("https://x/custom", "https://x/custom"),
    ],
)
def test_statements_have_words(kind: str, word: str) -> None:
    """For people and for `--attested`."""
    assert word_of(kind) == word


def test_a_payload_of_another_type_is_no_signature() -> None:
    """The older form has a type too."""
    key = cosign_key("cosign2")
    payload = SimplePayload(DIGEST, "r").content().replace(b"cosign container", b"another container")
    layer = Descriptor(
        "x", Digest.of(payload), len(payload),
        annotations={SIGNATURE_ANNOTATION: base64.b64encode(key.sign(payload)).decode()},
    )  # fmt: skip
    with pytest.raises(BadAttestation, match="no image's signature"):
        checker_of(key.public).simple(payload, layer, DIGEST)
