"""What can go wrong on the wire: broken, slow, huge and odd answers; where connections may go."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from publisher.http import framing, limits, message
from publisher.http.message import ConnectionLost, Request
from publisher.http.tls import HostSettings
from publisher.model.errors import BadManifest, ConfigError, Unreachable, VerificationFailed
from tests.support.http_server import QUICK, Answer, ServerRequest, basic_only, client, serve, serve_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\ngood"
BROKEN = {
    "nothing": b"",
    "half-a-status-line": b"HTTP/1.1 20",
    "garbage": b"\x16\x03\x01 what?\r\n\r\n",
    "garbage-status": b"HTTP/1.1 abc OK\r\n\r\n",
    "status-out-of-range": b"HTTP/1.1 99999 OK\r\n\r\n",
    "half-a-header": b"HTTP/1.1 200 OK\r\nContent-Le",
    "header-line-too-long": b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000 + b"\r\n\r\n",
    "too-many-headers": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
    "short-body": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\ngood",
    "no-body": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n",
    "chunk-cut": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\ngood",
    "last-chunk-missing": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngood\r\n",
    "chunk-size-garbage": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\ngood\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("then", ["close", "reset"])
@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_answer_is_asked_for_again(broken: bytes, then: str) -> None:
    """Whole answers only: a cut one never passes for the content."""
    with serve_bytes(broken, broken, GOOD, then=then) as host, client() as made:
        response = made.send(Request(method="GET", url=f"{made.base_url(host)}/v2/"))
        assert (response.status, response.content) == (200, b"good")


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN.keys())
def test_an_answer_that_stays_broken_is_an_error(broken: bytes) -> None:
    """Unreachable, exit 6, naming the host; no other kind of exception escapes."""
    with serve_bytes(broken) as host, client() as made, pytest.raises(Unreachable) as caught:
        made.send(Request(method="GET", url=f"{made.base_url(host)}/v2/?signature=c4nary"))
    assert host in f"{caught.value.message} {caught.value.reference}"
    assert "c4nary" not in f"{caught.value} {caught.value.reference}"
    assert caught.value.exit_code == 6


CUTS = {name: text for name, text in BROKEN.items() if "body" in name or "chunk" in name}


@pytest.mark.parametrize("broken", CUTS.values(), ids=CUTS.keys())
def test_a_stream_that_breaks_off_says_so(broken: bytes) -> None:
    """Its reader gets what came, then ConnectionLost, never a quiet end."""
    with (
        serve_bytes(broken) as host,
        client() as made,
        made.send(Request(method="GET", url=f"{made.base_url(host)}/blob", stream=True)) as response,
    ):
        pieces: list[bytes] = []
        with pytest.raises(ConnectionLost):
            pieces.extend(response.stream(2))
    assert b"good".startswith(b"".join(pieces))


def test_a_body_that_can_be_sent_only_once_is_lost_as_such() -> None:
    """Whoever sends it must find out how much has arrived."""
    with serve_bytes(b"") as host, client() as made, pytest.raises(ConnectionLost):
        made.send(Request(method="PATCH", url=f"{made.base_url(host)}/u", body=iter([b"a", b"b"])))


def test_a_temporary_answer_to_such_a_body_is_returned() -> None:
    """It isn't sent again: there is nothing left to send."""
    with serve(lambda _seen: Answer(503)) as server, client() as made:
        request = Request(method="PATCH", url=f"{made.base_url(server.host)}/u", body=iter([b"a", b"b"]))
        assert made.send(request).status == 503
    assert [seen.body for seen in server.requests] == [b"ab"]


def test_bodies_stream_both_ways_with_little_memory() -> None:
    """64 MiB up in pieces, 64 MiB down in pieces; neither is ever whole."""
    piece, count = bytes(1 << 20), 64
    sent = 0

    def pieces() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(count):
            sent += 1
            yield piece

    received: list[int] = []

    def answer(request: ServerRequest) -> Answer:
        if request.method == "PATCH":
            received.append(sum(map(len, request.pieces())))
            return Answer(202)
        return Answer(200, {}, bytes(count << 20))

    with serve(answer, streams=True) as server, client() as sender:
        response = sender.send(Request(method="PATCH", url=f"{server.url}/u", body=pieces()))
        assert response.status == 202
        with sender.send(Request(method="GET", url=f"{server.url}/blob", stream=True)) as blob:
            assert sum(len(part) for part in blob.stream() if len(part) <= 1 << 20) == count << 20
    assert sent == count
    assert received == [count << 20]


def test_connections_are_used_again() -> None:
    """Fifty requests, with and without bodies, errors among them: one connection."""
    statuses = itertools.cycle([200, 404, 201, 204, 401])
    with (
        serve(lambda seen: Answer(next(statuses), {}, b"" if seen.method == "PUT" else b"x")) as server,
        client(user="") as made,
    ):
        url = made.base_url(server.host)
        for method in ("GET", "HEAD", "POST", "PUT", "DELETE") * 10:
            body = b"content" if method in {"POST", "PUT"} else None
            made.send(Request(method=method, url=f"{url}/x", body=body)).close()
    assert len({seen.peer for seen in server.requests}) == 1


def test_the_challenge_is_remembered() -> None:
    """Only the first request goes without authorisation."""
    with serve(basic_only) as server, client() as made:
        for _ in range(3):
            assert made.send(Request(method="GET", url=f"{made.base_url(server.host)}/x")).status == 200
    assert ["Authorization" in seen.headers for seen in server.requests] == [False, True, True, True]


def test_no_compression_is_asked_for_or_undone() -> None:
    """A compressed bomb stays as small as it came."""
    with (
        serve(lambda _seen: Answer(200, {"Content-Encoding": "gzip"}, b"\x1f\x8b not really")) as server,
        client() as made,
    ):
        response = made.send(Request(method="GET", url=f"{made.base_url(server.host)}/x"))
    assert response.content == b"\x1f\x8b not really"
    assert server.requests[0].headers["Accept-Encoding"] == "identity"
    assert server.requests[0].headers["User-Agent"].startswith("publish/")


def endless(head: bytes) -> bytes:
    """An answer that says it is 10 GiB long; 17 MiB of it come."""
    return head + b"Content-Length: 10737418240\r\n\r\n" + bytes(17 << 20)


def test_a_document_that_is_too_large_is_refused() -> None:
    """16 MiB, of which the reader keeps no more."""
    with (
        serve_bytes(endless(b"HTTP/1.1 200 OK\r\n")) as host,
        client() as made,
        pytest.raises(BadManifest, match="larger than 16,777,216 bytes"),
    ):
        made.send(Request(method="GET", url=f"{made.base_url(host)}/x"))


@pytest.mark.parametrize("status", [b"404 Not Found", b"302 Found"])
def test_an_error_is_cut_at_its_limit(status: bytes) -> None:
    """64 KiB say enough; a redirect's body is no more than an error's."""
    with serve_bytes(endless(b"HTTP/1.1 " + status + b"\r\n")) as host, client() as made:
        response = made.send(Request(method="GET", url=f"{made.base_url(host)}/x"))
    assert len(response.content) == limits.ERROR_CAP


def test_a_document_that_drips_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte now and then keeps no request alive beyond its time."""
    monkeypatch.setattr(message.Response.__init__, "__kwdefaults__", {"most": 100, "seconds": 0.15})
    began = time.monotonic()
    with (
        serve({"GET /x": Answer(200, {}, b"H" * 1000, pause=0.05)}) as server,
        client(retry_policy=replace(QUICK, tries=1)) as made,
        pytest.raises(ConnectionLost, match="too slowly"),
    ):
        made.send(Request(method="GET", url=f"{server.url}/x"))
    assert time.monotonic() - began < 2


def test_a_header_that_drips_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """So does none of a header."""
    monkeypatch.setattr(framing, "HEAD_SECONDS", 0.15)
    began = time.monotonic()
    with (
        serve({"GET /x": Answer(0, {}, b"H" * 1000, pause=0.05)}) as server,
        client(retry_policy=replace(QUICK, tries=1)) as made,
        pytest.raises(Unreachable),
    ):
        made.send(Request(method="GET", url=f"{server.url}/x"))
    assert time.monotonic() - began < 2


@pytest.fixture
def two_worlds(monkeypatch: pytest.MonkeyPatch) -> None:
    """127.0.0.1 is a public address, names under .test lead there, and inner.test to 127.0.0.2, a private one."""
    real = socket.getaddrinfo

    def local(host: Any, *rest: Any, **options: Any) -> Any:
        address = {"inner.test": "127.0.0.2"}.get(str(host), "127.0.0.1" if str(host).endswith(".test") else host)
        return real(address, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", local)
    monkeypatch.setattr("publisher.http.origin.is_private", lambda host: host == "127.0.0.2")


def test_a_redirect_to_a_name_of_an_inner_address_is_refused(two_worlds: None) -> None:
    """The address that is connected to decides, before a byte is sent."""
    with serve(address="127.0.0.2") as inner:
        location = f"http://inner.test:{inner.port}/secret"
        with (
            serve(lambda _seen: Answer(307, {"Location": location})) as public,
            client(user="") as made,
            pytest.raises(VerificationFailed, match="private network"),
        ):
            made.send(Request(method="GET", url=f"http://registry.test:{public.port}/x"))
    assert inner.requests == []


def test_an_upload_that_leads_to_an_inner_address_is_refused(two_worlds: None) -> None:
    """Its Location comes back as a request without credentials, to a host that nobody named."""
    with serve(address="127.0.0.2") as inner, client(user="") as made:
        request = Request(method="PUT", url=f"http://inner.test:{inner.port}/u", body=b"layer", anonymous=True)
        with pytest.raises(VerificationFailed, match="private network"):
            made.send(request)
    assert inner.requests == []


def test_a_private_registry_may_lead_to_its_like(two_worlds: None) -> None:
    """A name that means an inner address from the start is the user's own choice."""
    with serve({"GET /blob": Answer()}, address="127.0.0.2") as storage:
        location = f"http://inner.test:{storage.port}/blob"
        with (
            serve(lambda _seen: Answer(307, {"Location": location}), address="127.0.0.2") as registry,
            client(user="") as made,
        ):
            response = made.send(Request(method="GET", url=f"http://inner.test:{registry.port}/x"))
    assert response.status == 200


def test_a_realm_with_a_name_of_an_inner_address_is_refused(two_worlds: None) -> None:
    """An anonymous token isn't worth a request into a private network either."""
    with serve(address="127.0.0.2") as inner:
        challenge = f'Bearer realm="http://inner.test:{inner.port}/token"'
        with (
            serve(lambda _seen: Answer(401, {"WWW-Authenticate": challenge})) as public,
            client(user="") as made,
            pytest.raises(VerificationFailed, match="private network"),
        ):
            made.send(Request(method="GET", url=f"http://registry.test:{public.port}/x"))
    assert inner.requests == []


def test_a_proxy_is_used_and_keeps_its_password_to_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTP_PROXY sees the request and its own login; no trace line shows it."""
    lines: list[str] = []
    with serve(lambda seen: Answer(200, {}, seen.path.encode())) as proxy:
        for name in ("no_proxy", "NO_PROXY", "http_proxy"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("HTTP_PROXY", f"http://u:proxyword@{proxy.host}")
        monkeypatch.setenv("http_proxy", f"http://u:proxyword@{proxy.host}")
        with client(user="", trace=lines.append) as made:
            response = made.send(Request(method="GET", url="http://registry.test/v2/"))
    assert response.content == b"http://registry.test/v2/"
    assert "Proxy-Authorization" in proxy.requests[0].headers
    assert "proxyword" not in "".join(lines)


def test_no_proxy_is_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hosts that it names, and networks, are reached directly."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with serve({"GET /x": Answer()}) as server:
        for text in ("127.0.0.1", f"other.test, {server.host}", "10.0.0.0/8, 127.0.0.0/8", "*"):
            monkeypatch.setenv("no_proxy", text)
            with client(user="") as connected:
                assert connected.send(Request(method="GET", url=f"{server.url}/x")).status == 200


def test_an_address_of_a_missing_bundle_is_a_configuration_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """SSL_CERT_FILE that isn't there is named, not called a network failure."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "absent.pem"))
    with client(user="") as made, pytest.raises(ConfigError, match=r"absent\.pem"):
        made.send(Request(method="GET", url="https://127.0.0.1:9/x"))


def test_a_trace_is_one_line_a_request() -> None:
    """Method, address with harmless values only, status, time."""
    lines: list[str] = []
    with serve(basic_only) as server, client(trace=lines.append) as made:
        made.send(Request(method="GET", url=f"{server.url}/v2/x?n=5&_state=c4nary"))
    shown = [line.rpartition(" (")[0] for line in lines]
    assert shown == [f"GET {server.url}/v2/x?n=5&_state=*** -> {status}" for status in (401, 200)]


def test_sixteen_threads_keep_sixteen_connections() -> None:
    """The pool is as large as the work."""
    barrier = threading.Barrier(16, timeout=5)

    def meet(_seen: ServerRequest) -> Answer:
        barrier.wait()
        return Answer()

    with serve(meet) as server, client(user="", settings={server.host: HostSettings()}) as made:
        for _round in range(2):
            threads = [
                threading.Thread(target=made.send, args=(Request(method="GET", url=f"{server.url}/x"),))
                for _ in range(16)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    assert len({seen.peer for seen in server.requests}) == 16
