"""The client against small servers in the test process."""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
import trustme

from publisher.http.client import Client
from publisher.http.message import ConnectionLost, Request
from publisher.http.retry import RetryPolicy
from publisher.http.tls import HostSettings
from publisher.model.credential import Credential
from publisher.model.errors import Denied, QuotaUsedUp, TlsFailed, Unreachable, VerificationFailed
from tests.support.http_server import CLOSED, Answer, Script, Server, ServerRequest, in_turn
from tests.support.http_server import serve as serve_script

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MEL = Credential("mel", "c4nary-word", "a test")
BASIC = "Basic " + base64.b64encode(b"mel:c4nary-word").decode()
PUSH = "repository:a/b:pull,push"
NOW = 1_700_000_000.0


OK = Answer(body=b"ok")

Serve = Callable[..., Server]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start servers that end with the test."""
    with contextlib.ExitStack() as stack:
        yield lambda script=None, context=None: stack.enter_context(serve_script(script, context=context))


@dataclass
class Bench:
    """A client, the time that it believes in, and what it traced."""

    credential: Credential | None = None
    hosts: dict[str, HostSettings] = field(default_factory=dict)
    time: float = 0.0
    slept: list[float] = field(default_factory=list)
    trace: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        retry_policy = RetryPolicy(sleep=self._sleep, clock=lambda: self.time, now=lambda: NOW + self.time)
        self.client = Client(
            lambda _host, _repository: self.credential,
            lambda host: self.hosts.get(host, HostSettings()),
            trace=self.trace.append,
            retry_policy=retry_policy,
        )

    def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds

    def get(self, server: Server, path: str = "/v2/", **more: Any) -> tuple[int, bytes]:
        """Status and body of a GET."""
        with self.client.send(Request(method="GET", url=self.client.base_url(server.host) + path, **more)) as answer:
            return answer.status, answer.content


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """A client whose waits take no time."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    made = Bench()
    yield made
    made.client.close()


def basic(seen: ServerRequest) -> Answer:
    """A registry that wants mel's password."""
    if seen.headers.get("authorization") == BASIC:
        return OK
    return Answer(401, {"WWW-Authenticate": 'Basic realm="x"'})


@dataclass
class Tokens:
    """A registry with its own token service at `base` + /token; only the newest token is good."""

    base: str = ""
    life: int = 300
    given: int = 0
    path: str = "/token"
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, seen: ServerRequest) -> Answer:
        """Give a token, or want one."""
        with self.lock:
            if not seen.path.startswith("/v2/"):
                self.given += 1
                token = {"token": f"opaque-t0ken-{self.given}", "expires_in": self.life}
                return Answer(body=json.dumps(token).encode())
            good = f"Bearer opaque-t0ken-{self.given}"
        if seen.headers.get("authorization") == good:
            return OK
        challenge = f'Bearer realm="{self.base}{self.path}",service="reg",scope="{PUSH}"'
        return Answer(401, {"WWW-Authenticate": challenge})


@pytest.fixture
def tokens(serve: Serve) -> tuple[Tokens, Server]:
    """A registry that wants tokens."""
    answer = Tokens()
    server = serve(answer)
    answer.base = server.url
    return answer, server


def test_basic_is_sent_once_it_is_asked_for(serve: Serve, bench: Bench) -> None:
    """The first request goes without; from then on each has it at once."""
    bench.credential = MEL
    server = serve(basic)
    assert bench.get(server) == (200, b"ok")
    assert bench.get(server) == (200, b"ok")
    assert server.values("authorization") == [None, BASIC, BASIC]


def test_a_wrong_password_is_sent_once(serve: Serve, bench: Bench) -> None:
    """The 401 is returned, for the room above to tell."""
    bench.credential = Credential("mel", "wrong-word")
    server = serve(basic)
    assert bench.get(server)[0] == 401
    assert len(server.requests) == 2


def test_a_token_is_got_with_the_scopes_of_the_request(tokens: tuple[Tokens, Server], bench: Bench) -> None:
    """The password goes to the token service alone, the token to the registry alone."""
    bench.credential = MEL
    _answer, server = tokens
    assert bench.get(server, scopes=(PUSH, "repository:c:pull")) == (200, b"ok")
    first, asked, second = server.requests
    assert "authorization" not in first.headers
    assert asked.headers["authorization"] == BASIC
    assert parse_qs(urlsplit(asked.path).query)["scope"] == [PUSH, "repository:c:pull"]
    assert second.headers["authorization"] == "Bearer opaque-t0ken-1"


@pytest.mark.parametrize("identity", [False, True], ids=["password", "identity token"])
def test_a_realm_may_have_no_path(tokens: tuple[Tokens, Server], bench: Bench, identity: bool) -> None:
    """`realm="https://host"` is a whole address."""
    bench.credential = Credential("<token>", "c4nary-refresh") if identity else MEL
    answer, server = tokens
    answer.path = ""
    assert bench.get(server, scopes=(PUSH,)) == (200, b"ok")


def test_a_token_is_renewed_before_it_runs_out(tokens: tuple[Tokens, Server], bench: Bench) -> None:
    """So that no request is refused for it."""
    bench.credential = MEL
    answer, server = tokens
    bench.get(server, scopes=(PUSH,))
    bench.time = answer.life - 1.0
    assert bench.get(server, scopes=(PUSH,)) == (200, b"ok")
    assert [seen.path.partition("?")[0] for seen in server.requests] == ["/v2/", "/token", "/v2/", "/token", "/v2/"]


def test_a_token_that_is_refused_early_is_renewed_once(tokens: tuple[Tokens, Server], bench: Bench) -> None:
    """A registry may forget its tokens."""
    bench.credential = MEL
    answer, server = tokens
    bench.get(server, scopes=(PUSH,))
    answer.given += 1
    assert bench.get(server, scopes=(PUSH,)) == (200, b"ok")
    assert answer.given == 3


def test_a_storm_of_eight_threads_makes_one_renewal(serve: Serve, bench: Bench) -> None:
    """All eight are refused together, and all get the one new token."""
    bench.credential = MEL
    answer = Tokens()
    barrier = threading.Barrier(8)

    def stormy(seen: ServerRequest) -> Answer:
        if seen.headers.get("authorization") == "Bearer opaque-t0ken-1" and answer.given == 2:
            barrier.wait(10)
        return answer(seen)

    server = serve(stormy)
    answer.base = server.url
    bench.get(server, scopes=(PUSH,))
    answer.given = 2
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _n: bench.get(server, scopes=(PUSH,)), range(8)))
    assert found == [(200, b"ok")] * 8
    assert answer.given == 3


def test_a_token_without_the_right_is_no_endless_loop(serve: Serve, bench: Bench) -> None:
    """A second 401 is the answer."""
    bench.credential = MEL
    answer = Tokens()
    server = serve(lambda seen: answer(ServerRequest(seen.method, seen.path, {}, b"")))
    answer.base = server.url
    assert bench.get(server, scopes=(PUSH,))[0] == 401
    assert answer.given == 1


def test_a_foreign_realm_sees_no_credentials(serve: Serve, bench: Bench) -> None:
    """Another port of the same address is foreign, and isn't even asked."""
    bench.credential = MEL
    other = serve(in_turn(OK))
    server = serve(in_turn(Answer(401, {"WWW-Authenticate": f'Bearer realm="{other.url}/token"'})))
    with pytest.raises(Denied):
        bench.get(server, scopes=(PUSH,))
    assert other.requests == []


def test_a_token_service_that_is_down_is_not_asked_by_tries_squared(serve: Serve, bench: Bench) -> None:
    """The retries at the token service are all there are."""
    bench.credential = MEL
    answer = Tokens()
    server = serve(lambda seen: answer(seen) if seen.path.startswith("/v2/") else Answer(503))
    answer.base = server.url
    with pytest.raises(Unreachable, match="503"):
        bench.get(server, scopes=(PUSH,))
    assert len(server.requests) == 1 + RetryPolicy().tries


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_redirect_elsewhere_leaves_authorization_behind(status: int, method: str, serve: Serve, bench: Bench) -> None:
    """Cookies and X- headers too; the rest arrives."""
    bench.credential = MEL
    other = serve(in_turn(OK))
    location = {"Location": f"{other.url}/blob?signature=1%2B2", "Set-Cookie": "session=c4nary"}
    server = serve(lambda seen: Answer(status, location) if basic(seen).status == 200 else basic(seen))
    url = bench.client.base_url(server.host) + "/v2/app/blobs/x"
    headers = {"Accept": "a/b", "X-Own": "c4nary", "Cookie": "own=c4nary"}
    with bench.client.send(Request(method=method, url=url, headers=headers)) as answer:
        assert answer.status == 200
    (seen,) = other.requests
    assert (seen.method, seen.path, seen.headers["accept"]) == (method, "/blob?signature=1%2B2", "a/b")
    assert "c4nary" not in str(seen)
    assert not {"authorization", "cookie", "x-own"} & seen.headers.keys()


def test_a_redirect_at_home_keeps_authorization(serve: Serve, bench: Bench) -> None:
    """The origin is the same."""
    bench.credential = MEL

    def answer(seen: ServerRequest) -> Answer:
        return Answer(307, {"Location": "/v2/there"}) if seen.path == "/v2/here" else basic(seen)

    server = serve(answer)
    assert bench.get(server, "/v2/here") == (200, b"ok")
    assert server.values("authorization") == [None, None, BASIC, BASIC]


def test_a_401_from_elsewhere_is_no_login(serve: Serve, bench: Bench) -> None:
    """Whoever was redirected to asks in vain."""
    bench.credential = MEL
    other = serve(basic)
    server = serve(lambda _seen: Answer(307, {"Location": other.url}))
    assert bench.get(server)[0] == 401
    assert other.values("authorization") == [None]


@pytest.mark.parametrize("status", [301, 302, 303])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_a_write_is_never_turned_into_a_read(method: str, status: int, serve: Serve, bench: Bench) -> None:
    """Its success would say nothing about what was asked for."""
    other = serve(in_turn(OK))
    server = serve(lambda _seen: Answer(status, {"Location": other.url}))
    with bench.client.send(Request(method=method, url=f"{server.url}/v2/", body=b"x")) as answer:
        assert answer.status == status
    assert other.requests == []


@pytest.mark.parametrize("status", [307, 308])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_a_write_keeps_method_and_body_elsewhere(method: str, status: int, serve: Serve, bench: Bench) -> None:
    """Though not its Authorization."""
    bench.credential = MEL
    other = serve(in_turn(OK))
    location = {"Location": other.url}
    server = serve(lambda seen: Answer(status, location) if basic(seen).status == 200 else basic(seen))
    with bench.client.send(Request(method=method, url=f"{server.url}/v2/", body=b"x")) as answer:
        assert answer.status == 200
    (seen,) = other.requests
    assert (seen.method, seen.body) == (method, b"x")
    assert "authorization" not in seen.headers


def test_a_body_that_can_be_sent_only_once_is_not_redirected(serve: Serve, bench: Bench) -> None:
    """It is gone; the sender gets the Location."""
    other = serve(in_turn(OK))
    server = serve(lambda _seen: Answer(307, {"Location": other.url, "Connection": "close"}))
    request = Request(method="PUT", url=f"{server.url}/v2/", headers={"Content-Length": "0"}, body=iter([]))
    with bench.client.send(request) as answer:
        assert answer.status == 307
    assert other.requests == []


def test_redirects_end(serve: Serve, bench: Bench) -> None:
    """After five."""
    server = serve(lambda seen: Answer(302, {"Location": seen.path + "x"}))
    with pytest.raises(Unreachable, match="more than 5 redirects"):
        bench.get(server)
    assert len(server.requests) == 6


def test_netrc_is_never_read(serve: Serve, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither for the registry nor for whom it redirects to."""
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login mel password c4nary\ndefault login mel password c4nary\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(netrc))
    other = serve(in_turn(OK))
    server = serve(in_turn(Answer(401, {"WWW-Authenticate": "Basic"}), Answer(302, {"Location": other.url})))
    assert bench.get(server)[0] == 401
    assert bench.get(server)[0] == 200
    assert server.values("authorization") + other.values("authorization") == [None, None, None]


@pytest.mark.parametrize("wait", ["30", "Tue, 14 Nov 2023 22:13:50 GMT"], ids=["seconds", "date"])
def test_retry_after_is_obeyed(wait: str, serve: Serve, bench: Bench) -> None:
    """To the second, and by whoever comes next as well."""
    server = serve(in_turn(Answer(429, {"Retry-After": wait}), OK))
    assert bench.get(server) == (200, b"ok")
    assert bench.time == 30


def test_a_wait_beyond_patience_is_an_error(serve: Serve, bench: Bench) -> None:
    """A job doesn't wait for hours: it ends at once, and says how long."""
    server = serve(in_turn(Answer(429, {"Retry-After": "7200"})))
    with pytest.raises(QuotaUsedUp, match="7,200 seconds"):
        bench.get(server)
    assert bench.time == 0
    assert len(server.requests) == 1


def test_six_failures_in_a_row_are_survived(serve: Serve, bench: Bench) -> None:
    """With growing pauses."""
    server = serve(in_turn(*[Answer(503)] * 6, OK))
    assert bench.get(server) == (200, b"ok")
    assert len(bench.slept) == 6
    assert 0 < bench.time < 30


@pytest.mark.parametrize("status", [408, 429, 499, 500, 502, 504, 522])
def test_any_temporary_answer_is_survived(status: int, serve: Serve, bench: Bench) -> None:
    """Once is no failure."""
    assert bench.get(serve(in_turn(Answer(status), OK))) == (200, b"ok")


def test_a_failure_that_stays_is_returned(serve: Serve, bench: Bench) -> None:
    """After nine tries."""
    server = serve(in_turn(Answer(503, body=b"why")))
    assert bench.get(server) == (503, b"why")
    assert len(server.requests) == 9


@pytest.mark.parametrize("status", [400, 403, 404, 501])
def test_a_refusal_is_asked_for_once(status: int, serve: Serve, bench: Bench) -> None:
    """It doesn't get better."""
    server = serve(in_turn(Answer(status)))
    assert bench.get(server)[0] == status
    assert len(server.requests) == 1


def test_a_used_up_pull_quota_ends_at_once(serve: Serve, bench: Bench) -> None:
    """It comes back in hours, so nobody waits."""
    body = b'{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your pull rate limit."}]}'
    server = serve(in_turn(Answer(429, body=body)))
    with pytest.raises(QuotaUsedUp):
        bench.get(server)
    assert len(server.requests) == 1


def test_an_abuse_limit_in_plain_text_is_waited_for(serve: Serve, bench: Bench) -> None:
    """It passes in a minute."""
    refusal = Answer(429, {"Retry-After": "60"}, b"Too Many Requests (HAP429).\n")
    assert bench.get(serve(in_turn(refusal, OK))) == (200, b"ok")
    assert bench.time == 60


def test_a_cut_connection_is_tried_again(serve: Serve, bench: Bench) -> None:
    """Before the answer or in its middle."""
    cut = Answer(200, {"Content-Length": "9"}, b"half", end="close")
    assert bench.get(serve(in_turn(OK, CLOSED, cut, OK))) == (200, b"ok")
    assert bench.get(serve(in_turn(cut, CLOSED, OK))) == (200, b"ok")


def test_a_body_that_can_be_sent_only_once_is_not_sent_again(serve: Serve, bench: Bench) -> None:
    """Whoever has it must say where to go on."""
    server = serve(in_turn(CLOSED))
    request = Request(method="PUT", url=f"{server.url}/v2/", body=iter([b"x"]))
    with pytest.raises(ConnectionLost):
        bench.client.send(request)
    assert len(server.requests) == 1


def test_a_refused_connection_is_told(bench: Bench) -> None:
    """With the host, after few tries: nobody was ever there."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        host = f"127.0.0.1:{taken.getsockname()[1]}"
    with pytest.raises(Unreachable, match=f"{host} refuses connections"):
        bench.client.send(Request(method="GET", url=f"http://{host}/v2/"))
    assert len(bench.slept) == 2


def test_an_unknown_name_is_told(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the host, and where to look."""

    def unknown(*_arguments: object, **_more: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(Unreachable, match=r"registry\.invalid is not known to DNS"):
        bench.client.send(Request(method="GET", url="https://registry.invalid/v2/"))


def test_a_broken_connection_is_not_called_refused(serve: Serve, bench: Bench) -> None:
    """Though the repository has such a name."""
    with pytest.raises(Unreachable, match="broke"):
        bench.get(serve(in_turn(CLOSED)), "/v2/refused/getaddrinfo/tags/list")


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """An authority that nobody knows."""
    return trustme.CA()


@pytest.fixture
def secure(authority: trustme.CA, serve: Serve) -> Callable[[Script], Server]:
    """Start servers with its certificates."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return lambda script: serve(script, context)


Secure = Callable[[Script], Server]


def test_an_unknown_authority_is_refused_at_once(secure: Secure, bench: Bench) -> None:
    """Nothing is sent, nothing is tried again."""
    server = secure(in_turn(OK))
    with pytest.raises(TlsFailed):
        bench.client.send(Request(method="GET", url=f"{server.url}/v2/"))
    assert server.requests == []
    assert bench.slept == []


def test_an_authority_can_be_named(secure: Secure, authority: trustme.CA, bench: Bench, tmp_path: Path) -> None:
    """`ca-bundle`; then plain HTTP is not even tried, on loopback too."""
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    server = secure(basic)
    bench.credential = MEL
    bench.hosts[server.host] = HostSettings(ca_bundle=tmp_path / "ca.pem")
    assert bench.get(server) == (200, b"ok")
    assert server.values("authorization") == [None, BASIC]


def test_insecure_does_without(secure: Secure, bench: Bench) -> None:
    """Authorisation works on a host whose scheme was found out by trying."""
    server = secure(basic)
    bench.credential = MEL
    bench.hosts[server.host] = HostSettings(insecure=True)
    assert bench.get(server) == (200, b"ok")
    assert server.values("authorization") == [None, BASIC]


def test_a_redirect_follows_the_scheme_that_was_found_out(secure: Secure, bench: Bench) -> None:
    """A relative Location belongs to the address that answered."""
    server = secure(lambda seen: OK if seen.path == "/there" else Answer(307, {"Location": "/there"}))
    bench.hosts[server.host] = HostSettings(insecure=True)
    assert bench.get(server) == (200, b"ok")


def test_insecure_is_for_one_host_only(secure: Secure, bench: Bench) -> None:
    """Before and after, another host is checked."""
    one, other = secure(in_turn(OK)), secure(in_turn(OK))
    bench.hosts[one.host] = HostSettings(insecure=True)
    for _ in range(2):
        assert bench.get(one) == (200, b"ok")
        with pytest.raises(TlsFailed):
            bench.client.send(Request(method="GET", url=f"{other.url}/v2/"))
    assert other.requests == []


def test_tls_is_never_left(secure: Secure, serve: Serve, bench: Bench) -> None:
    """A redirect to plain HTTP is refused."""
    plain = serve(in_turn(OK))
    server = secure(lambda _seen: Answer(302, {"Location": plain.url}))
    bench.hosts[server.host] = HostSettings(insecure=True)
    with pytest.raises(VerificationFailed, match="from https to http"):
        bench.get(server)
    assert plain.requests == []


def test_the_trace_shows_no_secret(tokens: tuple[Tokens, Server], bench: Bench) -> None:
    """Neither password nor token nor what an address may hold."""
    bench.credential = MEL
    _answer, server = tokens
    bench.get(server, "/v2/app?_state=c4nary", scopes=(PUSH,))
    shown = "\n".join(bench.trace)
    assert len(bench.trace) == 3
    assert "/token?service=reg&scope=repository:a/b:pull,push" in shown
    assert "c4nary" not in shown
    assert "opaque-t0ken" not in shown


def test_an_error_shows_no_signed_address(serve: Serve, bench: Bench) -> None:
    """A download that breaks off names its address without the query."""
    other = serve(in_turn(Answer(200, {"Content-Length": "9"}, b"half", end="close")))
    server = serve(lambda _seen: Answer(302, {"Location": f"{other.url}/blob?signature=c4nary"}))
    with pytest.raises(ConnectionLost) as caught:
        bench.get(server)
    assert "c4nary" not in f"{caught.value.message} {caught.value.reference} {caught.value.hint}"
