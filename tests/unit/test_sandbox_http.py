"""What a request means: its path, its range."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from publisher.model.errors import UsageError
from publisher.sandbox.http import Refusal, requested_range
from publisher.sandbox.options import Options
from publisher.sandbox.routes import ApiRoute


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/v2/a/manifests/latest", ApiRoute("a", "manifests", "latest")),
        ("/v2/a/b/c/blobs/sha256:12", ApiRoute("a/b/c", "blobs", "sha256:12")),
        ("/v2/a/blobs/uploads/", ApiRoute("a", "uploads", "")),
        ("/v2/a/blobs/uploads/x-y", ApiRoute("a", "uploads", "x-y")),
        ("/v2/a/tags/list", ApiRoute("a", "tags", "")),
        ("/v2/a/referrers/sha256:12", ApiRoute("a", "referrers", "sha256:12")),
        ("/v2/blobs/manifests/tags/list", ApiRoute("blobs/manifests", "tags", "")),
        ("/v2/manifests/manifests/manifests", ApiRoute("manifests", "manifests", "manifests")),
    ],
)
def test_path_is_read(path: str, route: ApiRoute) -> None:
    """A path names a repository and what of it, whatever the repository is called."""
    assert ApiRoute.parse(path) == route


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v2/a", 404),
        ("/v2/a/tags/other", 404),
        ("/v2/a/blobs/uploads", 404),
        ("/v2//manifests/x", 404),
        ("/v2/_catalog", 404),
        ("/v2/A/manifests/x", 400),
        ("/v2/../manifests/x", 400),
        ("/v2/a/../../b/manifests/x", 400),
        ("/v2/a\x00b/manifests/x", 400),
        ("/v2/" + "a" * 300 + "/manifests/x", 400),
    ],
)
def test_path_that_leads_nowhere(path: str, status: int) -> None:
    """What isn't a route is 404, a name that can't be is 400."""
    with pytest.raises(Refusal) as caught:
        ApiRoute.parse(path)
    assert caught.value.status == status


@given(st.text())
def test_any_path_is_read_or_refused(text: str) -> None:
    """No path makes the reader fail, and no name can lead out of anything."""
    try:
        route = ApiRoute.parse(f"/v2/{text}")
    except Refusal:
        return
    assert ".." not in route.name.split("/")


@pytest.mark.parametrize(
    ("header", "part"),
    [
        ("", None),
        ("bytes=0-3", range(4)),
        ("bytes=9-", range(9, 10)),
        ("bytes=-4", range(6, 10)),
        ("bytes=-99", range(10)),
        ("bytes=5-99", range(5, 10)),
        ("bytes=5-4", None),
        ("bytes=-", None),
        ("bytes=0-1,3-4", None),
        ("lines=0-3", None),
    ],
)
def test_range_is_read(header: str, part: range | None) -> None:
    """One range of bytes is honoured; what isn't understood means the whole."""
    assert requested_range(header, 10) == part


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=10-11", "bytes=-0"])
def test_range_of_nothing(header: str) -> None:
    """A range without any byte is 416, and says how many there are."""
    with pytest.raises(Refusal) as caught:
        requested_range(header, 10)
    assert (caught.value.status, caught.value.headers) == (416, {"Content-Range": "bytes */10"})


@pytest.mark.parametrize(
    "options",
    [
        {"immutable": ("(",)},
        {"manifest_limit": 0},
        {"manifest_limit": 1 << 30},
        {"lag": -1},
        {"page": -1},
        {"token_life": 0},
    ],
)
def test_options_that_make_no_sense(options: dict[str, object]) -> None:
    """They are refused where they are made."""
    with pytest.raises(UsageError):
        Options(**options)  # type: ignore[arg-type]  # that is the point


def test_password_is_not_shown() -> None:
    """Options can be printed."""
    assert "sandbox')" not in repr(Options())
