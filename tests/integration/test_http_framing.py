"""Where an answer ends: no header, chunk or trailer without end, and never a byte of one answer in another's."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from publisher.http import framing
from publisher.http.message import Request
from publisher.model.errors import Unreachable
from tests.support.http_server import QUICK, Answer, client, in_turn, serve

if TYPE_CHECKING:
    from publisher.http.message import Response

ONCE = replace(QUICK, tries=1)
OK = b"HTTP/1.1 200 OK\r\n"
GOOD = OK + b"Content-Length: 4\r\n\r\ngood"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n4\r\ngood\r\n"
EARLY = b"HTTP/1.1 103 Early Hints\r\nLink: </style>; rel=preload\r\n\r\n"


def get(*answers: bytes) -> Response:
    """The last of the answers to as many requests, on whatever connections."""
    with serve(in_turn(*(Answer(0, body=raw) for raw in answers))) as server, client(retry_policy=ONCE) as sender:
        for _earlier in answers[1:]:
            sender.send(Request(method="PUT", url=f"{server.url}/x", body=b"content")).close()
        return sender.send(Request(method="GET", url=f"{server.url}/x"))


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(EARLY + GOOD, id="early-hints"),
        pytest.param(b"HTTP/1.1 102 Processing\r\n\r\n" * 10 + GOOD, id="ten"),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n" + EARLY + GOOD, id="two-kinds"),
        pytest.param(CHUNKED + b"0\r\n\r\n", id="chunks"),
        pytest.param(CHUNKED.replace(b"4\r", b"4;a=b\r") + b"0;c\r\nDigest: x\r\n\r\n", id="extensions-and-trailer"),
        pytest.param(OK + b"Content-Length: 4\r\nContent-Length: 4\r\n\r\ngood", id="the-same-length-twice"),
    ],
)
def test_what_is_unusual_is_read(answer: bytes) -> None:
    """Interim answers are passed over; the connection goes on with the next answer."""
    response = get(answer, GOOD)
    assert (response.status, response.content) == (200, b"good")
    assert get(GOOD, answer).content == b"good"


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n" + GOOD, id="another-protocol"),
        pytest.param(EARLY * 11 + GOOD, id="eleven-interim"),
        pytest.param(OK + b"X: y\r\n" * 11_000 + b"\r\n", id="header-without-end"),
        pytest.param(OK + b"X: " + b"y" * 64_000 + b"\r\nZ: " + b"z" * 2000 + b"\r\n\r\n", id="header-too-large"),
        pytest.param(EARLY[:-2] + b"X: " + b"y" * 66_000 + b"\r\n\r\n" + GOOD, id="interim-too-large"),
        pytest.param(OK + b"Content-Length: " + b"4" * 5000 + b"\r\n\r\ngood", id="thousands-of-digits"),
        pytest.param(OK + "Content-Length: ²\r\n\r\ngood".encode("latin-1"), id="another-alphabet"),
        pytest.param(OK + b"Content-Length: +4\r\n\r\ngood", id="sign"),
        pytest.param(OK + b"Content-Length: 0_4\r\n\r\ngood", id="underscore"),
        pytest.param(OK + b"Content-Length: -4\r\n\r\ngood", id="below-zero"),
        pytest.param(OK + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\ngood", id="two-lengths"),
        pytest.param(OK + b"Content-Length: 4, 4\r\n\r\ngood", id="a-list"),
        pytest.param(OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", id="encoding"),
        pytest.param(CHUNKED + b"0\r\n" + b"X: y\r\n" * 11_000, id="trailer-without-end"),
        pytest.param(CHUNKED + b"0\r\n" + b"X" * 70_000, id="trailer-line-without-end"),
        pytest.param(CHUNKED.replace(b"4\r", b"4;" + b"x" * 5000 + b"\r") + b"0\r\n\r\n", id="extension-too-long"),
    ],
)
def test_what_has_no_certain_end_is_no_answer(answer: bytes) -> None:
    """It is an error with exit code 6, and the connection is ended."""
    with pytest.raises(Unreachable) as caught:
        get(answer)
    assert caught.value.exit_code == 6


@pytest.mark.parametrize("start", [CHUNKED + b"0\r\n", CHUNKED + b"4;"], ids=["trailer", "chunk-size"])
def test_what_drips_after_the_content_is_given_up(monkeypatch: pytest.MonkeyPatch, start: bytes) -> None:
    """A byte now and then doesn't hold a document, nor a blob."""
    monkeypatch.setattr(framing, "HEAD_SECONDS", 0.15)
    answers = {"GET /x": Answer(0, body=start + b"X" * 1000, pause=0.002)}
    for stream in (False, True):
        began = time.monotonic()
        with (
            serve(answers) as server,
            client(retry_policy=ONCE) as sender,
            pytest.raises(Unreachable),
            sender.send(Request(method="GET", url=f"{server.url}/x", stream=stream)) as response,
        ):
            list(response.stream())
        assert time.monotonic() - began < 2


@pytest.mark.parametrize("head", [GOOD, CHUNKED + b"0\r\n\r\n", OK + b"Content-Length: 0\r\n\r\n"])
def test_bytes_after_an_answer_belong_to_none(head: bytes) -> None:
    """A connection on which more came than was asked for is not used again."""
    evil = OK + b"Content-Length: 4\r\n\r\nevil"
    with (
        serve(in_turn(Answer(0, body=head + evil), Answer(0, body=GOOD))) as server,
        client(retry_policy=ONCE) as sender,
    ):
        contents = [sender.send(Request(method="GET", url=f"{server.url}/x")).content for _request in range(3)]
    assert contents[1:] == [b"good", b"good"]
    first, second, third = (request.peer for request in server.requests)
    assert first != second == third
