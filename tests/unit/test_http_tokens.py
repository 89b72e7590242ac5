"""Authorisation by Basic and Bearer, with a token service that is a function."""

from __future__ import annotations

import base64
import io
import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
import urllib3

from publisher.http.authorization import Authorizer
from publisher.http.limits import ERROR_CAP
from publisher.http.message import Request, Response
from publisher.http.origin import Origin
from publisher.http.redaction import Redactor
from publisher.http.tls import HostSettings
from publisher.model.credential import Credential
from publisher.model.errors import Denied, Unreachable

if TYPE_CHECKING:
    from collections.abc import Iterator

ORIGIN = Origin("https", "registry.example", 443)
REALM = "https://registry.example/token"
PULL = "repository:a/b:pull"
PUSH = "repository:a/b:pull,push"
MEL = Credential("mel", "c4nary-word", "a test")
IDENTITY = Credential("<token>", "c4nary-refresh", "a test")
GET = Request(method="GET", url="https://registry.example/v2/", scopes=(PULL,))


def answer(status: int, headers: dict[str, str], body: bytes = b"", url: str = REALM) -> Response:
    """An answer as it comes from the wire."""
    raw = urllib3.HTTPResponse(io.BytesIO(body), headers, status, preload_content=False)
    return Response(raw, url, stream=False)


def refusal(challenge: str) -> Response:
    """A 401."""
    return answer(401, {"WWW-Authenticate": challenge}, url=GET.url)


def bearer(realm: str = REALM, scope: str = PULL, **more: str) -> Response:
    """A 401 that asks for a token."""
    pairs = {"realm": realm, "service": "registry.example", "scope": scope, **more}
    return refusal("Bearer " + ",".join(f'{key}="{value}"' for key, value in pairs.items() if value))


@dataclass
class Service:
    """A token service, and the clock that its tokens are counted by."""

    credential: Credential | None = MEL
    trusted: tuple[str, ...] = ()
    status: int = 200
    document: dict[str, Any] = field(default_factory=dict)
    body: bytes | None = None
    time: float = 0.0
    requests: list[Request] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    redactor: Redactor = field(default_factory=Redactor)

    def fetch(self, request: Request, _led_by: Origin | None) -> Response:
        """Give the n-th token."""
        with self.lock:
            self.requests.append(request)
            number = len(self.requests)
        document = self.document or {"token": f"token-{number}", "expires_in": 300}
        return answer(self.status, {}, self.body if self.body is not None else json.dumps(document).encode())

    def authorizer(self) -> Authorizer:
        """Authorisation by this service."""
        return Authorizer(
            lambda _host, _repository: self.credential,
            lambda _host: HostSettings(trusted_realms=frozenset(self.trusted)),
            self.fetch,
            self.redactor,
            lambda: self.time,
        )

    def query(self) -> dict[str, list[str]]:
        """What the last request asked."""
        return parse_qs(urlsplit(self.requests[-1].url).query)


@pytest.fixture
def service() -> Service:
    """A service that gives tokens to mel."""
    return Service()


def test_nothing_is_sent_before_it_is_asked_for(service: Service) -> None:
    """The first request goes without authorisation."""
    assert service.authorizer().header(ORIGIN, GET) is None


def test_basic_is_the_pair_in_base64(service: Service) -> None:
    """In UTF-8, and remembered for the next request."""
    service.credential = Credential("m\u00e9l", "w\u00f6rd:x")
    authorizer = service.authorizer()
    expected = "Basic " + base64.b64encode("m\u00e9l:w\u00f6rd:x".encode()).decode()
    assert authorizer.answer(ORIGIN, GET, refusal('Basic realm="x"'), None) == expected
    assert authorizer.header(ORIGIN, GET) == expected


def test_what_one_origin_asked_for_goes_to_no_other(service: Service) -> None:
    """Neither another port nor another scheme."""
    authorizer = service.authorizer()
    authorizer.answer(ORIGIN, GET, refusal("Basic"), None)
    assert authorizer.header(Origin("https", "registry.example", 5000), GET) is None
    assert authorizer.header(Origin("http", "registry.example", 443), GET) is None


def test_basic_that_was_refused_is_not_sent_again(service: Service) -> None:
    """The same pair gets no better."""
    authorizer = service.authorizer()
    used = authorizer.answer(ORIGIN, GET, refusal("Basic"), None)
    assert authorizer.answer(ORIGIN, GET, refusal("Basic"), used) is None


@pytest.mark.parametrize("anonymous", [True, False], ids=["asked to be", "without credentials"])
def test_basic_needs_credentials(service: Service, anonymous: bool) -> None:
    """Without them the 401 stands."""
    if not anonymous:
        service.credential = None
    request = Request(method="GET", url=GET.url, anonymous=anonymous)
    assert service.authorizer().answer(ORIGIN, request, refusal("Basic"), None) is None


def test_an_identity_token_is_never_a_password(service: Service) -> None:
    """Basic can't be had by it."""
    service.credential = IDENTITY
    with pytest.raises(Denied):
        service.authorizer().answer(ORIGIN, GET, refusal("Basic"), None)


def test_bearer_is_preferred(service: Service) -> None:
    """Where both are offered."""
    both = refusal(f'Basic realm="x", Bearer realm="{REALM}"')
    assert service.authorizer().answer(ORIGIN, GET, both, None) == "Bearer token-1"


def test_a_token_is_asked_for_by_basic(service: Service) -> None:
    """With the service, one parameter for each scope in the request's order, and the account."""
    scopes = (PUSH, "repository:c:pull")
    request = Request(method="POST", url=GET.url, scopes=scopes)
    assert service.authorizer().answer(ORIGIN, request, bearer(), None) == "Bearer token-1"
    assert service.query() == {
        "service": ["registry.example"],
        "scope": [*scopes],
        "account": ["mel"],
        "client_id": ["publish"],
    }
    assert service.requests[0].headers["Authorization"].startswith("Basic ")


def test_a_realms_own_query_stays(service: Service) -> None:
    """Ours comes behind it."""
    service.authorizer().answer(ORIGIN, GET, bearer(REALM + "?tenant=x%2By"), None)
    assert service.requests[0].url.startswith(REALM + "?tenant=x%2By&service=")


def test_a_service_that_is_not_named_is_not_sent(service: Service) -> None:
    """Nor guessed."""
    service.authorizer().answer(ORIGIN, GET, refusal(f'Bearer realm="{REALM}"'), None)
    assert "service" not in service.query()


def test_without_credentials_the_token_is_anonymous(service: Service) -> None:
    """No Authorization, no account; another public host may give it."""
    service.credential = None
    assert service.authorizer().answer(ORIGIN, GET, bearer("https://login.example/t"), None) == "Bearer token-1"
    assert service.requests[0].headers == {}
    assert "account" not in service.query()


FOREIGN = ["https://evil.example/token", "http://registry.example/token", "https://127.0.0.1/token", ""]


@pytest.mark.parametrize("realm", FOREIGN)
def test_a_foreign_realm_gets_nothing(service: Service, realm: str) -> None:
    """Not even a request."""
    with pytest.raises(Denied):
        service.authorizer().answer(ORIGIN, GET, bearer(realm), None)
    assert service.requests == []


def test_a_realm_inside_gets_no_anonymous_request_either(service: Service) -> None:
    """A public registry can't make us ask in a private network."""
    service.credential = None
    with pytest.raises(Denied):
        service.authorizer().answer(ORIGIN, GET, bearer("https://10.0.0.1/token"), None)
    assert service.requests == []


def test_a_trusted_realm_gets_credentials(service: Service) -> None:
    """By the user's own word."""
    service.trusted = ("login.example",)
    service.authorizer().answer(ORIGIN, GET, bearer("https://login.example/t"), None)
    assert "Authorization" in service.requests[0].headers


def test_a_realm_that_changes_is_an_attack(service: Service) -> None:
    """Even to one that would be trusted."""
    service.trusted = ("login.example",)
    authorizer = service.authorizer()
    used = authorizer.answer(ORIGIN, GET, bearer(), None)
    with pytest.raises(Denied, match="changed its token service"):
        authorizer.answer(ORIGIN, GET, bearer("https://login.example/t"), used)


def test_an_identity_token_goes_by_the_refresh_form(service: Service) -> None:
    """In a body, never in an address or as a password."""
    service.credential = IDENTITY
    service.authorizer().answer(ORIGIN, GET, bearer(), None)
    (request,) = service.requests
    assert isinstance(request.body, bytes)
    form = parse_qs(request.body.decode())
    assert (request.method, request.url) == ("POST", REALM)
    assert form["grant_type"] == ["refresh_token"]
    assert form["refresh_token"] == ["c4nary-refresh"]
    assert form["scope"] == [PULL]
    assert "Authorization" not in request.headers


def test_a_token_is_kept_until_most_of_its_life_is_over(service: Service) -> None:
    """Then a new one is got before the registry has to refuse the old."""
    authorizer = service.authorizer()
    authorizer.answer(ORIGIN, GET, bearer(), None)
    service.time = 239
    assert authorizer.header(ORIGIN, GET) == "Bearer token-1"
    service.time = 241
    assert authorizer.header(ORIGIN, GET) == "Bearer token-2"


LIVES: dict[str, tuple[dict[str, Any], float]] = {
    "absent": ({}, 48),
    "null": ({"expires_in": None}, 48),
    "text": ({"expires_in": "300"}, 48),
    "zero": ({"expires_in": 0}, 48),
    "negative": ({"expires_in": -5}, 48),
    "fraction": ({"expires_in": 10.0}, 8),
    "clock of the service": ({"expires_in": 10, "issued_at": "1999-01-01T00:00:00Z"}, 8),
    "huge": ({"expires_in": 10**400}, 48),
}


@pytest.mark.parametrize(("document", "life"), LIVES.values(), ids=LIVES.keys())
def test_the_life_of_a_token(service: Service, document: dict[str, Any], life: float) -> None:
    """60 seconds where nothing usable is said; counted from its arrival."""
    service.document = {"token": "abc", **document}
    authorizer = service.authorizer()
    authorizer.answer(ORIGIN, GET, bearer(), None)
    service.time = life - 1
    authorizer.header(ORIGIN, GET)
    assert len(service.requests) == 1
    service.time = life + 1
    authorizer.header(ORIGIN, GET)
    assert len(service.requests) == 2


def test_a_challenge_never_widens_to_everything(service: Service) -> None:
    """What wasn't wanted is taken from it only where it does no harm."""
    authorizer = service.authorizer()
    used = authorizer.answer(ORIGIN, GET, bearer(), None)
    authorizer.answer(ORIGIN, GET, bearer(scope="repository:a/b:delete,* registry:catalog:*"), used)
    assert service.query()["scope"] == [PULL]


def test_no_more_than_a_token_is_read(service: Service) -> None:
    """Of a token service's answer 64 KiB are enough."""
    service.authorizer().answer(ORIGIN, GET, bearer(), None)
    assert service.requests[0].most == ERROR_CAP


def test_credentials_are_not_sent_without_tls(service: Service) -> None:
    """Outside of loopback, unless the configuration says `insecure`."""
    plain = Origin("http", "registry.example", 80)
    with pytest.raises(Denied, match="without TLS"):
        service.authorizer().answer(plain, GET, refusal("Basic"), None)


def test_each_scope_has_its_own_token(service: Service) -> None:
    """A token for reading isn't sent for writing, and no more is asked for than needed."""
    authorizer = service.authorizer()
    authorizer.answer(ORIGIN, GET, bearer(), None)
    writing = Request(method="POST", url=GET.url, scopes=(PUSH,))
    assert authorizer.header(ORIGIN, writing) == "Bearer token-2"
    assert authorizer.header(ORIGIN, GET) == "Bearer token-1"
    assert service.query()["scope"] == [PUSH]


def test_anonymous_tokens_are_kept_apart(service: Service) -> None:
    """A request without credentials never gets a token that was got by them."""
    authorizer = service.authorizer()
    authorizer.answer(ORIGIN, GET, bearer(), None)
    nobody = Request(method="GET", url=GET.url, scopes=(PULL,), anonymous=True)
    assert authorizer.header(ORIGIN, nobody) == "Bearer token-2"
    assert service.requests[1].headers == {}


def test_a_refused_token_is_renewed_with_what_was_missing(service: Service) -> None:
    """The challenge's scopes are added, and the better token is the one used from then on."""
    authorizer = service.authorizer()
    used = authorizer.answer(ORIGIN, GET, bearer(), None)
    better = authorizer.answer(ORIGIN, GET, bearer(scope=PUSH, error="insufficient_scope"), used)
    assert better == "Bearer token-2"
    assert service.query()["scope"] == [PUSH]
    assert authorizer.header(ORIGIN, GET) == better


def test_a_storm_of_refusals_makes_one_renewal(service: Service) -> None:
    """Every thread gets the same new token."""
    authorizer = service.authorizer()
    used = authorizer.answer(ORIGIN, GET, bearer(), None)
    with ThreadPoolExecutor(8) as pool:
        headers = {*pool.map(lambda _n: authorizer.answer(ORIGIN, GET, bearer(), used), range(8))}
    assert headers == {"Bearer token-2"}
    assert len(service.requests) == 2


@pytest.fixture
def _hasty_threads() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("_hasty_threads")
def test_threads_that_begin_together_share_one_token() -> None:
    """Though none of them has a lock yet."""
    for _ in range(50):
        service = Service()
        authorizer = service.authorizer()
        barrier = threading.Barrier(8)

        def start(_number: int, authorizer: Authorizer = authorizer, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            authorizer.answer(ORIGIN, GET, bearer(), None)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(start, range(8)))
        assert len(service.requests) == 1


DOCUMENTS: dict[str, tuple[dict[str, Any], str]] = {
    "token": ({"token": "abc"}, "Bearer abc"),
    "access_token": ({"access_token": "abc"}, "Bearer abc"),
    "both": ({"token": "old", "access_token": "abc"}, "Bearer abc"),
    "empty access_token": ({"token": "abc", "access_token": ""}, "Bearer abc"),
}


@pytest.mark.parametrize(("document", "header"), DOCUMENTS.values(), ids=DOCUMENTS.keys())
def test_either_name_of_the_token_will_do(service: Service, document: dict[str, Any], header: str) -> None:
    """`access_token` goes first."""
    service.document = document
    assert service.authorizer().answer(ORIGIN, GET, bearer(), None) == header


BODIES = {
    "empty": b"",
    "no JSON": b"<html>",
    "no object": b'["token"]',
    "no token": b"{}",
    "null": b'{"token": null}',
    "number": b'{"token": 1}',
    "line break": b'{"token": "a\\r\\nX-Evil: 1"}',
    "space": b'{"token": "a b"}',
    "not ASCII": '{"token": "\u00e4"}'.encode(),
    "not UTF-8": b'{"token": "\xff"}',
    "deep": b'{"token":' + b"[" * 30_000,
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_a_token_that_can_not_be_used_is_said_to_be_so(service: Service, body: bytes) -> None:
    """Nothing of it gets into a header or a message."""
    service.body = body
    with pytest.raises(Unreachable, match="without a token that can be used"):
        service.authorizer().answer(ORIGIN, GET, bearer(), None)


REFUSALS = [
    (400, Denied),
    (401, Denied),
    (403, Denied),
    (404, Denied),
    (405, Denied),
    (302, Unreachable),
    (503, Unreachable),
]


@pytest.mark.parametrize(("status", "error"), REFUSALS)
def test_no_token(service: Service, status: int, error: type[Exception]) -> None:
    """A refusal is the user's matter, anything else the service's."""
    service.status = status
    with pytest.raises(error) as caught:
        service.authorizer().answer(ORIGIN, GET, bearer(), None)
    assert "c4nary" not in str(caught.value)


def test_a_refusal_names_the_user_and_where_the_password_came_from(service: Service) -> None:
    """Though never the password."""
    service.status = 401
    with pytest.raises(Denied, match=r"mel \(from a test\)"):
        service.authorizer().answer(ORIGIN, GET, bearer(), None)


def test_a_scheme_that_is_not_spoken_is_named(service: Service) -> None:
    """Exit 3."""
    with pytest.raises(Denied, match="negotiate"):
        service.authorizer().answer(ORIGIN, GET, refusal("Negotiate"), None)


def test_a_401_without_a_challenge_stands(service: Service) -> None:
    """There is nothing to answer."""
    assert service.authorizer().answer(ORIGIN, GET, answer(401, {}), None) is None


def test_a_challenge_that_can_not_be_read_is_an_error(service: Service) -> None:
    """It isn't guessed at."""
    with pytest.raises(Unreachable, match="can't be read"):
        service.authorizer().answer(ORIGIN, GET, refusal('Bearer realm="a", realm="b"'), None)


def test_secrets_and_tokens_are_told_to_the_redactor(service: Service) -> None:
    """Before anything could show them."""
    service.document = {"token": "opaque-t0ken"}
    service.authorizer().answer(ORIGIN, GET, bearer(), None)
    assert service.redactor("c4nary-word opaque-t0ken") == "*** ***"
