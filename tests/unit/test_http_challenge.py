"""WWW-Authenticate headers, as registries write them and as they shouldn't."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from publisher.http.challenge import BadChallenge, Challenge, parse_challenges

HUB = 'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push"'
HUB_PARAMETERS = {
    "realm": "https://auth.docker.io/token",
    "service": "registry.docker.io",
    "scope": "repository:a/b:pull,push",
}


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        pytest.param(HUB, [("bearer", HUB_PARAMETERS)], id="docker-hub"),
        pytest.param(HUB.replace(",", " ,\t"), [("bearer", None)], id="blanks-around-commas"),
        pytest.param('BEARER REALM="x"', [("bearer", {"realm": "x"})], id="upper-case"),
        pytest.param("Bearer realm=x", [("bearer", {"realm": "x"})], id="unquoted"),
        pytest.param('Bearer realm = "x"', [("bearer", {"realm": "x"})], id="blanks-around-equals"),
        pytest.param('Bearer   realm="x"', [("bearer", {"realm": "x"})], id="many-blanks"),
        pytest.param('Bearer realm=""', [("bearer", {"realm": ""})], id="empty-value"),
        pytest.param('Bearer realm="x",', [("bearer", {"realm": "x"})], id="comma-at-the-end"),
        pytest.param(', Bearer realm="x"', [("bearer", {"realm": "x"})], id="comma-at-the-start"),
        pytest.param('Bearer realm="x",,scope="y"', [("bearer", {"realm": "x", "scope": "y"})], id="empty-element"),
        pytest.param(r'Bearer realm="a\"b\\c"', [("bearer", {"realm": 'a"b\\c'})], id="escapes"),
        pytest.param('Bearer realm="x",scope="a, b=c"', [("bearer", {"realm": "x", "scope": "a, b=c"})], id="inside"),
        pytest.param('Bearer realm="Basic realm=y"', [("bearer", {"realm": "Basic realm=y"})], id="scheme-in-quotes"),
        pytest.param(
            'Basic realm="a", Bearer realm="b",service="c"',
            [("basic", {"realm": "a"}), ("bearer", {"realm": "b", "service": "c"})],
            id="two-schemes",
        ),
        pytest.param("Basic", [("basic", {})], id="bare"),
        pytest.param("Negotiate, Basic", [("negotiate", {}), ("basic", {})], id="two-bare"),
        pytest.param('Negotiate abc==, Basic realm="x"', [("negotiate", {}), ("basic", {"realm": "x"})], id="token68"),
        pytest.param('Digest qop="auth",nonce=x', [("digest", {"qop": "auth", "nonce": "x"})], id="digest"),
        pytest.param("", [], id="empty"),
        pytest.param(" , ,", [], id="commas-only"),
    ],
)
def test_challenges_are_read(header: str, expected: list[tuple[str, dict[str, str] | None]]) -> None:
    """Every scheme with its parameters, in the header's order."""
    found = parse_challenges(header)
    assert [challenge.scheme for challenge in found] == [scheme for scheme, _ in expected]
    for challenge, (_, parameters) in zip(found, expected, strict=True):
        assert parameters is None or challenge.parameters == parameters


@pytest.mark.parametrize(
    "header",
    [
        pytest.param('Bearer realm="x', id="open-quote"),
        pytest.param('Bearer realm="x\\"', id="escaped-last-quote"),
        pytest.param('Bearer realm="a",realm="b"', id="two-realms"),
        pytest.param('Bearer realm="a",REALM="b"', id="two-realms-by-case"),
        pytest.param('Bearer realm="a" service="b"', id="no-comma"),
        pytest.param('Bearer realm="a"Basic', id="glued"),
        pytest.param('Bearer "a"', id="no-key"),
        pytest.param('="a"', id="no-scheme"),
        pytest.param('"Bearer"', id="quoted-scheme"),
        pytest.param('Bearer realm="a","b"', id="value-alone"),
    ],
)
def test_what_can_be_read_two_ways_is_refused(header: str) -> None:
    """No guess is made about where a password may go."""
    with pytest.raises(BadChallenge):
        parse_challenges(header)


def test_a_challenge_names_its_scopes() -> None:
    """The scopes are split at blanks, never at commas."""
    challenge = Challenge("bearer", {"scope": "repository:a:pull,push repository:b:pull", "error": "invalid_token"})
    assert challenge.scopes == ("repository:a:pull,push", "repository:b:pull")
    assert challenge.error == "invalid_token"
    assert (challenge.realm, challenge.service) == ("", "")


@given(st.text(alphabet='abBearer ,="\\\t/:.\x00é', max_size=60))
def test_any_text_is_read_or_refused(header: str) -> None:
    """Nothing else than challenges or BadChallenge comes out."""
    with contextlib.suppress(BadChallenge):
        assert all(challenge.scheme for challenge in parse_challenges(header))


@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), st.text(st.characters(codec="ascii")), min_size=1))
def test_written_parameters_are_read_back(parameters: dict[str, str]) -> None:
    """Quoting keeps every character."""
    quoted = {key: value.replace("\\", "\\\\").replace('"', '\\"') for key, value in parameters.items()}
    header = "Bearer " + ",".join(f'{key}="{value}"' for key, value in quoted.items())
    assert [challenge.parameters for challenge in parse_challenges(header)] == [parameters]
