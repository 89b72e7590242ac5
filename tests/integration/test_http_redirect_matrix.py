"""Redirects: each status, each kind of target, each method; what arrives there and what must not."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from publisher.http.message import Request
from publisher.http.tls import HostSettings
from tests.support.http_server import Answer, ServerRequest, accept_all, client, serve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.http_server import Server

NAME = "registry.test"
STATUSES = (301, 302, 303, 307, 308)
METHODS = ("HEAD", "GET", "POST", "PUT", "PATCH")
TARGETS = ("same", "port", "scheme", "host", "sub-domain")


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names under .test are this machine: no other DNS is asked."""
    real = socket.getaddrinfo

    def local(host: Any, *rest: Any, **options: Any) -> Any:
        return real("127.0.0.1" if str(host).endswith(".test") else host, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", local)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[trustme.CA, Path]:
    """A certificate authority, and its file."""
    made, path = trustme.CA(), tmp_path_factory.mktemp("authority") / "ca.pem"
    made.cert_pem.write_to_path(path)
    return made, path


@pytest.fixture(scope="module")
def secure(authority: tuple[trustme.CA, Path]) -> Iterator[Server]:
    """The same host by https."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority[0].issue_cert(NAME).configure_cert(context)
    with serve(accept_all, context=context) as running:
        yield running


@pytest.fixture(scope="module")
def other() -> Iterator[Server]:
    """Another port."""
    with serve(accept_all) as running:
        yield running


@pytest.fixture(scope="module")
def home() -> Iterator[Server]:
    """The registry: wants Basic, and redirects by what the path says."""
    with serve(accept_all) as running:
        yield running


def target_of(kind: str, home: Server, other: Server, secure: Server) -> tuple[str, Server]:
    """Where a redirect leads, and who answers there."""
    return {
        "same": (f"http://{NAME}:{home.port}/there", home),
        "port": (f"http://{NAME}:{other.port}/there", other),
        "scheme": (f"https://{NAME}:{secure.port}/there", secure),
        "host": (f"http://other.test:{other.port}/there", other),
        "sub-domain": (f"http://cdn.{NAME}:{other.port}/there", other),
    }[kind]


def redirecting(status: int, location: str) -> Any:
    """A registry that wants Basic, and then leads to `location`."""

    def answer(seen: ServerRequest) -> Answer:
        if "Authorization" not in seen.headers:
            return Answer(401, {"WWW-Authenticate": 'Basic realm="r"'})
        if seen.path == "/there":
            return Answer(200, {}, b"there")
        return Answer(status, {"Location": location, "Set-Cookie": "session=c4nary"}, b"go there")

    return answer


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("status", STATUSES)
def test_a_redirect_takes_no_secret_along(
    status: int,
    kind: str,
    method: str,
    home: Server,
    other: Server,
    secure: Server,
    authority: tuple[trustme.CA, Path],
) -> None:
    """Reads follow all five, writes only 307 and 308, method and body kept; secrets go to the same origin only."""
    location, there = target_of(kind, home, other, secure)
    home.script = redirecting(status, location)
    for server in (home, other, secure):
        server.requests.clear()
    settings = {
        f"{NAME}:{home.port}": HostSettings(insecure=True),
        f"{NAME}:{secure.port}": HostSettings(ca_bundle=authority[1]),
    }
    body = b"content" if method in {"POST", "PUT", "PATCH"} else None
    headers = {"X-Key": "c4nary", "Cookie": "c4nary", "Content-Type": "a/b"}
    with client(settings=settings, only=f"{NAME}:{home.port}") as made:
        url = f"http://{NAME}:{home.port}/here"
        response = made.send(Request(method=method, url=url, body=body, headers=headers))
        response.close()
    arrived = [seen for seen in there.requests if seen.path == "/there"]
    if body is not None and status not in {307, 308}:
        assert (response.status, arrived) == (status, [])
        return
    assert response.status == 200
    assert response.url == location
    [seen] = arrived
    assert (seen.method, seen.body, seen.headers["Content-Type"]) == (method, body or b"", "a/b")
    is_same = kind == "same"
    assert ("Authorization" in seen.headers, "X-Key" in seen.headers) == (is_same, is_same)
    assert "session" not in seen.headers.get("Cookie", "")
    assert is_same or "c4nary" not in repr(seen)


def test_secrets_stay_behind_for_good(home: Server, other: Server) -> None:
    """Back at the first origin by another's redirect, nothing is sent again."""
    home.requests.clear()
    home.script = redirecting(307, f"http://{NAME}:{other.port}/back")
    other.script = lambda _seen: Answer(307, {"Location": f"http://{NAME}:{home.port}/there"})
    with client(settings={f"{NAME}:{home.port}": HostSettings(insecure=True)}, only=f"{NAME}:{home.port}") as made:
        response = made.send(Request(method="GET", url=f"http://{NAME}:{home.port}/here"))
    other.script = lambda _seen: Answer()
    [back] = [seen for seen in home.requests if seen.path == "/there"]
    assert response.status == 401
    assert "Authorization" not in back.headers
