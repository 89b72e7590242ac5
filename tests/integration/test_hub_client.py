"""The client of Docker Hub's API, against a server that is as strict as the data file."""

from __future__ import annotations

import base64
import json
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from publisher.hub.access import Access, organization_rights, personal_rights
from publisher.hub.repository import HubPage
from publisher.model.credential import Credential
from publisher.model.errors import (
    Denied,
    ImmutableTag,
    PublishError,
    QuotaUsedUp,
    Refused,
    Unreachable,
    VerificationFailed,
)
from publisher.model.reference import Repository
from tests.support.http_server import QUICK, Answer, Server, serve
from tests.support.http_server import client as as_client
from tests.support.hub import StrictHub

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CREDENTIAL = Credential("me", "dckr_pat_canary", "the test")
REPOSITORY = Repository.parse("acme/app")


@contextmanager
def page(hub: StrictHub, credential: Credential | None = CREDENTIAL) -> Iterator[tuple[HubPage, Server]]:
    """A repository's page; a request that the API doesn't describe fails the test at the end."""
    with serve(hub) as server, as_client(retry_policy=QUICK) as client:
        yield HubPage(Access(client, server.url, credential, lambda _secret: None), REPOSITORY), server


def test_a_repository_is_read() -> None:
    """Its settings, by the names that they have when read."""
    with page(StrictHub()) as (hub, _server):
        found = hub.get()
    assert (found.description, found.full_description, found.is_private) == ("text", "text", True)
    assert found.immutable.rules == ("^v[0-9]+$",)


def test_what_is_public_is_read_by_a_stranger() -> None:
    """Without a credential nobody signs in."""
    with page(StrictHub(), None) as (hub, server):
        assert hub.find()
    assert [seen.path for seen in server.requests] == ["/v2/namespaces/acme/repositories/app"]


def test_changes_are_sent_and_read_back() -> None:
    """Each call has the method, path and body that the API describes."""
    with page(StrictHub()) as (hub, server):
        hub.describe({"description": "text"})
        hub.set_immutable(["^v[0-9]+$"])
        hub.set_private(private=True)
        hub.create(private=True, description="text")
        assert hub.matching_tags("^v") == ("v1",)
        assert hub.delete_tag("old")
    assert [seen.path for seen in server.requests].count("/v2/auth/token") == 1
    assert not any("canary" in str(seen.headers) for seen in server.requests)


@pytest.mark.parametrize(
    "change",
    [
        lambda hub: hub.describe({"description": "other"}),
        lambda hub: hub.set_immutable(["^other$"]),
        lambda hub: hub.set_private(private=False),
    ],
)
def test_a_change_without_effect_is_found_out(change: Callable[[HubPage], None]) -> None:
    """A 200 proves nothing: the old value is still there."""
    with page(StrictHub()) as (hub, _server), pytest.raises(VerificationFailed, match="still"):
        change(hub)


def test_the_older_route_is_taken_where_the_newer_is_missing() -> None:
    """For descriptions and for tags."""
    absent = Answer(404, {}, b'{"message":"page not found"}')
    other = {
        "PATCH /v2/namespaces/{ns}/repositories/{repo}": absent,
        "DELETE /v2/namespaces/{ns}/repositories/{repo}/tags/{tag}": Answer(405),
    }
    with page(StrictHub(other)) as (hub, server):
        hub.describe({"description": "text"})
        assert hub.delete_tag("old")
    assert {"/v2/repositories/acme/app", "/v2/repositories/acme/app/tags/old"} <= {
        seen.path for seen in server.requests
    }


def test_tags_of_a_list_that_changes_come_once() -> None:
    """Lenient about what real answers leave out."""
    with page(StrictHub()) as (hub, _server):
        found = hub.tags()
    assert sorted(found) == ["a", "b"]
    assert (found["b"].images or ())[0].platform == "linux/arm64/v8"


def test_tokens_are_listed() -> None:
    """Personal ones, and an organization's, whose list counts under another name."""
    with serve(StrictHub()) as server, as_client(retry_policy=QUICK) as client:
        access = Access(client, server.url, CREDENTIAL, lambda _secret: None)
        assert personal_rights(access) == ("repo:write",)
        assert organization_rights(access, "acme") == ("acme/*: scope-image-push",)


def test_every_page_is_read() -> None:
    """As long as there is a next one."""

    def answer(seen: object) -> Answer:
        path = getattr(seen, "path", "")
        if path == "/v2/auth/token":
            return Answer(body=b'{"access_token":"t"}')
        number = int(path.partition("page=")[2] or 1) if "&page=" in path else 1
        following = f"{server.url}/v2/x?page_size=100&page={number + 1}" if number < 3 else ""
        return Answer(body=json.dumps({"next": following or None, "results": [{"name": f"t{number}"}]}).encode())

    with serve(answer) as server, as_client(retry_policy=QUICK) as client:
        hub = HubPage(Access(client, server.url, CREDENTIAL, lambda _secret: None), REPOSITORY)
        assert sorted(hub.tags()) == ["t1", "t2", "t3"]


@pytest.mark.parametrize("following", ["https://evil.example/v2/x", "//evil.example/x", "http://127.0.0.1:1/x"])
def test_no_page_on_another_host_is_followed(following: str) -> None:
    """The bearer would go along."""
    body = json.dumps({"next": following, "results": []}).encode()
    other = {"GET /v2/namespaces/{ns}/repositories/{repo}/tags": Answer(body=body)}
    with page(StrictHub(other)) as (hub, _server), pytest.raises(VerificationFailed, match="another host"):
        hub.tags()


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (Answer(403, {}, b'{"message":"no","detail":"other"}'), Denied, "no (HTTP 403)"),
        (Answer(401, {}, b'{"detail":"old"}'), Denied, "old"),
        (Answer(400, {}, b'{"fields":{"description":["too long"]},"text":"bad"}'), Refused, "description: too long"),
        (Answer(400, {}, b'{"errinfo":{"why":"x"},"message":"bad"}'), Refused, "bad; why: x"),
        (Answer(400, {}, b"<html>"), Refused, "<html>"),
        (Answer(400, {}, b"[1]"), Refused, "HTTP 400"),
        (Answer(500, {}, b""), Unreachable, "after retries"),
        (Answer(403, {}, b'{"message":"cannot be deleted due to immutability settings"}'), ImmutableTag, "immutab"),
        (Answer(429, {"Retry-After": "86400"}, b"Too Many Requests"), QuotaUsedUp, ""),
    ],
)
def test_refusals_say_why(answer: Answer, error: type[PublishError], said: str) -> None:
    """In whichever shape they come; and a hint names the right that is missing."""
    other = {"PATCH /v2/namespaces/{ns}/repositories/{repo}/immutabletags": answer}
    with page(StrictHub(other)) as (hub, _server), pytest.raises(error) as caught:
        hub.set_immutable(["^v$"])
    assert said in caught.value.message
    if type(caught.value) is Denied:
        assert "repo:admin" in (caught.value.hint or "")
        assert "scope-repository-settings-admin" in (caught.value.hint or "")


@pytest.mark.parametrize("header", ["Retry-After", "X-Retry-After"])
def test_a_limit_is_waited_for(header: str) -> None:
    """In seconds, or as the unix time that the documents once named."""
    seen: list[str] = []

    def answer(_seen: object) -> Answer:
        seen.append("asked")
        limited = Answer(429, {header: "0" if header == "Retry-After" else str(int(time.time()))}, b"Too Many Requests")
        return limited if len(seen) == 1 else Answer(body=b'{"name":"app"}')

    with serve(answer) as server, as_client(retry_policy=QUICK) as client:
        assert HubPage(Access(client, server.url, None, lambda _secret: None), REPOSITORY).find()
    assert len(seen) == 2


def test_a_refused_bearer_is_renewed_once() -> None:
    """A token that is refused in mid-run is replaced; a second refusal is told."""
    given: list[str] = []

    def answer(seen: object) -> Answer:
        if getattr(seen, "path", "") == "/v2/auth/token":
            given.append("token")
            return Answer(body=json.dumps({"access_token": f"t{len(given)}"}).encode())
        sent = getattr(seen, "headers", {})["Authorization"]
        return Answer(body=b'{"name":"app"}') if sent == "Bearer t2" else Answer(401, {}, b'{"detail":"expired"}')

    with serve(answer) as server, as_client(retry_policy=QUICK) as client:
        assert HubPage(Access(client, server.url, CREDENTIAL, lambda _secret: None), REPOSITORY).find()
    assert len(given) == 2


def test_a_bearer_is_renewed_before_it_ends() -> None:
    """Its end is written in it."""
    clock = [1000.0]
    given: list[str] = []

    def answer(seen: object) -> Answer:
        if getattr(seen, "path", "") == "/v2/auth/token":
            claims = base64.urlsafe_b64encode(json.dumps({"exp": clock[0] + 100}).encode()).rstrip(b"=").decode()
            given.append(claims)
            return Answer(body=json.dumps({"access_token": f"a.{claims}.b"}).encode())
        return Answer(body=b'{"name":"app"}')

    with serve(answer) as server, as_client(retry_policy=QUICK) as client:
        hub = HubPage(Access(client, server.url, CREDENTIAL, lambda _secret: None, lambda: clock[0]), REPOSITORY)
        hub.find()
        clock[0] += 60
        hub.find()
        assert len(given) == 1
        clock[0] += 20
        hub.find()
    assert len(given) == 2


def test_a_refused_sign_in_names_the_source() -> None:
    """And never the secret."""
    other = {"POST /v2/auth/token": Answer(401, {}, b'{"message":"incorrect"}')}
    with page(StrictHub(other)) as (hub, _server), pytest.raises(Denied) as caught:
        hub.find()
    assert "me (from the test)" in caught.value.message
    assert "canary" not in caught.value.message + str(caught.value.hint)


def test_an_answer_that_is_no_json_is_told() -> None:
    """A captive portal, or a proxy's page."""
    other = {"GET /v2/namespaces/{ns}/repositories/{repo}": Answer(200, {}, b"<html>")}
    with page(StrictHub(other)) as (hub, _server), pytest.raises(Unreachable, match="can't be read"):
        hub.find()
