"""A GitHub job's identity, exchanged for a secret of Docker Hub's registry, against token services of the tests."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest

from publisher.credentials.oidc import OidcCredentials
from publisher.http.retry import RetryPolicy
from publisher.model.credential import Absent, Broken, Present
from tests.support.http_server import Answer, Server, ServerRequest, client, serve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from publisher.model.credential import Answer as Found_
    from tests.support.command import Publish

CONNECTION = "2f1c0a4e-0000-4000-8000-000000000000"
BEARER, ID_TOKEN, SECRET = "canary-bearer", "canary.id.token", "canary-registry-secret"


class Services:
    """GitHub's service and Docker's, strict: anything else than what they are told to get is refused."""

    def __init__(self, opened: ExitStack) -> None:
        self.limited = 0
        self.github: Server = opened.enter_context(serve(self.give_id))
        self.docker: Server = opened.enter_context(serve(self.exchange))
        self.learnt: list[str] = []
        self._client = opened.enter_context(
            client(user="", retry_policy=RetryPolicy(tries=7, first=0.001, longest=0.002))
        )
        self.environ = {
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{self.github.url}/token?api-version=2",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": BEARER,
            "DOCKERHUB_OIDC_CONNECTIONID": CONNECTION,
        }

    def give_id(self, seen: ServerRequest) -> Answer:
        """As GitHub does."""
        query = parse_qs(urlsplit(seen.path).query)
        right = query == {"api-version": ["2"], "audience": ["https://identity.docker.com"]}
        if seen.headers.get("Authorization") != f"Bearer {BEARER}" or not right or seen.method != "GET":
            return Answer(401)
        return Answer(body=json.dumps({"value": ID_TOKEN}).encode())

    def exchange(self, seen: ServerRequest) -> Answer:
        """As Docker does."""
        if self.limited:
            self.limited -= 1
            return Answer(429, {"Retry-After": "0"})
        wanted = {
            "grant_type": ["urn:ietf:params:oauth:grant-type:token-exchange"],
            "subject_token_type": ["urn:ietf:params:oauth:token-type:id_token"],
            "subject_token": [ID_TOKEN],
            "connection_id": [CONNECTION],
            "expires_in": ["300"],
        }
        if parse_qs(seen.body.decode()) != wanted or "Authorization" in seen.headers or seen.path != "/oauth/token":
            return Answer(400)
        return Answer(body=json.dumps({"access_token": SECRET}).encode())

    def source(self, **more: str) -> OidcCredentials:
        """The source, in such a job."""
        environ = {name: value for name, value in {**self.environ, **more}.items() if value}
        return OidcCredentials(environ, lambda: self._client, self.learnt.append, self.docker.url)


@pytest.fixture
def services() -> Iterator[Services]:
    """Both, running."""
    with ExitStack() as opened:
        yield Services(opened)


def test_a_job_signs_in_without_a_secret(services: Services) -> None:
    """As the organization that the repository belongs to, once for the whole run, for the registry only."""
    source = services.source()
    found, again = source.find("docker.io", "acme/app"), source.find("docker.io", "acme/app")
    assert isinstance(found, Present)
    assert found == again
    assert (found.credential.username, found.credential.secret) == ("acme", SECRET)
    assert (found.credential.source, found.credential.registry_only) == ("GitHub OIDC", True)
    assert (len(services.github.requests), len(services.docker.requests)) == (1, 1)
    assert services.learnt == [ID_TOKEN, SECRET]


def test_the_organization_can_be_named(services: Services) -> None:
    """Where no repository tells."""
    named = services.source(DOCKERHUB_USERNAME="other").find("docker.io", "acme/app")
    assert isinstance(named, Present)
    assert named.credential.username == "other"
    assert isinstance(services.source().find("docker.io"), Broken)


def test_nothing_is_asked_for_other_registries(services: Services) -> None:
    """Nor where no connection is named."""
    assert services.source().find("ghcr.io", "acme/app") == Absent()
    assert services.source(DOCKERHUB_OIDC_CONNECTIONID="").find("docker.io", "acme/app") == Absent()
    assert not services.github.requests


def test_a_busy_service_is_waited_for(services: Services) -> None:
    """429 with Retry-After is no refusal."""
    services.limited = 3
    assert isinstance(services.source().find("docker.io", "acme/app"), Present)


@pytest.mark.parametrize(
    "change",
    [
        {"ACTIONS_ID_TOKEN_REQUEST_URL": ""},
        {"ACTIONS_ID_TOKEN_REQUEST_TOKEN": ""},
        {"ACTIONS_ID_TOKEN_REQUEST_TOKEN": "canary-wrong"},
        {"ACTIONS_ID_TOKEN_REQUEST_TOKEN": "canary-bearer\nX: 1"},
        {"ACTIONS_ID_TOKEN_REQUEST_TOKEN": "canary-☃"},
        {"ACTIONS_ID_TOKEN_REQUEST_URL": "http://github.example/token"},
        {"DOCKERHUB_OIDC_CONNECTIONID": "canary-other"},
        {"DOCKERHUB_OIDC_EXPIREIN": "299"},
        {"DOCKERHUB_OIDC_EXPIREIN": "21601"},
        {"DOCKERHUB_OIDC_EXPIREIN": "soon"},
    ],
    ids=str,
)
def test_what_is_missing_is_told(change: dict[str, str], services: Services) -> None:
    """A broken source stops the search; no token is told."""
    answer: Found_ = services.source(**change).find("docker.io", "acme/app")
    assert isinstance(answer, Broken)
    assert "id-token: write" in answer.hint
    assert "canary" not in answer.reason + answer.hint


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"value":5}', b'{"value":""}', b'{"value":"a\\nb"}'])
def test_answers_without_a_token(body: bytes, services: Services) -> None:
    """Are no sign-in."""
    services.github.script = lambda _seen: Answer(body=body)
    assert isinstance(services.source().find("docker.io", "acme/app"), Broken)


def test_a_release_stops_where_oidc_is_broken(publish: Publish) -> None:
    """It never goes on as anonymous, and never takes half of a pair for one."""
    given = {"DOCKERHUB_OIDC_CONNECTIONID": CONNECTION, "DOCKERHUB_USERNAME": "acme"}
    result = publish("whoami", "docker.io", "--format", "json", environ=given)
    assert (result.code, result.document["kind"]) == (3, "broken-credential")
    assert "GitHub OIDC" in result.stderr
