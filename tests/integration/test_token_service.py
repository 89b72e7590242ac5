"""A real registry that takes tokens only, from a service on another host."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit
from urllib.request import Request, urlopen

import pytest

from tests.support.layout import make_layout
from tests.support.registry import SECRET, USER, run_registry
from tests.support.token_service import run_token_service

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.command import Publish
    from tests.support.registry import RegistryProcess, TokenService


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TokenService]:
    """The service."""
    with run_token_service(tmp_path_factory.mktemp("tokens")) as running:
        yield running


@pytest.fixture(scope="module")
def token_registry(tokens: TokenService, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryProcess]:
    """The registry."""
    with run_registry(tmp_path_factory.mktemp("registry"), tokens=tokens) as running:
        yield running


@pytest.fixture
def words(token_registry: RegistryProcess, publish: Publish, name: str, tmp_path: Path) -> list[str]:
    """A release to it."""
    make_layout(tmp_path / "layout", name)
    image = f"{token_registry.host}/{name}"
    return ["release", f"oci:{tmp_path / 'layout'}", "--image", image, "--version", "1.0.0", "--format", "json"]


def trust(publish: Publish, registry: RegistryProcess, tokens: TokenService) -> None:
    """Configure the service's host as the registry's."""
    host = urlsplit(tokens.realm).netloc
    (publish.home / "publish.toml").write_text(f'[registry."{registry.host}"]\ntrusted-realms = ["{host}"]\n')


def test_a_release_asks_for_its_repository_only(
    words: list[str], token_registry: RegistryProcess, tokens: TokenService, publish: Publish, name: str
) -> None:
    """With a trusted service the release goes through, and each token is for this repository."""
    trust(publish, token_registry, tokens)
    before = len(tokens.scopes)
    result = publish(*words, environ={"PUBLISH_USERNAME": USER, "PUBLISH_PASSWORD": SECRET})
    assert result.code == 0, result.stderr
    asked = {scope for scopes in tokens.scopes[before:] for scope in scopes}
    assert asked
    assert {scope.split(":")[1] for scope in asked} == {name}


@pytest.mark.parametrize(
    "environ",
    [
        pytest.param({}, id="anonymous"),
        pytest.param({"PUBLISH_USERNAME": USER, "PUBLISH_PASSWORD": "wrong"}, id="wrong-password"),
    ],
)
def test_who_may_not_push_sends_nothing(
    environ: dict[str, str],
    words: list[str],
    token_registry: RegistryProcess,
    tokens: TokenService,
    publish: Publish,
    name: str,
) -> None:
    """A token without push, or none at all: exit 3 before any byte of the image is sent."""
    trust(publish, token_registry, tokens)
    result = publish(*words, environ=environ)
    assert (result.code, result.document["kind"]) == (3, "denied"), result.stderr
    taken = [asked for asked in token_registry.requests() if name in asked.path and asked.status in {201, 202}]
    assert not taken


def test_a_foreign_service_gets_no_credential(words: list[str], tokens: TokenService, publish: Publish) -> None:
    """Where nobody trusts the service's host, it is not even asked: exit 3, and the hint says what to add."""
    before = len(tokens.scopes)
    result = publish(*words, environ={"PUBLISH_USERNAME": USER, "PUBLISH_PASSWORD": SECRET})
    assert result.code == 3, result.stderr
    assert "trusted-realms" in result.document["hint"]
    assert len(tokens.scopes) == before


def test_a_registry_token_is_sent_as_it_is(
    words: list[str], token_registry: RegistryProcess, tokens: TokenService, publish: Publish, name: str
) -> None:
    """`registrytoken` in docker's configuration is the bearer token itself: no service is asked for another."""
    scope = quote(f"repository:{name}:pull,push")
    login = base64.b64encode(f"{USER}:{SECRET}".encode()).decode()
    request = Request(f"{tokens.realm}?scope={scope}", headers={"Authorization": f"Basic {login}"})
    with urlopen(request, timeout=10) as response:
        token = json.load(response)["token"]
    before = len(tokens.scopes)
    config = json.dumps({"auths": {token_registry.host: {"registrytoken": token}}})
    result = publish(*words, environ={"DOCKER_AUTH_CONFIG": config})
    assert result.code == 0, result.stderr
    assert token not in result.stdout + result.stderr
    asked = [scope for scopes in tokens.scopes[before:] for scope in scopes]
    assert [scope for scope in asked if "push" in scope] == []


def test_a_registry_token_that_is_refused(words: list[str], token_registry: RegistryProcess, publish: Publish) -> None:
    """One that has run out: exit 3, nothing is asked again and again."""
    config = json.dumps({"auths": {token_registry.host: {"registrytoken": "expired-token"}}})
    result = publish(*words, environ={"DOCKER_AUTH_CONFIG": config})
    assert (result.code, result.document["kind"]) == (3, "denied"), result.stderr
