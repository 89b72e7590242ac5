"""The documents' JSON: text outside, values inside, and nothing that is no reference gets in."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from publisher.model.codec import decode, encode, encode_readable, schema
from publisher.model.digest import Digest
from publisher.model.documents import Verdict, VerdictState
from publisher.model.plan import Action, Kind, Move
from publisher.model.receipt import Verification
from publisher.model.reference import Reference, Repository, Tag, TagReference

DIGEST = Digest.of(b"an image")
MOVE = Move(
    reference=TagReference.parse("a/b:1.0.0"), tag="1.0.0", kind=Kind.EXACT, version="1.0.0", action=Action.CREATE,
    before=None, after=DIGEST, reason="new",
)  # fmt: skip
NAMES = st.from_regex(r"[a-z]{1,8}/[a-z]{1,8}", fullmatch=True)
TAGS = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,20}", fullmatch=True)


def test_values_are_text_in_json() -> None:
    """A reference and a digest stand there as they are written, in full."""
    document = msgspec.json.decode(encode(MOVE))
    assert (document["reference"], document["from"], document["to"]) == ("docker.io/a/b:1.0.0", None, str(DIGEST))
    assert decode(encode_readable(MOVE).encode(), Move) == MOVE


@given(NAMES, TAGS, st.binary(max_size=8))
def test_what_is_written_is_what_is_read(name: str, tag: str, content: bytes) -> None:
    """A verdict comes back equal, whatever it speaks of."""
    reference = Reference(Repository.parse(name), Tag(tag), Digest.of(content))
    verdict = Verdict(reference=reference, digest=None, platforms=(), state=VerdictState.MISSING, detail="")
    assert decode(encode(verdict), Verdict) == verdict


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        pytest.param("reference", "a/b", "'a/b' is not a tag: expected REPOSITORY:TAG - at `$.reference`", id="no-tag"),
        pytest.param("reference", f"a/b:1@{DIGEST}", "is not a tag", id="digest-too"),
        pytest.param("reference", "a/B:1", "'B' must be in lower case - at `$.reference`", id="upper-case"),
        pytest.param("reference", 7, "Expected `str`, got `int` - at `$.reference`", id="number"),
        pytest.param("to", "sha256:1", "sha256 takes 64 lower-case hex digits - at `$.to`", id="short-digest"),
    ],
)
def test_what_is_no_reference_is_refused(field: str, value: object, reason: str) -> None:
    """Where the document is read, with the place and the reason."""
    document: dict[str, Any] = {**msgspec.json.decode(encode(MOVE)), field: value}
    with pytest.raises(msgspec.ValidationError) as caught:
        decode(msgspec.json.encode(document), Move)
    assert reason in str(caught.value)


def test_what_has_no_text_is_not_written() -> None:
    """An object that no document may hold is an error, not an empty place."""
    with pytest.raises(NotImplementedError, match="has no place in a document"):
        encode({"a": object()})


def test_a_schema_says_text() -> None:
    """To other programs a digest is a string or null."""
    properties = schema(Move)["$defs"]["Move"]["properties"]
    assert properties["reference"] == {"type": "string"}
    assert properties["from"] == {"anyOf": [{"type": "string"}, {"type": "null"}]}


def test_a_reference_to_a_tag_is_a_reference() -> None:
    """It equals the same reference read as any, in sets too, and is ordered by its text's parts."""
    one, other = TagReference.parse("a/b:1"), Reference.parse("a/b:1")
    assert one == other
    assert len({one, other}) == 1
    assert one != Reference.parse("a/b")
    assert min([Repository.parse("b/a"), Repository.parse("a/b")]) == Repository.parse("a/b")
    assert Repository.parse("a/b").tag("1") == TagReference(Repository.parse("a/b"), Tag("1"))


def test_values_of_different_kinds_are_never_equal() -> None:
    """A repository is no digest, whatever its parts are called."""
    assert Repository("sha256", "ab") != Digest("sha256", "ab")
    assert Digest("sha256", "ab") != "sha256:ab"
    with pytest.raises(TypeError):
        assert sorted([Digest("sha256", "ab"), "sha256:ab"])  # type: ignore[type-var]


def test_what_a_smoke_run_found_is_read_as_it_was_written() -> None:
    """It may be anything: a receipt with it is read at the next release."""
    found = Verification(level="pull", smoke={"passed": True, "checks": [{"name": "exit code", "seconds": 1.5}]})
    assert decode(encode(found), Verification) == found
