"""What a registry's refusals mean."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import pytest

from publisher.model.errors import (
    BadManifest,
    BadReference,
    Denied,
    ImmutableTag,
    PublishError,
    QuotaUsedUp,
    Refused,
    Unreachable,
    VerificationFailed,
)
from publisher.registry.answers import BlobUnknown, ErrorResponse, refusal

if TYPE_CHECKING:
    from publisher.http.message import Response


@dataclass
class Answer:
    """As much of a response as is read here."""

    status: int
    content: bytes


def answer(status: int, body: str | None = None, **entry: object) -> Response:
    """An answer with `body`, or with one registry error."""
    text = json.dumps({"errors": [entry]}) if body is None else body
    return cast("Response", Answer(status, text.encode()))


FROZEN = "tag 1.2.3 is already assigned and cannot be updated due to immutability settings"

FULL = "adding 1.2 GiB of storage resource, which when updated to 11 GiB will exceed the configured upper limit"


@pytest.mark.parametrize(
    ("response", "kind"),
    [
        pytest.param(answer(401, code="UNAUTHORIZED", message="no"), Denied, id="401"),
        pytest.param(answer(403, code="DENIED", message="no"), Denied, id="403"),
        pytest.param(answer(403, code="DENIED", message=f"denied - {FROZEN}"), ImmutableTag, id="hub-frozen"),
        pytest.param(
            answer(403, code="DENIED", message="no", detail={"why": FROZEN}), ImmutableTag, id="frozen-detail"
        ),
        pytest.param(
            answer(400, code="TAG_INVALID", message="cannot be overwritten because the repository is immutable"),
            ImmutableTag,
            id="ecr-frozen",
        ),
        pytest.param(answer(403, code="DENIED", message=FULL), QuotaUsedUp, id="harbor-full"),
        pytest.param(answer(412, code="PRECONDITION", message="Quota exceeded"), QuotaUsedUp, id="quota-exceeded"),
        pytest.param(answer(507, ""), QuotaUsedUp, id="507"),
        pytest.param(answer(403, code="DENIED", message="not for me/quota"), Denied, id="a-repository-called-quota"),
        pytest.param(answer(404, code="MANIFEST_BLOB_UNKNOWN", message="no"), BlobUnknown, id="blob-unknown-404"),
        pytest.param(answer(400, code="MANIFEST_BLOB_UNKNOWN", message="no"), BlobUnknown, id="blob-unknown-400"),
        pytest.param(answer(404, code="NAME_UNKNOWN", message="no"), Refused, id="no-repository"),
        pytest.param(answer(400, code="MANIFEST_INVALID", message="no"), BadManifest, id="manifest-invalid"),
        pytest.param(answer(400, code="TAG_INVALID", message="no"), BadReference, id="tag-invalid"),
        pytest.param(answer(413, "Request Entity Too Large"), BadManifest, id="too-large"),
        pytest.param(answer(405, code="UNSUPPORTED", message="no"), Refused, id="405"),
        pytest.param(answer(400, code="UNSUPPORTED", message="no"), Refused, id="unsupported"),
        pytest.param(answer(429, "Too Many Requests (HAP429).\n"), Unreachable, id="hub-abuse-text"),
        pytest.param(answer(503, "<html>"), Unreachable, id="503-html"),
        pytest.param(answer(418, ""), VerificationFailed, id="teapot"),
        pytest.param(answer(400, '{"errors": "x"}'), VerificationFailed, id="errors-no-list"),
        pytest.param(answer(400, '{"errors": [1, null]}'), VerificationFailed, id="errors-no-objects"),
        pytest.param(answer(400, "[" * 100_000), VerificationFailed, id="deep-json"),
        pytest.param(answer(500, code="UNKNOWN", message="immutable storage is down"), Unreachable, id="not-frozen"),
    ],
)
def test_each_refusal_has_its_kind(response: Response, kind: type[PublishError]) -> None:
    """Status, code and words decide together what went wrong."""
    error = refusal(response, "write", "reg.example/app:1", "ann (from test)")
    assert type(error) is kind
    assert error.reference == "reg.example/app:1"


@pytest.mark.parametrize(
    ("principal", "hint"),
    [
        pytest.param("anonymous", "publish login docker.io'", id="anonymous"),
        pytest.param("ann (from keyring)", "signed in as ann \\(from keyring\\)", id="user"),
    ],
)
def test_denied_names_repository_user_and_source(principal: str, hint: str) -> None:
    """Who asked for what, and what to do, stand in the message."""
    error = refusal(answer(403, code="DENIED", message="no"), "push to", "docker.io/ann/app", principal)
    assert "docker.io/ann/app" in error.message
    with pytest.raises(AssertionError, match=hint):
        raise AssertionError(error.hint)


@pytest.mark.parametrize(
    ("status", "challenge", "refused"),
    [
        pytest.param(401, 'Basic realm="x"', True, id="password"),
        pytest.param(401, 'Bearer realm="https://auth.example"', False, id="token"),
        pytest.param(401, 'Bearer realm="https://auth.example", Basic realm="x"', False, id="either"),
        pytest.param(403, 'Basic realm="x"', False, id="no-right"),
        pytest.param(401, "", False, id="unsaid"),
    ],
)
def test_a_password_that_is_refused_is_told_as_that(status: int, challenge: str, refused: bool) -> None:
    """Where the registry itself takes passwords a 401 is about them; a token may also lack a right."""
    error = refusal(answer(status), "push to", "reg.example/app", "ann (from keyring)", challenge)
    assert ("does not accept the user name and password of ann" in error.message) is refused
    assert ("may lack the right" in str(error.hint)) is not refused
    assert ("publish login reg.example" in str(error.hint)) is refused


def test_plain_text_is_quoted() -> None:
    """A body that isn't JSON is shown as far as it helps."""
    assert (
        ErrorResponse.read(answer(429, "Too Many Requests (HAP429).\n")).summary
        == "Too Many Requests (HAP429). (HTTP 429)"
    )


def test_terminal_escapes_are_shown_not_sent() -> None:
    """A registry's words can't steer the terminal."""
    error = refusal(answer(400, code="X", message="\x1b[2Jgone"), "write", "reg.example/app:1", "anonymous")
    assert "\x1b" not in str(error)
