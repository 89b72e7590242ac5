"""Docker Hub's API as a data file says: which calls there are, what they take and what they answer."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from tests.support.http_server import Answer, ServerRequest

FILE = Path(__file__).parent.parent / "data" / "hub" / "routes.json"
DATA: dict[str, Any] = json.loads(FILE.read_text())


@dataclass(frozen=True)
class Call:
    """One call of the API."""

    method: str
    pattern: re.Pattern[str]
    route: dict[str, Any]

    def fits(self, method: str, path: str) -> bool:
        """Whether a request is this call."""
        return method == self.method and bool(self.pattern.fullmatch(path.partition("?")[0]))


def calls() -> list[Call]:
    """All calls of the data file."""
    listed = []
    for route in DATA["routes"]:
        method, _, path = route["call"].partition(" ")
        listed.append(Call(method, re.compile(re.sub(r"\{\w+\}", "[^/]+", path)), route))
    return listed


def find_call(method: str, path: str) -> Call:
    """The call that a request is; fails where there is none such."""
    described = "GET" if method == "HEAD" else method
    call = next((call for call in calls() if call.fits(described, path)), None)
    assert call, f"Docker Hub's API has no {method} {path}"
    return call


def check_answer(method: str, path: str, status: int, content: bytes) -> None:
    """Hold an answer against the data file."""
    call = find_call(method, path)
    answers = call.route["answers"]
    assert str(status) in answers, f"{call.route['call']} never answers {status}"
    shape = answers[str(status)]
    if shape is None:
        assert not content
        return
    document = json.loads(content)
    _validate(document, shape)
    if status == 200 and "results" in call.route:
        for result in document["results"]:
            _validate(result, call.route["results"])


def _validate(document: Any, shape: Any) -> None:
    schema = DATA["types"][shape] if isinstance(shape, str) else shape
    Draft202012Validator(schema).validate(document)


@dataclass
class StrictHub:
    """Answers with the examples of the data file, and refuses every request that it doesn't describe.

    other: what is answered instead, by call.
    """

    other: dict[str, Answer] = field(default_factory=dict)

    def __call__(self, request: ServerRequest) -> Answer:
        """Answer one request; fails where something is wrong with it."""
        call = find_call(request.method, request.path)
        has_bearer = request.headers.get("Authorization", "").startswith("Bearer ")
        assert has_bearer or not call.route.get("bearer"), "a bearer is missing"
        assert not has_bearer or call.route.get("bearer") is not False, "a bearer is sent where none belongs"
        assert request.headers.get("Accept") == "application/json"
        if "request" in call.route:
            assert request.headers.get("Content-Type") == "application/json"
            _validate(json.loads(request.body), call.route["request"])
        if call.route["call"] in self.other:
            return self.other[call.route["call"]]
        example = call.route.get("example")
        body = b"" if example is None else json.dumps(example).encode()
        return Answer(call.route.get("status", 200), {"Content-Type": "application/json"}, body)
