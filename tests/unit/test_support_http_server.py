"""The scripted server that other tests rely on: what it expects it answers, and what it doesn't fails the test."""

from __future__ import annotations

import pytest

from publisher.http.message import Request
from tests.support.http_server import Answer, ServerRequest, client, in_turn, serve


def test_a_table_answers_what_is_in_it() -> None:
    """By method and path, the query included."""
    with serve({"GET /a?b=1": Answer(204)}) as server, client(user="") as sender:
        assert sender.send(Request(method="GET", url=f"{server.url}/a?b=1")).status == 204
    assert [(request.method, request.path) for request in server.requests] == [("GET", "/a?b=1")]


def test_answers_come_in_turn() -> None:
    """The last one for ever."""
    with serve(in_turn(Answer(201), Answer(202))) as server, client(user="") as sender:
        statuses = [sender.send(Request(method="GET", url=f"{server.url}/")).status for _ in range(3)]
    assert statuses == [201, 202, 202]


def fail(_request: ServerRequest) -> Answer:
    """A script whose check fails."""
    raise AssertionError("a header is missing")


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        pytest.param(None, "GET /x: was not expected", id="no-script"),
        pytest.param({"GET /y": Answer()}, "GET /x: was not expected", id="table"),
        pytest.param(lambda _request: None, "GET /x: was not expected", id="function"),
        pytest.param(fail, "GET /x: a header is missing", id="check"),
    ],
)
def test_a_request_that_is_not_expected_fails_the_test(script: object, reason: str) -> None:
    """At the end, even where the client got over the 418."""
    with (
        pytest.raises(AssertionError, match=reason),
        serve(script) as server,  # type: ignore[arg-type]
        client(user="") as sender,
    ):
        assert sender.send(Request(method="GET", url=f"{server.url}/x")).status == 418
