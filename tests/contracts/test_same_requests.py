"""The same random requests to the sandbox and to a real registry: each difference is known, and none is kinder.

`pytest tests/contracts/test_same_requests.py --whole` plays 200 sequences against each registry; by default a few.
"""

from __future__ import annotations

import sys
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pytest

from tests.contracts.client import Client
from tests.contracts.same_requests import Generator, Outcome, Player, Step
from tests.contracts.servers import run_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LENGTH: Final = 40
_DONE: Final = 300
_WRITES: Final = frozenset({"put", "patch", "finish", "status", "begin", "upload"})


@dataclass(frozen=True)
class Difference:
    """One way in which the sandbox answers otherwise, and why it may.

    kinds: of steps; ours, theirs: statuses; text: what stands in the step; codes: at most these are ours.
    """

    reason: str
    kinds: str
    ours: str
    theirs: str
    text: str = ""
    codes: str = ""

    def explains(self, step: Step, ours: Outcome, theirs: Outcome) -> bool:
        """Whether it is this one."""
        if step.kind not in self.kinds.split() or self.text not in f"{step.values}":
            return False
        if self.codes and not ours.codes <= set(self.codes.split()):
            return False
        return str(ours.status) in self.ours.split() and str(theirs.status) in self.theirs.split()


KINDER: Final = (
    Difference(
        "deleting one tag is in the specification, and a switch of the sandbox; 2.8 has no such route",
        "get", "202", "400", "'DELETE'",
    ),
    Difference("a range is for GET alone (RFC 9110); 2.8 heeds it for HEAD", "get", "200", "416", "'HEAD'"),
    Difference(
        "the specification lets any Location of an upload tell how far it is, or end it; 2.8 only the newest",
        "status", "204", "404",
    ),
)  # fmt: skip
OTHERWISE: Final = (
    Difference(
        "names, tags and digests that can't be are told as such; 2.8 knows no route for them, or fails",
        "get begin upload put", "400 404", "400 404 500",
        codes="NAME_INVALID TAG_INVALID MANIFEST_INVALID DIGEST_INVALID MANIFEST_UNKNOWN NAME_UNKNOWN",
    ),
    Difference("routes that aren't there have a code; 2.8 leads some on", "get", "404 405", "301 400 404 405"),
    Difference("uploads that aren't there have one code; 2.8 has two", "patch finish status", "404", "404"),
    Difference("an upload that was refused is over; 2.8 keeps some", "patch finish status", "404", "201 202 204 500"),
    Difference("a digest that is none is told before the upload is looked for", "finish", "400", "404"),
    Difference("bytes for an older Location are 416, as in distribution 3", "patch finish", "416", "404 500"),
    Difference("a Content-Type of no bytes is told; 2.8 fails", "patch", "400", "404 500"),
    Difference("a piece in the wrong place is 416, as in distribution 3; 2.8 takes it", "patch", "416", "202"),
    Difference("content may be kept by its sha512; 2.8 keeps it by its sha256", "finish", "201", "201", "sha512"),
    Difference("a number of tags that is none is 400, as in distribution 3", "get", "400", "200 404", "tags/list?n="),
    Difference("2.8 says which alphabet JSON has", "get", "200", "200", "tags/list"),
    Difference("a range that isn't there is told; 2.8.2 breaks off", "get", "416", "0", "'Range'"),
    Difference("a range is for GET alone (RFC 9110)", "get", "200", "206", "'HEAD'"),
    Difference("several ranges at once may be ignored (RFC 9110)", "get", "200", "206", "0-0,2-2"),
    Difference("manifests that two readers could take for two things are refused", "put", "400", "201"),
    Difference("what isn't there can't be deleted", "get", "404", "202", "'DELETE'"),
)  # fmt: skip


@pytest.fixture(params=["distribution", pytest.param("distribution-today", marks=pytest.mark.engine)])
def clients(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[Client]]:
    """One of the sandbox, one of a real registry."""
    with ExitStack() as running:
        servers = [running.enter_context(run_server(kind, tmp_path / kind)) for kind in ("memory", request.param)]
        yield [running.enter_context(Client(server.url)) for server in servers]


def test_each_difference_is_known(clients: list[Client], request: pytest.FixtureRequest) -> None:
    """Where the registry refuses, the sandbox does, but for what the specification says; the rest is listed."""
    counts = Counter[str]()
    for seed in range(200 if request.config.getoption("--whole") else 8):
        sandbox, registry = (Player(client, f"s{seed}") for client in clients)
        for number, step in enumerate(Generator(seed).steps(_LENGTH)):
            ours, theirs = sandbox.play(step), registry.play(step)
            counts["requests"] += 1
            if ours == theirs:
                continue
            is_kinder = ours.status < _DONE <= theirs.status
            known = [one for one in (KINDER if is_kinder else OTHERWISE) if one.explains(step, ours, theirs)]
            assert known, f"seed {seed}, step {number}: {step}: {ours} instead of {theirs}"
            counts[known[0].reason] += 1
            if (ours.status < _DONE) != (theirs.status < _DONE) and (step.kind in _WRITES or "DELETE" in str(step)):
                break  # they hold different things from here on
    sys.stderr.write("".join(f"{count:6} {reason}\n" for reason, count in counts.most_common()))
    assert counts["requests"] > 200
