"""The sandbox's Docker Hub API: each answer held against the data file, and as strict as the real one is told to be."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import requests

from publisher.sandbox.options import Options, User
from publisher.sandbox.server import Sandbox
from tests.contracts.client import Client
from tests.support.hub import check_answer

if TYPE_CHECKING:
    from collections.abc import Iterator

USERS = {
    "sandbox": User("sandbox"),
    "writer": User("w", scope="repo:write"),
    "acme": User("dckr_oat_x", is_organization=True, repositories=("acme/*",)),
    "other": User("o", repositories=("other/*",)),
}
APP = "/v2/namespaces/acme/repositories/app"


class Hub:
    """Asks the API; every answer is checked."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.registry = Client(url)

    def __call__(self, method: str, path: str, body: Any = None, user: str = "sandbox") -> requests.Response:
        """One call, as a user; "" for nobody."""
        headers = {"Authorization": f"Bearer {self.bearer(user)}"} if user else {}
        content = None if body is None else json.dumps(body)
        answer = requests.request(method, self.url + path, data=content, headers=headers, timeout=10)
        check_answer(method, path, answer.status_code, answer.content)
        return answer

    def bearer(self, user: str) -> str:
        """A token of the API."""
        given = {"identifier": user, "secret": USERS[user].password}
        answer = requests.post(f"{self.url}/v2/auth/token", json=given, timeout=10)
        check_answer("POST", "/v2/auth/token", answer.status_code, answer.content)
        return str(answer.json()["access_token"])


@pytest.fixture
def hub() -> Iterator[Hub]:
    """A sandbox with a repository of three tags."""
    with Sandbox(options=Options(users=USERS)) as sandbox:
        made = Hub(sandbox.url)
        made.registry.send_image("acme/app", "one", "1.0.0", "latest")
        made.registry.send_image("acme/app", "two", "nightly")
        yield made
        made.registry.close()


def test_a_repository_is_created_and_described(hub: Hub) -> None:
    """And read back; a name that is taken, and texts that are too long, are refused."""
    space = "/v2/namespaces/acme/repositories"
    made = {"name": "web", "namespace": "acme", "is_private": True, "description": "short"}
    assert hub("POST", space, made).status_code == 201
    assert hub("POST", space, made).status_code == 400
    assert hub("POST", space, made | {"name": "Web"}).status_code == 400
    assert hub("PATCH", f"{space}/web", {"full_description": "long"}).json()["full_description"] == "long"
    assert hub("PATCH", f"{space}/web", {"description": "ä" * 51}).status_code == 400
    assert hub("PATCH", f"{space}/web", {"full_description": "x" * 25_001}).status_code == 400
    assert hub("GET", f"{space}/web").json()["description"] == "short"
    assert {one["name"] for one in hub("GET", space).json()["results"]} == {"app", "web"}


def test_a_private_repository_is_hidden(hub: Hub) -> None:
    """From strangers and from other users alike."""
    hub("POST", "/v2/repositories/acme/app/privacy", {"is_private": True})
    assert [hub("GET", APP, user=user).status_code for user in ("", "other", "acme")] == [404, 404, 200]
    assert hub("GET", "/v2/namespaces/acme/repositories", user="").json()["results"] == []


def test_scopes_bite(hub: Hub) -> None:
    """Writing tags is no right to change settings or to delete; an older route takes no organization's token."""
    change = {"description": "new"}
    assert [hub("PATCH", APP, change, user).status_code for user in ("", "writer", "other", "acme")] == [
        401,
        403,
        403,
        200,
    ]
    assert hub("PATCH", "/v2/repositories/acme/app", change, "acme").status_code == 403
    assert hub("DELETE", f"{APP}/tags/nightly", user="writer").status_code == 403
    assert hub("GET", "/v2/access-tokens", user="writer").json()["results"][0]["scopes"] == ["repo:write"]
    assert hub("GET", "/v2/orgs/acme/access-tokens").json()["results"][0]["resources"][0]["path"] == "acme/*"


def test_bad_sign_ins_and_bearers_are_refused(hub: Hub) -> None:
    """A token of the registry is none of the API."""
    wrong = requests.post(f"{hub.url}/v2/auth/token", json={"identifier": "sandbox", "secret": "x"}, timeout=10)
    check_answer("POST", "/v2/auth/token", wrong.status_code, wrong.content)
    token = requests.get(f"{hub.url}/token?scope=repository:acme/app:pull", timeout=10).json()["token"]
    foreign = requests.get(f"{hub.url}/v2/access-tokens", headers={"Authorization": f"Bearer {token}"}, timeout=10)
    assert (wrong.status_code, foreign.status_code) == (401, 401)


def test_tags_come_in_pages(hub: Hub) -> None:
    """With platforms, sizes and times."""
    first = hub("GET", f"{APP}/tags?page_size=2").json()
    assert (first["count"], len(first["results"]), first["previous"]) == (3, 2, None)
    second = hub("GET", first["next"].removeprefix(hub.url)).json()
    assert [one["name"] for one in first["results"] + second["results"]] == ["1.0.0", "latest", "nightly"]
    assert second["next"] is None
    assert hub("GET", f"{APP}/tags/latest").json()["tag_last_pushed"]
    assert hub("GET", f"{APP}/tags/absent").status_code == 404


def test_one_tag_is_deleted_and_no_other(hub: Hub) -> None:
    """Its content stays for the other tags of it."""
    assert hub("DELETE", f"{APP}/tags/latest").status_code == 204
    assert hub("DELETE", f"{APP}/tags/latest").status_code == 404
    assert hub.registry.tags("acme/app") == ["1.0.0", "nightly"]


def test_immutable_rules_bite(hub: Hub) -> None:
    """On push and on delete, once they are on; a new tag can still be written."""
    rule = r"^[0-9]+\.[0-9]+\.[0-9]+$"
    assert hub("POST", f"{APP}/immutabletags/verify", {"regex": rule}).json()["tags"] == ["1.0.0"]
    assert hub("POST", f"{APP}/immutabletags/verify", {"regex": "("}).status_code == 400
    settings = {"immutable_tags": True, "immutable_tags_rules": [rule]}
    held = hub("PATCH", f"{APP}/immutabletags", settings).json()["immutable_tags_settings"]
    assert held == {"enabled": True, "rules": [rule]}
    image = hub.registry.make_image("acme/app", "three")
    refused = hub.registry.put("acme/app", "1.0.0", image)
    assert (refused.status_code, "immutability" in refused.text) == (403, True)
    assert hub.registry.put("acme/app", "1.1.0", image).status_code == 201
    assert hub("DELETE", f"{APP}/tags/1.0.0").status_code == 403
    hub("PATCH", f"{APP}/immutabletags", settings | {"immutable_tags": False})
    assert hub.registry.put("acme/app", "1.0.0", image).status_code == 201
    assert hub("PATCH", f"{APP}/immutabletags", {"immutable_tags": True}).status_code == 400


def test_a_namespace_of_that_name_is_still_a_registry(hub: Hub) -> None:
    """Repositories may be called as the API's routes are."""
    hub.registry.send_image("namespaces/a/repositories/b", "x", "1.0")
    assert hub.registry.tags("namespaces/a/repositories/b") == ["1.0"]


def test_limits_can_be_set_low() -> None:
    """Of the API's calls, and of pulls, for which a HEAD counts nothing."""
    with Sandbox(options=Options(api_limit=2, pull_limit=1)) as sandbox, Client(sandbox.url) as client:
        client.send_image("acme/app", "x", "1.0")
        first = requests.get(sandbox.url + APP, timeout=10)
        assert (first.headers["X-RateLimit-Limit"], first.headers["X-RateLimit-Remaining"]) == ("2", "1")
        requests.get(sandbox.url + APP, timeout=10)
        third = requests.get(sandbox.url + APP, timeout=10)
        assert (third.status_code, 1 <= int(third.headers["Retry-After"]) <= 60) == (429, True)
        for _ in range(3):
            assert client.request("HEAD", "/v2/acme/app/manifests/1.0").headers["ratelimit-remaining"] == "1;w=21600"
        assert client.request("GET", "/v2/acme/app/manifests/1.0").status_code == 200
        refused = client.request("GET", "/v2/acme/app/manifests/1.0")
        assert (refused.status_code, "pull rate limit" in refused.text) == (429, True)


def test_untagged_manifests_are_collected() -> None:
    """Once their time has passed; what a tag leads to stays."""
    with Sandbox(options=Options(collect=0)) as sandbox, Client(sandbox.url) as client:
        image = client.send_image("acme/app", "x", "1.0")
        loose = client.make_image("acme/app", "loose")
        client.put("acme/app", str(loose.digest), loose)
        assert client.request("HEAD", f"/v2/acme/app/manifests/{loose.digest}").status_code == 404
        assert client.request("HEAD", f"/v2/acme/app/manifests/{image.digest}").status_code == 200


def test_the_page_survives_a_restart(tmp_path: Any) -> None:
    """In a folder, as content does."""
    for turn in range(2):
        with Sandbox(store=tmp_path / "store", options=Options(users=USERS)) as sandbox:
            hub = Hub(sandbox.url)
            if not turn:
                hub.registry.send_image("acme/app", "x", "1.0")
                hub("PATCH", APP, {"description": "kept"})
            assert hub("GET", APP).json()["description"] == "kept"
