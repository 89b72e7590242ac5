"""Origins, and the addresses that answers lead to."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from publisher.http.origin import Origin, follow, is_loopback, is_loopback_header, is_private, without_secrets
from publisher.model.errors import PublishError, Unreachable, VerificationFailed


@pytest.mark.parametrize(
    ("url", "origin", "netloc"),
    [
        ("https://Registry.Example/v2/", Origin("https", "registry.example", 443), "registry.example"),
        ("https://registry.example:443", Origin("https", "registry.example", 443), "registry.example"),
        ("https://registry.example:/v2/", Origin("https", "registry.example", 443), "registry.example"),
        ("http://registry.example", Origin("http", "registry.example", 80), "registry.example"),
        ("https://registry.example:80", Origin("https", "registry.example", 80), "registry.example:80"),
        ("http://[::1]:5000/v2/", Origin("http", "::1", 5000), "[::1]:5000"),
        ("http://build_host:5000", Origin("http", "build_host", 5000), "build_host:5000"),
    ],
)
def test_an_address_has_an_origin(url: str, origin: Origin, netloc: str) -> None:
    """Scheme, host in lower case, and port, which the scheme gives when it isn't written."""
    assert Origin.of(url) == origin
    assert origin.netloc == netloc


@pytest.mark.parametrize(
    ("host", "private", "loopback"),
    [
        ("localhost", True, True),
        ("127.0.0.1", True, True),
        ("127.8.8.8", True, True),
        ("::1", True, True),
        ("[::1]", True, True),
        ("localhost.", True, False),
        ("a.localhost", True, False),
        ("10.0.0.1", True, False),
        ("172.31.255.255", True, False),
        ("192.168.0.1", True, False),
        ("169.254.169.254", True, False),
        ("100.64.1.1", True, False),
        ("0.0.0.0", True, False),
        ("::", True, False),
        ("::ffff:10.0.0.1", True, False),
        ("64:ff9b::a00:1", True, False),
        ("2002:a00:1::", True, False),
        ("fe80::1%eth0", True, False),
        ("fd00::1", True, False),
        ("224.0.0.1", True, False),
        ("127.1", True, False),
        ("0x7f000001", True, False),
        ("2130706433", True, False),
        ("8.8.8.8", False, False),
        ("2606:4700::1111", False, False),
        ("64:ff9b::808:808", False, False),
        ("registry.example", False, False),
        ("172.15.0.1.example", False, False),
    ],
)
def test_private_addresses_are_known(host: str, private: bool, loopback: bool) -> None:
    """What only means something inside a network, in all its spellings."""
    assert (is_private(host), is_loopback(host)) == (private, loopback)


@pytest.mark.parametrize(
    ("host", "ours"),
    [
        ("127.0.0.1:5000", True),
        ("127.0.0.1", True),
        ("127.9.9.9:80", True),
        ("localhost:5000", True),
        ("LOCALHOST", True),
        ("[::1]:5000", True),
        ("", False),
        ("evil.example", False),
        ("127.0.0.1.evil.example:5000", False),
        ("localhost.evil.example", False),
        ("10.0.0.1:5000", False),
        ("[::1", False),
        ("127.0.0.1:5000@evil.example", False),
        ("evil.example@127.0.0.1", False),
        ("evil.example#127.0.0.1", False),
    ],
)
def test_only_loopback_names_are_ours(host: str, ours: bool) -> None:
    """A name that somebody else's DNS points here is not ours (DNS rebinding)."""
    assert is_loopback_header(host) is ours


@pytest.mark.parametrize(
    ("url", "location", "target"),
    [
        (
            "https://r.example/v2/a/blobs/uploads/",
            "/v2/a/blobs/uploads/u?s=1",
            "https://r.example/v2/a/blobs/uploads/u?s=1",
        ),
        ("https://r.example/v2/a/", "u", "https://r.example/v2/a/u"),
        ("https://r.example/v2/a/", "?x=1", "https://r.example/v2/a/?x=1"),
        (
            "https://r.example/v2/",
            "https://cdn.example/b?X-Amz-Signature=a%2Fb",
            "https://cdn.example/b?X-Amz-Signature=a%2Fb",
        ),
        ("https://r.example/v2/", "//cdn.example/b", "https://cdn.example/b"),
        ("http://127.0.0.1:5000/v2/", "http://127.0.0.1:6000/b", "http://127.0.0.1:6000/b"),
        ("http://127.0.0.1:5000/v2/", "https://cdn.example/b", "https://cdn.example/b"),
        ("https://10.0.0.1/v2/", "https://10.0.0.2/b", "https://10.0.0.2/b"),
    ],
)
def test_a_location_is_followed(url: str, location: str, target: str) -> None:
    """Relative or absolute, its query unchanged."""
    assert follow(url, location) == target


@pytest.mark.parametrize(
    ("location", "why"),
    [
        ("http://r.example/b", "from https to http"),
        ("http://cdn.example/b", "from https to http"),
        ("https://127.0.0.1/b", "private network"),
        ("https://localhost:6000/b", "private network"),
        ("https://169.254.169.254/b", "private network"),
        ("https://0x7f.1/b", "private network"),
        ("https://r.example/" + "a" * 8192, "too long"),
        ("https://user@cdn.example/b", "user in it"),
        ("ftp://cdn.example/b", "not an http"),
        ("https://[cdn/b", "not an address"),
        ("https://cdn.example:x/b", "not an address"),
        ("https://cdn\\.example/b", "not an address"),
        ("file:///etc/passwd", "not an http"),
    ],
)
def test_a_location_that_leads_astray_is_refused(location: str, why: str) -> None:
    """Before anything is sent there; the message shows no query."""
    with pytest.raises((VerificationFailed, Unreachable), match=why):
        follow("https://r.example/v2/?_state=secret", location)


@given(st.text(max_size=80))
def test_any_location_is_followed_or_refused(location: str) -> None:
    """A server's text never ends in another kind of error."""
    with contextlib.suppress(PublishError):
        assert Origin.of(follow("https://r.example/v2/", location)).scheme == "https"


def test_secrets_stay_at_their_origin() -> None:
    """Authorization, cookies, and whatever X- header a caller set."""
    harmless = {"Accept": "a", "Content-Type": "b", "Range": "c"}
    secret = {"Authorization": "1", "authorization": "2", "COOKIE": "3", "Proxy-Authorization": "4", "X-Key": "5"}
    assert without_secrets(harmless | secret) == harmless
