"""Certificates on the wire: each refusal says why, and trust in one host is trust in no other."""

from __future__ import annotations

import datetime as dt
import socket
import ssl
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest
import trustme
from msgspec.structs import replace
from urllib3 import Timeout

from publisher.http import connection
from publisher.http.message import Request
from publisher.http.tls import HostSettings
from publisher.model.errors import Denied, TlsFailed, Unreachable
from tests.support.http_server import QUICK, Answer, basic_only, client, serve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """A certificate authority that no machine knows."""
    return trustme.CA()


@pytest.fixture
def trusting(authority: trustme.CA, tmp_path: Path) -> HostSettings:
    """Settings that know it."""
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    return HostSettings(ca_bundle=tmp_path / "ca.pem")


def server_context(authority: trustme.CA, name: str = "127.0.0.1", days: int = 5) -> ssl.SSLContext:
    """A server's side, with a certificate for `name` that ends in so many days."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    expires = dt.datetime.now(dt.UTC) + dt.timedelta(days=days)
    authority.issue_cert(name, not_after=expires).configure_cert(context)
    return context


@pytest.mark.parametrize(
    ("name", "days", "why"),
    [
        pytest.param("127.0.0.2", 5, "for another address", id="other-address"),
        pytest.param("127.0.0.1", -1, "expired", id="expired"),
    ],
)
def test_a_wrong_certificate_is_refused_with_its_reason(
    name: str, days: int, why: str, authority: trustme.CA, trusting: HostSettings
) -> None:
    """At once, and before a request is sent."""
    with (
        serve(context=server_context(authority, name, days)) as server,
        client(settings={server.host: trusting}) as made,
        pytest.raises(TlsFailed, match=why),
    ):
        made.send(Request(method="GET", url=f"{server.url}/v2/"))
    assert server.requests == []


def test_an_unknown_authority_is_refused_with_the_way_out(authority: trustme.CA) -> None:
    """The hint names the setting."""
    with (
        serve(context=server_context(authority)) as server,
        client() as made,
        pytest.raises(TlsFailed) as caught,
    ):
        made.send(Request(method="GET", url=f"{server.url}/v2/"))
    assert "ca-bundle" in (caught.value.hint or "")
    assert server.requests == []


def test_trust_and_mistrust_alternate_in_one_client(authority: trustme.CA) -> None:
    """A connection that was made without verifying is never used where verifying is due (CVE-2024-35195)."""
    context = server_context(authority)
    with (
        serve({"GET /x": Answer()}, context=context) as careless,
        serve(context=context) as careful,
        client(user="", settings={careless.host: HostSettings(insecure=True)}) as made,
    ):
        for _ in range(3):
            assert made.send(Request(method="GET", url=f"{careless.url}/x")).status == 200
            with pytest.raises(TlsFailed):
                made.send(Request(method="GET", url=f"{careful.url}/x"))
    assert careful.requests == []


def test_our_certificate_is_shown(authority: trustme.CA, trusting: HostSettings, tmp_path: Path) -> None:
    """A server that wants one takes it; without it the hint says what is missing."""
    context = server_context(authority)
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)
    leaf = authority.issue_cert("client.example")
    leaf.private_key_and_cert_chain_pem.write_to_path(tmp_path / "client.pem")
    ours = HostSettings(ca_bundle=trusting.ca_bundle, client_cert=tmp_path / "client.pem")
    with serve({"GET /x": Answer()}, context=context) as server:
        with client(user="", settings={server.host: ours}) as made:
            assert made.send(Request(method="GET", url=f"{server.url}/x")).status == 200
        with client(user="", settings={server.host: trusting}) as made, pytest.raises(Unreachable):
            made.send(Request(method="GET", url=f"{server.url}/x"))


def test_a_loopback_registry_with_tls_is_found_out(authority: trustme.CA) -> None:
    """Plain HTTP is tried first there; an insecure host's certificate isn't checked after that."""
    with (
        serve(basic_only, context=server_context(authority)) as server,
        client(settings={server.host: HostSettings(insecure=True)}) as made,
    ):
        url = made.base_url(server.host)
        assert url.startswith("http://")
        assert made.send(Request(method="GET", url=f"{url}/v2/")).status == 200
        assert made.base_url(server.host).startswith("https://")
    assert [("Authorization" in seen.headers) for seen in server.requests] == [False, True]


@pytest.mark.parametrize("insecure", [True, False])
def test_plain_http_is_for_insecure_hosts_only(insecure: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host by name that speaks no TLS: reached without it where the configuration says so, else TlsFailed."""
    import socket

    real = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *a, **k: real("127.0.0.1" if host == "registry.test" else host, *a, **k)
    )
    with serve(basic_only) as server:
        host = f"registry.test:{server.port}"
        with client(settings={host: HostSettings(insecure=insecure)}) as made:
            request = Request(method="GET", url=f"{made.base_url(host)}/v2/")
            if insecure:
                assert made.send(request).status == 200
            else:
                with pytest.raises(TlsFailed, match="doesn't speak TLS"):
                    made.send(request)
    assert bool(server.requests) == insecure


def test_no_password_leaves_in_the_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    """An http address of another machine gets none, even if a caller writes it so."""
    import socket

    real = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *a, **k: real("127.0.0.1", *a, **k))
    with serve(basic_only) as server, client() as made, pytest.raises(Denied, match="without TLS"):
        made.send(Request(method="GET", url=f"http://registry.test:{server.port}/v2/"))
    assert all("Authorization" not in seen.headers for seen in server.requests)


def test_another_certificate_in_mid_run_is_refused(authority: trustme.CA, trusting: HostSettings) -> None:
    """A host that becomes another one between two requests gets no second one."""
    ending = Answer(headers={"Connection": "close"}, end="close")
    with serve({"GET /x": ending}, context=server_context(authority)) as first:
        settings = {first.host: trusting}
        with client(user="", settings=settings) as made:
            assert made.send(Request(method="GET", url=f"{first.url}/x")).status == 200
            first.context = server_context(authority, "127.0.0.2")
            with pytest.raises(TlsFailed, match="for another address"):
                made.send(Request(method="GET", url=f"{first.url}/x"))
    assert len(first.requests) == 1


@pytest.mark.parametrize("pause", [0, 0.02], ids=["silence", "drip"])
def test_a_handshake_that_stalls_is_given_up(pause: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time for a connection is that of the handshake as a whole, however it drips."""
    monkeypatch.setattr(connection, "_TIMEOUT", Timeout(connect=0.3, read=60))
    record = b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc\x03\x03" + bytes(2000)
    began = time.monotonic()
    with (
        _stalling(record, pause) as port,
        client(retry_policy=replace(QUICK, tries=1)) as made,
        pytest.raises(Unreachable) as caught,
    ):
        made.send(Request(method="GET", url=f"https://127.0.0.1:{port}/x"))
    assert caught.value.exit_code == 6
    assert time.monotonic() - began < 5


@contextmanager
def _stalling(record: bytes, pause: float) -> Iterator[int]:
    """A server that begins its side of a handshake and never ends it."""
    ended = threading.Event()

    def serve_one(connected: socket.socket) -> None:
        with connected, suppress(OSError):
            for byte in record if pause else b"":
                connected.sendall(bytes([byte]))
                if ended.wait(pause):
                    return
            ended.wait(30)

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=serve_one, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            ended.set()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


OPENED = b"HTTP/1.1 200 Connection established\r\n\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(OPENED + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", id="speaks-for-the-registry"),
        pytest.param(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000, id="header-without-end"),
        pytest.param(b"HTTP/1.1 302 Found\r\nLocation: http://login.example/\r\n\r\n", id="leads-to-a-login"),
        pytest.param(b"HTTP/1.1 407 Who?\r\nProxy-Authenticate: Basic\r\n\r\n", id="asks-for-a-login"),
        pytest.param(b"<html>pay here</html>", id="no-http"),
        pytest.param(b"HTTP/1.1 103 Hints\r\n\r\n" * 20, id="interim-without-end"),
    ],
)
def test_a_proxy_never_answers_for_a_registry(answer: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it says instead of opening the way is an error with exit code 6, and it sees no credential."""
    with serve(lambda _request: Answer(0, body=answer, end="close")) as proxy:
        for name in ("HTTPS_PROXY", "https_proxy"):
            monkeypatch.setenv(name, proxy.url)
        with client(retry_policy=replace(QUICK, tries=1)) as made, pytest.raises(Unreachable) as caught:
            made.send(Request(method="GET", url="https://registry.test/v2/"))
    assert caught.value.exit_code == 6
    assert not any("Authorization" in str(dict(request.headers)) for request in proxy.requests)
