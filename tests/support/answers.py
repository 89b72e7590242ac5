"""A registry's answers as bytes: recorded real ones, and what can become of one on its way."""

from __future__ import annotations

import http.client
import io
import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import urllib3

from publisher.http.framing import HttpResponse

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_FILE: Final = Path(__file__).parent.parent / "data" / "answers" / "distribution.json"


@dataclass
class WrittenAnswer:
    """An answer that can still be changed; `body` has the stated length unless `headers` say otherwise."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def write(self) -> bytes:
        """As it goes over the wire."""
        lines = [f"HTTP/1.1 {self.status} X", *(f"{name}: {value}" for name, value in self.headers)]
        return "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n" + self.body

    def state_length(self) -> None:
        """Say how long the body is."""
        self.headers = [pair for pair in self.headers if pair[0].lower() != "content-length"]
        self.headers.append(("Content-Length", str(len(self.body))))


def _recorded() -> list[WrittenAnswer]:
    listed = json.loads(_FILE.read_text())
    return [
        WrittenAnswer(one["status"], [(name, value) for name, value in one["headers"]], one["body"].encode("latin-1"))
        for one in listed
    ]


RECORDED: Final = _recorded()
"""Answers of distribution 2.8.2 and 2.8.3, each kind once, as if they had come from 127.0.0.1:5000."""


def make_response(method: str, status: int, headers: Sequence[tuple[str, str]], body: bytes) -> urllib3.HTTPResponse:
    """An answer as the connection would give it."""
    return urllib3.HTTPResponse(
        io.BytesIO(b"" if method == "HEAD" else body),
        headers=urllib3.HTTPHeaderDict(headers), status=status, preload_content=False, request_method=method,
    )  # fmt: skip


class _Socket:
    """A socket on which these bytes have come, and then the other side hung up."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(io.BytesIO(self._raw))

    def shutdown(self, _how: int) -> None:
        """Nobody is there."""


def read_response(method: str, raw: bytes) -> urllib3.HTTPResponse:
    """What the connection makes of bytes, by its own reader; raises what urllib3 raises."""
    sock: Any = _Socket(raw)
    response = HttpResponse(sock, method=method)
    try:
        response.begin()
    except (http.client.HTTPException, OSError) as error:
        raise urllib3.exceptions.ProtocolError("Connection aborted.", error) from error
    return urllib3.HTTPResponse(
        response, headers=urllib3.HTTPHeaderDict(response.msg.items()), status=response.status,
        version=response.version, reason=response.reason, preload_content=False, decode_content=False,
        original_response=response, request_method=method,
    )  # fmt: skip


_STATUSES: Final = (
    200, 200, 201, 202, 204, 206, 208, 299, 300, 301, 302, 303, 304, 307, 308, 400, 401, 401, 403, 404, 404, 405,
    406, 408, 409, 412, 413, 416, 418, 429, 431, 451, 499, 500, 501, 502, 503, 504, 507, 522, 599, 600, 999, 100,
    101, 103, 99, 1000,
)  # fmt: skip
_HEADERS: Final = (
    "Content-Length", "Content-Type", "Docker-Content-Digest", "Link", "Location", "Range", "Content-Range",
    "Retry-After", "X-Retry-After", "Date", "WWW-Authenticate", "Transfer-Encoding", "Content-Encoding",
    "Connection", "OCI-Subject", "OCI-Tag", "OCI-Chunk-Min-Length", "ratelimit-limit", "ratelimit-remaining",
    "Docker-Upload-UUID", "Set-Cookie",
)  # fmt: skip
_DIGEST: Final = "sha256:" + "0" * 64
_VALUES: Final = (
    "", "0", "1", "-1", "+1", "1_0", "9" * 30, "9" * 5000, "1e309", "NaN", "\xb2", "0-0", "bytes=0-9",
    "0-" + "9" * 400, "5-2", _DIGEST, _DIGEST.upper(), "sha512:" + "0" * 128, "sha256:", "md5:0",
    "sha256:" + "g" * 64, "a" * 9000, "\x1b[31m", "\x00", "http://[::1", "http://127.0.0.1:5000/v2/",
    "http://127.0.0.1:99999/", "https://127.0.0.1:5000/x", "//evil.example/x", "/v2/acme/app/blobs/uploads/x",
    "../../x", "?n=1", "http://u:p@127.0.0.1:5000/", "ftp://x/", "http://evil.example:x/",
    "</v2/acme/app/tags/list?n=1>; rel=next", "<?last=x>", "<>; rel=next", "<http://[>; rel=\"next\"", "nonsense",
    "</v2/acme/app/tags/list?n=1000>; rel=\"next\"", "<" + "x" * 9000 + ">", "chunked", "gzip", "gzip, chunked",
    "identity", "Basic", "Basic realm=\"x\"", "Bearer",
    "Bearer realm=\"http://127.0.0.1:5000/token\",service=\"x\"", "Bearer realm=\"\"",
    "Bearer realm=\"http://evil.example/token\"", "Bearer realm=\"http://127.0.0.1:5000/token\"," + "a=b," * 3,
    "Negotiate", "Basic " + "x," * 9000, "Bearer realm=\"" + "\\" * 5000, "Thu, 26 Nov 2026 17:00:00 GMT",
    "Thu, 99 Nov 99999 17:00:00 GMT", "Mon, 01 Jan 0001 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 -2359", "3",
    "0.5", "120", "100;w=21600", "0;w=21600", "close", "application/json",
    "application/vnd.oci.image.index.v1+json", "text/html", "application/vnd.oci.image.manifest.v1+json",
)  # fmt: skip
_JSON: Final[tuple[Any, ...]] = (
    None, True, 0, -1, 1, 5, 2**63, 10**400, 1.5, 1e308, "", "x", "\ud800", "\x1b[31m\u202e",
    "../../x/manifests/latest", [], {}, [None], [[]], {"a": {}}, _DIGEST, "x" * 3000, "2026-11-26T17:00:00Z",
    "99999-99-99T99:99:99Z", "http://[", ["1.0", 5, None], "1.2.3", "latest", ["1.0.0", "\ud800", "a b"],
    "yanked-1.0.0", "application/vnd.oci.image.index.v1+json",
)  # fmt: skip
_BODIES: Final = (
    b"", b"{}", b"[]", b"null", b"\xff\xfe", b"<html>502 Bad Gateway</html>", b"Too Many Requests (HAP429).",
    b'{"errors":5}', b'{"errors":[{"code":5,"message":["x"],"detail":{}}]}',
    b'{"errors":[{"code":"TOOMANYREQUESTS"}]}', b"[" * 100_000,
    b'{"errors":[{"code":"DENIED","message":"\\ud800 \\u001b[31m"}]}', b'{"a":' * 3000,
    b'{"tags":[' + b"9" * 5000 + b"]}", b'{"token":"x","expires_in":1e999}', b'{"access_token":5}',
    b'{"token":"\\u0000"}', b'{"results":[],"next":5}', b'{"tags":null,"name":5}',
    b'{"schemaVersion":2,"manifests":[]}', b'{"results":null}', b'{"errors":[{"code":"NAME_UNKNOWN"}]}',
)  # fmt: skip

Chance = random.Random


def _status(answer: WrittenAnswer, chance: Chance) -> None:
    answer.status = chance.choice(_STATUSES)


def _drop(answer: WrittenAnswer, chance: Chance) -> None:
    if answer.headers:
        answer.headers.pop(chance.randrange(len(answer.headers)))


def _header(answer: WrittenAnswer, chance: Chance) -> None:
    name = chance.choice(_HEADERS)
    if chance.random() < 0.7:
        answer.headers = [pair for pair in answer.headers if pair[0].lower() != name.lower()]
    answer.headers.append((name, chance.choice(_VALUES)))


def _twice(answer: WrittenAnswer, chance: Chance) -> None:
    if answer.headers:
        answer.headers += [chance.choice(answer.headers)] * chance.choice((1, 1, 2, 120))


def _cut(answer: WrittenAnswer, chance: Chance) -> None:
    answer.body = answer.body[: chance.randrange(len(answer.body) + 1)]
    if chance.random() < 0.6:
        answer.state_length()


def _flip(answer: WrittenAnswer, chance: Chance) -> None:
    if answer.body:
        place = chance.randrange(len(answer.body))
        answer.body = answer.body[:place] + bytes([chance.randrange(256)]) + answer.body[place + 1 :]


def _insert(answer: WrittenAnswer, chance: Chance) -> None:
    place = chance.randrange(len(answer.body) + 1)
    piece = chance.choice((b"\x00", b'"', b"{", b"]", b"\r\n", b" " * 50, bytes([chance.randrange(256)]) * 3))
    answer.body = answer.body[:place] + piece + answer.body[place:]
    answer.state_length()


def _body(answer: WrittenAnswer, chance: Chance) -> None:
    answer.body = chance.choice(_BODIES)
    answer.state_length()


def _value(answer: WrittenAnswer, chance: Chance) -> None:
    """One value of a document becomes another, or goes."""
    try:
        document = json.loads(answer.body)
    except (ValueError, RecursionError):
        return _body(answer, chance)
    places = list(_places(document))
    if not places:
        return _body(answer, chance)
    holder, key = chance.choice(places)
    if chance.random() < 0.2:
        del holder[key]
    else:
        holder[key] = chance.choice(_JSON)
    answer.body = json.dumps(document).encode()
    return answer.state_length()


def _places(document: Any) -> list[tuple[Any, Any]]:
    keys = document if isinstance(document, dict) else range(len(document)) if isinstance(document, list) else ()
    places = [(document, key) for key in keys]
    return places + [place for _holder, key in places for place in _places(document[key])]


def _other(answer: WrittenAnswer, chance: Chance) -> None:
    recorded = chance.choice(RECORDED)
    answer.status, answer.headers, answer.body = recorded.status, list(recorded.headers), recorded.body


CHANGES: Final[dict[str, Callable[[WrittenAnswer, Chance], None]]] = {
    "status": _status, "drop": _drop, "header": _header, "twice": _twice, "cut": _cut, "flip": _flip, "insert": _insert,
    "body": _body, "value": _value, "other": _other,
}  # fmt: skip


_ENDS: Final = (
    b"0\r\n\r\n", b"0\r\n\r\n", b"0\r\nX: y\r\n\r\n", b"0\r\n" + b"X: y\r\n" * 12_000, b"", b"zz\r\n", b"0;a=b\r\n",
)  # fmt: skip


def _chunked(raw: bytes, chance: Chance) -> bytes:
    head, _blank, body = raw.partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"content-length")]
    size = chance.choice((1, 7, 1000))
    chunks = [b"%x\r\n%s\r\n" % (len(body[at : at + size]), body[at : at + size]) for at in range(0, len(body), size)]
    end = chance.choice(
        (
            b"0\r\n\r\n",
            b"0\r\n\r\n",
            b"0\r\nX: y\r\n\r\n",
            b"0\r\n" + b"X: y\r\n" * 12_000,
            b"",
            b"zz\r\n",
            b"0;a=b\r\n",
        )
    )
    return b"\r\n".join([*lines, b"Transfer-Encoding: chunked"]) + b"\r\n\r\n" + b"".join(chunks) + end


def _interim(raw: bytes, chance: Chance) -> bytes:
    return (
        b"HTTP/1.1 %d X\r\nLink: <x>\r\n\r\n" % chance.choice((100, 102, 103, 101, 199)) * chance.choice((1, 2, 10, 11))
        + raw
    )


def _noise(raw: bytes, chance: Chance) -> bytes:
    place = chance.randrange(min(len(raw), 300))
    return raw[:place] + bytes(chance.randrange(256) for _byte in range(chance.choice((1, 1, 4)))) + raw[place + 1 :]


WIRE_CHANGES: Final[dict[str, Callable[[bytes, Chance], bytes]]] = {
    "chunked": _chunked, "interim": _interim, "noise": _noise,
    "line-feeds": lambda raw, _chance: raw.replace(b"\r\n", b"\n", 12),
    "broken-off": lambda raw, chance: raw[: chance.randrange(len(raw) + 1)],
    "more": lambda raw, chance: raw + chance.choice((b"x", b"\r\n\r\n", raw)),
}  # fmt: skip


@dataclass(frozen=True)
class MutatedAnswer:
    """What becomes of one answer: `changes` in their order, each by a chance that `seed` decides. A SimulatedFault."""

    changes: tuple[str, ...]
    seed: int
    acts = True
    kills = False

    def respond(
        self, method: str, status: int, headers: Sequence[tuple[str, str]], body: bytes
    ) -> urllib3.BaseHTTPResponse:
        """The answer in place of the registry's; raises what a connection raises."""
        chance = random.Random(self.seed)
        answer = WrittenAnswer(status, list(headers), body)
        for name in self.changes:
            if name in CHANGES:
                CHANGES[name](answer, chance)
        raw = answer.write()
        for name in self.changes:
            if name in WIRE_CHANGES:
                raw = WIRE_CHANGES[name](raw, chance)
        return read_response(method, raw)
