"""The sandbox's token service: who may do what, and how a client learns it."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

import pytest
import requests

from publisher.model.digest import Digest
from publisher.sandbox.options import Options, User
from publisher.sandbox.server import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

USERS = {
    "sandbox": User("sandbox"),
    "reader": User("secret:with:colons", ("repository:*:pull",)),
    "team": User("secret", ("repository:team/*:pull,push",)),
}


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A sandbox that asks who is there."""
    with Sandbox(options=Options(auth=True, users=USERS)) as running:
        yield running


def ask_token(
    sandbox: Sandbox, *scopes: str, auth: tuple[str, str] | None = None, **more: str
) -> tuple[int, dict[str, Any]]:
    """Ask for a token; returns the status and the answer."""
    params = {"service": "publish-sandbox", "scope": list(scopes), **more}
    answer = requests.get(f"{sandbox.url}/token", params=params, auth=auth, timeout=5)
    return answer.status_code, answer.json()


def ask(sandbox: Sandbox, method: str, path: str, token: str = "", **more: Any) -> requests.Response:
    """Ask the registry."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return requests.request(method, sandbox.url + path, headers=headers, timeout=5, **more)


def test_challenge_of_the_ping(sandbox: Sandbox) -> None:
    """The ping says where tokens are, and names no scope; any token opens it."""
    answer = ask(sandbox, "GET", "/v2/")
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == f'Bearer realm="{sandbox.url}/token",service="publish-sandbox"'
    assert answer.headers["Docker-Distribution-Api-Version"] == "registry/2.0"
    assert answer.json()["errors"][0]["code"] == "UNAUTHORIZED"
    _status, given = ask_token(sandbox)
    assert ask(sandbox, "GET", "/v2/", given["token"]).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "/v2/a/b/tags/list", "repository:a/b:pull"),
        ("HEAD", "/v2/a/b/manifests/1", "repository:a/b:pull"),
        ("PUT", "/v2/a/b/manifests/1", "repository:a/b:pull,push"),
        ("POST", "/v2/a/b/blobs/uploads/", "repository:a/b:pull,push"),
        ("GET", "/v2/a/b/blobs/uploads/x", "repository:a/b:pull,push"),
        ("DELETE", "/v2/a/b/blobs/uploads/x", "repository:a/b:pull,push"),
        ("DELETE", "/v2/a/b/manifests/1", "repository:a/b:delete"),
        (
            "POST",
            f"/v2/a/b/blobs/uploads/?mount={Digest.of(b'')}&from=c/d",
            "repository:a/b:pull,push repository:c/d:pull",
        ),
    ],
)
def test_challenge_names_what_is_needed(sandbox: Sandbox, method: str, path: str, scope: str) -> None:
    """Each request says which scope it takes."""
    answer = ask(sandbox, method, path)
    assert answer.status_code == 401
    found = re.search(r'scope="([^"]*)"', answer.headers["WWW-Authenticate"])
    assert found
    assert found[1] == scope


def test_token_opens_what_it_names(sandbox: Sandbox) -> None:
    """With the token for a repository one can push there, and nowhere else."""
    status, given = ask_token(sandbox, "repository:a/b:pull,push", auth=("sandbox", "sandbox"))
    assert status == 200
    assert given["token"] == given["access_token"]
    assert given["expires_in"] == 300
    assert given["scope"] == "repository:a/b:pull,push"
    assert ask(sandbox, "POST", "/v2/a/b/blobs/uploads/", given["token"]).status_code == 202
    for method, path in (("POST", "/v2/c/d/blobs/uploads/"), ("DELETE", f"/v2/a/b/manifests/{Digest.of(b'')}")):
        refused = ask(sandbox, method, path, given["token"])
        assert refused.status_code == 401
        assert 'error="insufficient_scope"' in refused.headers["WWW-Authenticate"]


@pytest.mark.parametrize(
    ("auth", "asked", "given"),
    [
        (None, "repository:a/b:pull,push", "repository:a/b:pull"),
        (("reader", "secret:with:colons"), "repository:a/b:pull,push", "repository:a/b:pull"),
        (("team", "secret"), "repository:a/b:pull,push", ""),
        (("team", "secret"), "repository:team/b:pull,push,delete", "repository:team/b:pull,push"),
        (("sandbox", "sandbox"), "repository:a/b:*", "repository:a/b:pull,push,delete"),
        (("sandbox", "sandbox"), "registry:catalog:*", ""),
    ],
)
def test_less_than_asked_is_no_error(sandbox: Sandbox, auth: tuple[str, str] | None, asked: str, given: str) -> None:
    """A token holds what was asked for and is allowed."""
    status, answer = ask_token(sandbox, asked, auth=auth)
    assert (status, answer["scope"]) == (200, given)


def test_two_scopes_allow_a_mount(sandbox: Sandbox) -> None:
    """A mount takes the right to read its origin, in the same token."""
    path = f"/v2/a/b/blobs/uploads/?mount={Digest.of(b'')}&from=c/d"
    one = ask_token(sandbox, "repository:a/b:pull,push", auth=("sandbox", "sandbox"))[1]["token"]
    both = ask_token(sandbox, "repository:a/b:pull,push", "repository:c/d:pull", auth=("sandbox", "sandbox"))[1][
        "token"
    ]
    assert ask(sandbox, "POST", path, one).status_code == 401
    assert ask(sandbox, "POST", path, both).status_code == 202


@pytest.mark.parametrize("auth", [("sandbox", "wrong"), ("nobody", "sandbox"), ("", ""), ("sandbox", "")])
def test_bad_credentials(sandbox: Sandbox, auth: tuple[str, str]) -> None:
    """They are refused, and never taken for nobody's."""
    status, answer = ask_token(sandbox, "repository:a/b:pull", auth=auth)
    assert status == 401
    assert answer["errors"][0]["code"] == "UNAUTHORIZED"


@pytest.mark.parametrize("header", ["Basic", "Basic !!", "Digest x", "Bearer x"])
def test_header_that_is_no_basic(sandbox: Sandbox, header: str) -> None:
    """Half a credential is refused too."""
    answer = requests.get(f"{sandbox.url}/token", headers={"Authorization": header}, timeout=5)
    assert answer.status_code == 401


@pytest.mark.parametrize("token", ["nonsense", "a.b.c", "e30.e30.e30"])
def test_bad_token(sandbox: Sandbox, token: str) -> None:
    """A token that isn't ours is invalid, and the answer says so."""
    answer = ask(sandbox, "GET", "/v2/a/b/tags/list", token)
    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


def test_token_grows_old() -> None:
    """After its life a token is refused, and a new one is given."""
    with Sandbox(options=Options(auth=True, token_life=1)) as sandbox:
        scope = "repository:a/b:pull,push"
        token = ask_token(sandbox, scope, auth=("sandbox", "sandbox"))[1]["token"]
        time.sleep(1.1)
        assert ask(sandbox, "POST", "/v2/a/b/blobs/uploads/", token).status_code == 401
        token = ask_token(sandbox, scope, auth=("sandbox", "sandbox"))[1]["token"]
        assert ask(sandbox, "POST", "/v2/a/b/blobs/uploads/", token).status_code == 202


def test_identity_token(sandbox: Sandbox) -> None:
    """A refresh token is given on demand to a user, and gives tokens by OAuth2's POST."""
    given = ask_token(sandbox, auth=("team", "secret"), offline_token="true")[1]
    form = {
        "grant_type": "refresh_token",
        "refresh_token": given["refresh_token"],
        "scope": "repository:team/x:pull,push",
    }
    answer = requests.post(f"{sandbox.url}/token", data=form, timeout=5)
    assert answer.status_code == 200
    assert answer.json()["scope"] == "repository:team/x:pull,push"
    assert ask(sandbox, "POST", "/v2/team/x/blobs/uploads/", answer.json()["access_token"]).status_code == 202
    assert "refresh_token" not in ask_token(sandbox, offline_token="true")[1]


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"grant_type": "password", "username": "team", "password": "secret"}, 200),
        ({"grant_type": "password", "username": "team", "password": "wrong"}, 401),
        ({"grant_type": "refresh_token", "refresh_token": "nonsense"}, 401),
        ({"grant_type": "other"}, 400),
        ({}, 400),
        ({"grant_type": "x" * 70_000}, 413),
    ],
)
def test_token_by_post(sandbox: Sandbox, form: dict[str, str], status: int) -> None:
    """OAuth2's form is checked."""
    assert requests.post(f"{sandbox.url}/token", data=form, timeout=5).status_code == status


def test_anybody_may_write_by_default() -> None:
    """A rehearsal needs no account."""
    with Sandbox() as sandbox:
        assert ask(sandbox, "POST", "/v2/a/b/blobs/uploads/").status_code == 202
