"""WWW-Authenticate headers, as registries write them and as they shouldn't; which token services may see a password."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from publisher.http.challenge import BadChallenge, Challenge, check_realm, parse_challenges, widen
from publisher.http.origin import Origin
from publisher.model.errors import Denied

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
    challenges = parse_challenges(header)
    assert [challenge.scheme for challenge in challenges] == [scheme for scheme, _ in expected]
    for challenge, (_, parameters) in zip(challenges, expected, strict=True):
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


@pytest.mark.parametrize("filler", ["a,", 'Basic realm="x",', " ", "x"])
def test_a_header_of_any_length_takes_little_time(filler: str) -> None:
    """What is larger than a whole header may be isn't read at all."""
    with pytest.raises(BadChallenge, match="more than 65,536"):
        parse_challenges(filler * (6_000_000 // len(filler)))


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


REGISTRY = Origin.of("https://registry.example.com")
LOCAL = Origin.of("http://127.0.0.1:5000")
INSECURE = Origin.of("http://registry.corp:5000")
PRIVATE = Origin.of("https://10.0.0.5:5000")


@pytest.mark.parametrize(
    ("realm", "registry", "trusted"),
    [
        pytest.param("https://registry.example.com/token", REGISTRY, (), id="same-host"),
        pytest.param("https://REGISTRY.example.COM/token", REGISTRY, (), id="same-host-in-capitals"),
        pytest.param("https://registry.example.com:443/token?a=b", REGISTRY, (), id="same-port-written"),
        pytest.param("https://auth.example.com/t", REGISTRY, ("auth.example.com",), id="trusted"),
        pytest.param("https://auth.example.com/t", REGISTRY, ("auth.example.com:443",), id="trusted-with-port"),
        pytest.param("https://auth.example.com:8443/t", REGISTRY, ("AUTH.example.com:8443",), id="trusted-other-port"),
        pytest.param("https://auth.docker.io/token", Origin.of("https://registry-1.docker.io"), (), id="docker-hub"),
        pytest.param("https://gitlab.com/jwt/auth", Origin.of("https://registry.gitlab.com"), (), id="gitlab"),
        pytest.param("http://127.0.0.1:5000/token", LOCAL, (), id="loopback-same"),
        pytest.param("http://127.0.0.1:5001/token", LOCAL, ("127.0.0.1:5001",), id="loopback-trusted"),
        pytest.param("https://127.0.0.1:5000/token", LOCAL, (), id="loopback-better-scheme"),
        pytest.param("http://registry.corp:5000/token", INSECURE, (), id="insecure-same"),
        pytest.param("http://auth.corp/token", INSECURE, ("auth.corp",), id="insecure-trusted"),
        pytest.param("https://10.0.0.5:5000/token", PRIVATE, (), id="private-same"),
    ],
)
def test_a_known_realm_is_allowed(realm: str, registry: Origin, trusted: tuple[str, ...]) -> None:
    """The registry itself, the pairs that are known, and what the user trusts."""
    assert check_realm(realm, registry, trusted).host in realm.lower()


FOREIGN = [
    ("https://evil.example/token", REGISTRY),
    ("https://registry.example.com.evil.example/token", REGISTRY),
    ("https://evilregistry.example.com/token", REGISTRY),
    ("https://auth.registry.example.com/token", REGISTRY),
    ("https://example.com/token", REGISTRY),
    ("https://registry.example.com:8443/token", REGISTRY),
    ("https://registry.example.com:80/token", REGISTRY),
    ("http://registry.example.com/token", REGISTRY),
    ("http://registry.example.com:443/token", REGISTRY),
    ("https://registry.example.com./token", REGISTRY),
    ("https://registry.example.com@evil.example/token", REGISTRY),
    ("https://user:pw@registry.example.com/token", REGISTRY),
    ("https://evil.example\\@registry.example.com/token", REGISTRY),
    ("https://registry.example.com\\.evil.example/token", REGISTRY),
    ("https://registry.example.com%2eevil.example/token", REGISTRY),
    ("https://registry.example.com%00.evil.example/", REGISTRY),
    ("https://registry\t.example.com/token", REGISTRY),
    ("https://registry.example.com /token", REGISTRY),
    ("https://registry.example.com\n/token", REGISTRY),
    (" https://registry.example.com/token", REGISTRY),
    ("https://registry.example.com:0/token", REGISTRY),
    ("https://registry.example.com:99999/token", REGISTRY),
    ("https://registry.example.com:443x/token", REGISTRY),
    ("https://registry.example.com:443:443/token", REGISTRY),
    ("https://r\u0435gistry.example.com/token", REGISTRY),
    ("https://registry\u3002example.com/token", REGISTRY),
    ("https://xn--rgistry-tve.example.com/token", REGISTRY),
    ("//evil.example/token", REGISTRY),
    ("//registry.example.com/token", REGISTRY),
    ("/token", REGISTRY),
    ("token", REGISTRY),
    ("", REGISTRY),
    ("https://", REGISTRY),
    ("https:///token", REGISTRY),
    ("https:registry.example.com/token", REGISTRY),
    ("ftp://registry.example.com/token", REGISTRY),
    ("file:///etc/passwd", REGISTRY),
    ("javascript:alert(1)", REGISTRY),
    ("https://[::1/token", REGISTRY),
    ("https://[registry.example.com]/token", REGISTRY),
    ("https://127.0.0.1/token", REGISTRY),
    ("https://127.1/token", REGISTRY),
    ("https://2130706433/token", REGISTRY),
    ("https://0x7f000001/token", REGISTRY),
    ("https://0177.0.0.1/token", REGISTRY),
    ("https://localhost/token", REGISTRY),
    ("https://[::1]/token", REGISTRY),
    ("https://[::]/token", REGISTRY),
    ("https://[::ffff:127.0.0.1]/token", REGISTRY),
    ("https://[64:ff9b::7f00:1]/token", REGISTRY),
    ("https://[fe80::1%25eth0]/token", REGISTRY),
    ("https://10.0.0.1/token", REGISTRY),
    ("https://192.168.1.1/token", REGISTRY),
    ("https://172.16.0.1/token", REGISTRY),
    ("https://100.64.0.1/token", REGISTRY),
    ("https://169.254.169.254/latest/meta-data", REGISTRY),
    ("https://0.0.0.0/token", REGISTRY),
    ("https://224.0.0.1/token", REGISTRY),
    ("https://8.8.8.8/token", REGISTRY),
    ("http://127.0.0.1:5001/token", LOCAL),
    ("http://127.0.0.2:5000/token", LOCAL),
    ("http://localhost:5000/token", LOCAL),
    ("http://[::1]:5000/token", LOCAL),
    ("http://0x7f000001:5000/token", LOCAL),
    ("http://evil.example:5000/token", LOCAL),
    ("http://auth.corp/token", INSECURE),
    ("https://10.0.0.6:5000/token", PRIVATE),
    ("https://auth.docker.io/token", REGISTRY),
    ("http://auth.docker.io/token", Origin.of("https://registry-1.docker.io")),
    ("https://auth.docker.io:444/token", Origin.of("https://registry-1.docker.io")),
    ("https://auth.docker.io/token", Origin.of("https://registry-1.docker.io:444")),
    ("https://gitlab.com/jwt/auth", Origin.of("https://registry-1.docker.io")),
    ("https://other.azurecr.io/oauth2/token", Origin.of("https://mine.azurecr.io")),
]


@pytest.mark.parametrize(("realm", "registry"), FOREIGN)
def test_any_other_realm_gets_no_password(realm: str, registry: Origin) -> None:
    """Another host, port or scheme, or a form that parsers could disagree on; the message names the registry."""
    with pytest.raises(Denied) as caught:
        check_realm(realm, registry, ())
    assert registry.netloc in caught.value.message
    assert "trusted-realms" in (caught.value.hint or "")


def test_trust_in_a_loopback_registry_lets_nothing_leave_in_the_clear() -> None:
    """Even a trusted realm must be https when it isn't on this machine."""
    with pytest.raises(Denied, match="not https"):
        check_realm("http://auth.example.com/token", LOCAL, ("auth.example.com",))


@pytest.mark.parametrize(
    ("realm", "registry", "allowed"),
    [
        pytest.param("https://auth.elsewhere.example/t", REGISTRY, True, id="public"),
        pytest.param("http://auth.elsewhere.example/t", REGISTRY, False, id="plain"),
        pytest.param("https://10.1.2.3/t", REGISTRY, False, id="private"),
        pytest.param("https://localhost/t", REGISTRY, False, id="loopback"),
        pytest.param("http://127.0.0.1:5001/t", LOCAL, True, id="loopback-from-loopback"),
        pytest.param("https://10.1.2.3/t", PRIVATE, True, id="private-from-private"),
        pytest.param("https://u@auth.elsewhere.example/t", REGISTRY, False, id="user"),
    ],
)
def test_an_anonymous_token_may_come_from_elsewhere(realm: str, registry: Origin, allowed: bool) -> None:
    """Where nothing secret is sent, a public https host will do, and never a network that the registry isn't in."""
    if allowed:
        assert check_realm(realm, registry, (), anonymous=True)
    else:
        with pytest.raises(Denied):
            check_realm(realm, registry, (), anonymous=True)


@pytest.mark.parametrize(
    ("scopes", "stated", "expected"),
    [
        pytest.param(
            ("repository:a:pull",), ("repository:a:pull,push",), ("repository:a:pull,push",), id="more-actions"
        ),
        pytest.param(("repository:a:pull,push",), ("repository:a:pull",), ("repository:a:pull,push",), id="fewer"),
        pytest.param(
            ("repository:a:push", "repository:b:pull"),
            ("repository:b:pull", "repository:a:pull"),
            ("repository:a:push,pull", "repository:b:pull"),
            id="the-wanted-one-stays-first",
        ),
        pytest.param(
            ("repository:a:pull",),
            ("repository:x/a:pull",),
            ("repository:a:pull", "repository:x/a:pull"),
            id="other-name",
        ),
        pytest.param(("repository:a:pull",), ("repository:a:*",), ("repository:a:pull",), id="never-a-star"),
        pytest.param(
            ("repository:a:pull",), ("repository:a:delete",), ("repository:a:pull",), id="never-delete-unasked"
        ),
        pytest.param(
            ("repository:a:pull,delete",), ("repository:a:pull",), ("repository:a:pull,delete",), id="delete-asked"
        ),
        pytest.param(
            ("repository:h:5000/a:pull",),
            ("repository:h:5000/a:push",),
            ("repository:h:5000/a:pull,push",),
            id="colons",
        ),
        pytest.param(("repository:a:pull",), ("nonsense", ":", "a:"), ("repository:a:pull",), id="nonsense"),
        pytest.param(("repository:a:pull",), (), ("repository:a:pull",), id="nothing-asked"),
    ],
)
def test_scopes_are_merged(scopes: tuple[str, ...], stated: tuple[str, ...], expected: tuple[str, ...]) -> None:
    """A challenge adds actions that are needed, and none that could do harm."""
    assert widen(scopes, stated) == expected
