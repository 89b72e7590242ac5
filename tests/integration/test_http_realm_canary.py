"""A registry that wants the password sent elsewhere: servers listen there, and see none of it."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

import pytest

from publisher.http.client import Client
from publisher.http.message import Request
from publisher.http.tls import HostSettings
from publisher.model.credential import Credential
from publisher.model.errors import PublishError
from tests.support.http_server import QUICK, SECRET, USER, Answer, ServerRequest, client, serve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.http_server import Server

# {b} is the port where the thief listens, {a} the registry's own.
FORMS = {
    "loopback-other-port": "http://127.0.0.1:{b}/token",
    "loopback-other-address": "http://127.0.0.2:{b}/token",
    "localhost": "http://localhost:{b}/token",
    "localhost-own-port": "http://localhost:{a}/token",
    "ipv6": "http://[::1]:{b}/token",
    "ipv6-long": "http://[0:0:0:0:0:0:0:1]:{b}/token",
    "ipv4-mapped": "http://[::ffff:127.0.0.1]:{b}/token",
    "hexadecimal": "http://0x7f000001:{b}/token",
    "hexadecimal-own-port": "http://0x7f000001:{a}/token",
    "decimal": "http://2130706433:{b}/token",
    "octal": "http://0177.0.0.1:{b}/token",
    "short": "http://127.1:{b}/token",
    "zero": "http://0:{b}/token",
    "unspecified": "http://0.0.0.0:{b}/token",
    "upper-case": "HTTP://LOCALHOST:{b}/token",
    "trailing-dot": "http://localhost.:{b}/token",
    "address-with-dot": "http://127.0.0.1.:{b}/token",
    "user": "http://127.0.0.1:{a}@127.0.0.2:{b}/token",
    "user-and-password": "http://u:p@127.0.0.1:{b}/token",
    "empty-user": "http://@127.0.0.1:{b}/token",
    "backslash-user": "http://127.0.0.2:{b}\\@127.0.0.1:{a}/token",
    "backslash-path": "http://127.0.0.1:{a}\\.127.0.0.2:{b}/token",
    "fragment-user": "http://127.0.0.1:{b}#@127.0.0.1:{a}/token",
    "query-user": "http://127.0.0.1:{b}?@127.0.0.1:{a}/token",
    "double-at": "http://127.0.0.1:{a}@@127.0.0.1:{b}/token",
    "no-scheme": "//127.0.0.1:{b}/token",
    "no-scheme-name": "//localhost:{b}/token",
    "no-slashes": "http:127.0.0.1:{b}/token",
    "one-slash": "http:/127.0.0.1:{b}/token",
    "three-slashes": "http:///127.0.0.1:{b}/token",
    "backslashes": "http:\\\\127.0.0.1:{b}\\token",
    "relative": "/token",
    "host-only": "127.0.0.1:{b}/token",
    "empty": "",
    "blank-first": " http://127.0.0.1:{b}/token",
    "blank-in-host": "http://127.0.0.1 :{b}/token",
    "tab-in-host": "http://127.0.\t0.1:{b}/token",
    "full-width": "http://\uff11\uff12\uff17.0.0.1:{b}/token",
    "ideographic-stop": "http://127\u30020\u30020\u30021:{b}/token",
    "percent-host": "http://127%2e0%2e0%2e1:{b}/token",
    "percent-slash": "http://127.0.0.1:{b}%2f@127.0.0.1:{a}/token",
    "idn": "http://xn--n3h.localhost:{b}/token",
    "https": "https://127.0.0.1:{b}/token",
    "https-default-port": "https://127.0.0.1/token",
    "http-default-port": "http://127.0.0.1/token",
    "port-80": "http://127.0.0.1:80/token",
    "port-443": "https://127.0.0.1:443/token",
    "port-zero": "http://127.0.0.1:0/token",
    "port-too-large": "http://127.0.0.1:65536{b}/token",
    "ftp": "ftp://127.0.0.1:{b}/token",
    "file": "file:///etc/passwd",
    "private": "http://10.255.255.1:{b}/token",
    "metadata": "http://169.254.169.254/latest/meta-data/",
}

_PAIR = f"{USER}:{SECRET}"
CANARIES = tuple(
    form
    for text in (SECRET, _PAIR, "c4nary")
    for form in (
        text,
        base64.b64encode(text.encode()).decode().rstrip("="),
        base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
        quote(text, safe=""),
        quote_plus(text),
        text.encode().hex(),
    )
)


@pytest.fixture(scope="module")
def thieves() -> Iterator[tuple[Server, ...]]:
    """Servers on three of this machine's addresses, all on one port, that give a token to anybody."""
    with (
        serve() as first,
        serve(address="127.0.0.2", port=first.port) as second,
        serve(address="::1", port=first.port) as third,
    ):
        yield first, second, third


@pytest.fixture(scope="module")
def registry() -> Iterator[Server]:
    """A registry without a token service of its own."""
    with serve() as running:
        yield running


def shown(seen: ServerRequest) -> str:
    """All that a server got."""
    return f"{seen.path}\n{seen.headers}\n{seen.body.decode('latin-1')}"


@pytest.mark.parametrize("user", [USER, "<token>"], ids=["password", "identity-token"])
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_no_byte_of_a_secret_reaches_a_foreign_realm(
    form: str, user: str, registry: Server, thieves: tuple[Server, ...]
) -> None:
    """The thief sees no request with a secret; the registry, where the realm is its own address, may."""
    realm = form.format(a=registry.port, b=thieves[0].port)
    quoted = realm.replace("\\", "\\\\")
    challenge = f'Bearer realm="{quoted}",service="s",scope="repository:a:pull"'
    registry.script = lambda _seen: Answer(401, {"WWW-Authenticate": challenge.encode("utf-8").decode("latin-1")})
    registry.requests.clear()
    for thief in thieves:
        thief.requests.clear()
        thief.script = lambda _seen: Answer(200, {}, b'{"token":"stolen"}')
    with client(user=user, only=registry.host) as made, pytest.raises(PublishError) as caught:
        made.send(Request(method="GET", url=f"{registry.url}/v2/", scopes=("repository:a:pull",)))
    seen = [shown(one) for server in (registry, *thieves) for one in server.requests]
    assert [text for text in seen for canary in CANARIES if canary in text] == []
    assert [server.requests for server in thieves] == [[], [], []]
    said = f"{caught.value} {caught.value.hint} {caught.value.reference}"
    assert not any(canary in said for canary in CANARIES)
    assert caught.value.exit_code == 3
    assert registry.host in caught.value.message


def test_two_registries_never_see_each_others_password(registry: Server, thieves: tuple[Server, ...]) -> None:
    """In one run each gets its own."""
    for server in (registry, thieves[0]):
        server.requests.clear()
        server.script = lambda seen: Answer(
            200 if "Authorization" in seen.headers else 401, {"WWW-Authenticate": 'Basic realm="r"'}
        )
    words = {registry.host: "first-word", thieves[0].host: "second-word"}
    client = Client(lambda host, _path: Credential("u", words[host]), lambda _host: HostSettings(), retry_policy=QUICK)
    for host in words:
        assert client.send(Request(method="GET", url=f"http://{host}/v2/")).status == 200
    client.close()
    for server, word in ((registry, "first-word"), (thieves[0], "second-word")):
        sent = {seen.headers["Authorization"] for seen in server.requests if "Authorization" in seen.headers}
        assert sent == {"Basic " + base64.b64encode(f"u:{word}".encode()).decode()}


def test_a_trusted_realm_gets_the_password_and_nobody_else(registry: Server, thieves: tuple[Server, ...]) -> None:
    """`trusted-realms` is the user's own word."""
    service = thieves[0]
    service.requests.clear()
    service.script = lambda _seen: Answer(200, {}, b'{"token":"good"}')
    registry.requests.clear()
    registry.script = lambda seen: Answer(
        200 if seen.headers.get("Authorization") == "Bearer good" else 401,
        {"WWW-Authenticate": f'Bearer realm="{service.url}/token",service="s"'},
    )
    settings = {registry.host: HostSettings(trusted_realms=frozenset({service.host}))}
    with client(settings=settings) as made:
        response = made.send(Request(method="GET", url=f"{registry.url}/v2/", scopes=("repository:a:pull",)))
    assert response.status == 200
    assert service.requests[0].headers["Authorization"].startswith("Basic ")
    assert not any(canary in shown(seen) for seen in registry.requests for canary in CANARIES)


def test_a_realm_that_redirects_is_not_followed(registry: Server, thieves: tuple[Server, ...]) -> None:
    """The password went to the registry's own realm; where that points it doesn't go."""
    thief = thieves[0]
    thief.requests.clear()
    registry.script = lambda seen: (
        Answer(307, {"Location": f"{thief.url}/token"})
        if seen.path.startswith("/token")
        else Answer(401, {"WWW-Authenticate": f'Bearer realm="{registry.url}/token"'})
    )
    with client() as made, pytest.raises(PublishError, match="307 instead of a token"):
        made.send(Request(method="GET", url=f"{registry.url}/v2/"))
    assert thief.requests == []
