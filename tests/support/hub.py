"""Docker Hub's API as a data file says: which calls there are, what they take and what they answer."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from tests.support.http_server import Answer, Seen

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
    found = []
    for route in DATA["routes"]:
        method, _, path = route["call"].partition(" ")
        found.append(Call(method, re.compile(re.sub(r"\{\w+\}", "[^/]+", path)), route))
    return found


def find_call(method: str, path: str) -> Call:
    """The call that a request is; fails where there is none such."""
    wanted = "GET" if method == "HEAD" else method
    found = next((call for call in calls() if call.fits(wanted, path)), None)
    assert found, f"Docker Hub's API has no {method} {path}"
    return found


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
        for one in document["results"]:
            _validate(one, call.route["results"])


def _validate(document: Any, shape: Any) -> None:
    schema = DATA["types"][shape] if isinstance(shape, str) else shape
    Draft202012Validator(schema).validate(document)


@dataclass
class StrictHub:
    """Answers with the examples of the data file, and refuses every request that it doesn't describe.

    other: what is answered instead, by call.
    """

    other: dict[str, Answer] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def __call__(self, seen: Seen) -> Answer:
        """Answer one request; what is wrong with it is kept, and answered with 418."""
        try:
            return self._answer(seen)
        except Exception as error:  # noqa: BLE001 - told at the end of the test
            self.wrong.append(f"{seen.method} {seen.path}: {error}")
            return Answer(418)

    def _answer(self, seen: Seen) -> Answer:
        call = find_call(seen.method, seen.path)
        has_bearer = seen.headers.get("Authorization", "").startswith("Bearer ")
        assert has_bearer or not call.route.get("bearer"), "a bearer is missing"
        assert not has_bearer or call.route.get("bearer") is not False, "a bearer is sent where none belongs"
        assert seen.headers.get("Accept") == "application/json"
        if "request" in call.route:
            assert seen.headers.get("Content-Type") == "application/json"
            _validate(json.loads(seen.body), call.route["request"])
        if call.route["call"] in self.other:
            return self.other[call.route["call"]]
        example = call.route.get("example")
        body = b"" if example is None else json.dumps(example).encode()
        return Answer(call.route.get("status", 200), {"Content-Type": "application/json"}, body)
