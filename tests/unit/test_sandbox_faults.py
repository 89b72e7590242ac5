"""Faults that are ordered."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from publisher.model.errors import UsageError
from publisher.sandbox.faults import Fault, Faults


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("PUT /manifests/ 3rd 503", Fault("PUT", "/manifests/", 3, "status", 503)),
        ("GET /tags/list every 429:2", Fault("GET", "/tags/list", 0, "status", 429, 2)),
        ("PATCH /uploads/ 500", Fault("PATCH", "/uploads/", 0, "status", 500)),
        ("* / 21st reset", Fault("*", "/", 21, "reset")),
        (" PATCH /uploads/ every lost ", Fault("PATCH", "/uploads/", 0, "lost")),
        ("HEAD / 11th 401", Fault("HEAD", "/", 11, "status", 401)),
        ("PUT /manifests/ every 503:0", Fault("PUT", "/manifests/", 0, "status", 503)),
        ("GET / slow", Fault("GET", "/", 0, "slow", seconds=1)),
        ("GET / 1st slow:0.25", Fault("GET", "/", 1, "slow", seconds=0.25)),
    ],
)
def test_rule_is_read(text: str, fault: Fault) -> None:
    """A rule says which request fails, and how."""
    assert Fault.parse(text) == fault


@pytest.mark.parametrize(
    "text",
    [
        *("", "PUT", "PUT /", "PUT / 3rd", "put / 3rd 503", "PUT / 3 503", "PUT / rd 503", "PUT / 0th 503"),
        *("PUT / -1st 503", "PUT / 1st 200", "PUT / 1st 5030", "PUT / 1st 429:", "PUT / 1st 429:x", "PUT / 1st RESET"),
        *("PUT / 1st reset:2", "PUT / 1st lost:2", "PUT / 1st slow:", "PUT / 1st slow:soon", "PUT / 1st explode"),
        *("PUT  / 1st 503", "PUT / 1st 503 more", "PUT a b 1st 503", "PUT / 3rd\n503"),
        *("PUT / \u0663rd 503", "PUT / 1st \uff1403"),
    ],
    ids=ascii,
)
def test_bad_rule_says_what_is_right(text: str) -> None:
    """A rule that can't be read is a usage error with the form and an example."""
    with pytest.raises(UsageError, match="is not a fault rule") as caught:
        Fault.parse(text)
    assert caught.value.exit_code == 2
    assert "METHOD PATH-PART" in (caught.value.hint or "")


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    """No text makes the reader fail in another way."""
    try:
        fault = Fault.parse(text)
    except UsageError:
        return
    assert fault.kind in {"status", "reset", "lost", "slow"}


def test_the_nth_request_is_struck() -> None:
    """Only requests that fit are counted, and only one of them fails."""
    faults = Faults(["PUT /manifests/ 2nd 503"])
    asked = [("PUT", "/v2/a/manifests/1"), ("GET", "/v2/a/manifests/1"), ("PUT", "/v2/a/manifests/2")]
    struck = [faults.strike(*one) is not None for one in [*asked, *asked]]
    assert struck == [False, False, True, False, False, False]


def test_every_request_is_struck() -> None:
    """`every` never ends."""
    faults = Faults(["* /blobs/ every reset"])
    assert all(faults.strike("GET", "/v2/a/blobs/x") for _ in range(5))


def test_the_first_rule_wins_and_all_of_them_count() -> None:
    """A request that several rules fit counts for each."""
    faults = Faults(["PUT /x 1st 500", "PUT /x 2nd 501", "PUT /x every 502"])
    struck = [faults.strike("PUT", "/x") for _ in range(3)]
    assert [fault.status for fault in struck if fault] == [500, 501, 502]
