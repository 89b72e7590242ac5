"""Where requests go."""

from __future__ import annotations

import pytest

from publisher.model.digest import Digest
from publisher.model.reference import Repository
from publisher.registry.endpoint import locate
from publisher.registry.sessions import with_digest

SANDBOX = "http://127.0.0.1:4000"
DIGEST = Digest.of(b"x")


@pytest.mark.parametrize(
    ("repository", "sandbox", "host", "path"),
    [
        pytest.param("ann/app", None, "registry-1.docker.io", "ann/app", id="hub"),
        pytest.param("alpine", None, "registry-1.docker.io", "library/alpine", id="hub-official"),
        pytest.param("reg.example:5000/app", None, "reg.example:5000", "app", id="other"),
        pytest.param("ann/app", SANDBOX, "127.0.0.1:4000", "ann/app", id="hub-in-sandbox"),
        pytest.param("reg.example:5000/a/b", SANDBOX, "127.0.0.1:4000", "reg.example-5000/a/b", id="other-in-sandbox"),
        pytest.param("127.0.0.1:4000/a/b", SANDBOX, "127.0.0.1:4000", "a/b", id="the-sandbox-itself"),
        pytest.param("[::1]:5000/a", SANDBOX, "127.0.0.1:4000", "1-5000/a", id="ipv6-in-sandbox"),
    ],
)
def test_a_repository_has_one_place(repository: str, sandbox: str | None, host: str, path: str) -> None:
    """Hub is reached by its registry host; a sandbox takes everything, and nothing goes elsewhere."""
    endpoint = locate(Repository.parse(repository), sandbox)
    assert (endpoint.host, endpoint.path) == (host, path)


def test_a_sibling_lies_beside_it_in_a_sandbox_too() -> None:
    """The path of a mount's origin is made as the repository's own."""
    endpoint = locate(Repository.parse("reg.example:5000/a/b"), SANDBOX)
    assert endpoint.sibling(Repository.parse("reg.example:5000/c")) == "reg.example-5000/c"


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        pytest.param("http://h/u/1", f"http://h/u/1?digest={DIGEST}", id="bare"),
        pytest.param("http://h/u/1?_state=a%3D", f"http://h/u/1?_state=a%3D&digest={DIGEST}", id="query"),
        pytest.param("http://h/u/1?", f"http://h/u/1?digest={DIGEST}", id="empty-query"),
        pytest.param("http://h/u/1?a=b&", f"http://h/u/1?a=b&digest={DIGEST}", id="open-query"),
        pytest.param("http://h/u/1#f", f"http://h/u/1?digest={DIGEST}", id="fragment"),
    ],
)
def test_the_digest_joins_the_query(location: str, expected: str) -> None:
    """An upload's address keeps its own query, unchanged."""
    assert with_digest(location, DIGEST) == expected
