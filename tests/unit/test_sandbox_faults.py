"""Faults to order."""

from __future__ import annotations

import pytest

from publisher.model.errors import UsageError
from publisher.sandbox.faults import Fault


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("PUT /manifests/ 3rd 503", ("PUT", "/manifests/", 3, "503")),
        ("GET /v2/ 1st 429:2", ("GET", "/v2/", 1, "429:2")),
        ("* /blobs/ 2nd reset", ("*", "/blobs/", 2, "reset")),
        (" PATCH /uploads/ every lost ", ("PATCH", "/uploads/", 0, "lost")),
        ("HEAD / 11th 401", ("HEAD", "/", 11, "401")),
    ],
    ids=str,
)
def test_rules(text: str, expected: tuple[str, str, int, str]) -> None:
    """What a rule says."""
    fault = Fault.parse(text)
    assert (fault.method, fault.path, fault.nth, fault.kind) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("", "PUT", "PUT / 3rd", "put / 3rd 503", "PUT / 3 503", "PUT / rd 503", "PUT / 0th 503", "PUT / -1st 503"),
        *(
            "PUT / 1st 200",
            "PUT / 1st 5030",
            "PUT / 1st 429:",
            "PUT / 1st 429:x",
            "PUT / 1st reset:2",
            "PUT / 1st RESET",
        ),
        *("PUT  / 1st 503", "PUT / 1st 503 more", "PUT a b 1st 503", "PUT / ٣rd 503", "PUT / 1st \uff1403"),
    ],
    ids=ascii,
)
def test_what_is_no_rule(text: str) -> None:
    """Anything else is refused with the form it should have."""
    with pytest.raises(UsageError, match="is not a fault rule") as caught:
        Fault.parse(text)
    assert "NTH|every" in (caught.value.hint or "")


def test_the_nth_request() -> None:
    """Only requests that fit are counted, and one of them is struck."""
    fault = Fault.parse("PUT /manifests/ 2nd 503")
    requests = [("PUT", "/v2/a/manifests/x"), ("GET", "/v2/a/manifests/x"), ("PUT", "/v2/a/blobs/x")]
    requests += [("PUT", "/v2/b/manifests/y"), ("PUT", "/v2/b/manifests/y")]
    assert [fault.strikes(*request) for request in requests] == [False, False, False, True, False]


def test_every_request() -> None:
    """`every` strikes all that fit, of any method with `*`."""
    fault = Fault.parse("* /blobs/ every reset")
    assert [fault.strikes(method, "/v2/a/blobs/x") for method in ("GET", "PUT", "GET")] == [True] * 3
    assert not fault.strikes("GET", "/v2/a/manifests/x")
