"""A release that is killed, or asked to stop, at any of its requests, before and after the registry acted.

`pytest tests/chaos/test_kill.py --whole` does so at every request; by default at some of them.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from publisher.sandbox.server import Sandbox
from tests.support.fault_proxy import FaultProxy, run_fault_proxy
from tests.support.layout import make_layout
from tests.support.order import check_order, check_state, read_log

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.command import Publish
    from tests.support.fault_proxy import ProxyFault

_EVERY = {"kill": 5, "signal": 8}
_TAGS = ("1.1.0", "1.1", "1", "latest")


@dataclass(frozen=True)
class StoppedRelease:
    """How a run that was stopped ended, and what the registry was asked until then."""

    code: int
    stderr: str
    trace: list[dict[str, Any]]


class Shop:
    """A repository with one version, and the next one to release over a proxy that can be held."""

    def __init__(self, publish: Publish, folder: Path, sandbox: Sandbox, proxy: FaultProxy) -> None:
        self._publish, self._folder, self.sandbox, self.proxy = publish, folder, sandbox, proxy
        self.digests = {version: str(make_layout(folder / version, version)) for version in ("1.0.0", "1.1.0")}
        self._sources = {version: f"oci:{folder / version}" for version in self.digests}

    def _memory(self, name: str) -> dict[str, str]:
        """A cache for each repository: else its blobs would be mounted from the one before."""
        return {"XDG_CACHE_HOME": str(self._folder / "caches" / name)}

    def words(self, version: str, name: str) -> list[str]:
        """One release."""
        image = f"{self.proxy.host}/{name}"
        return ["release", self._sources[version], "--image", image, "--version", version, "--format", "json"]

    def archive(self, version: str) -> None:
        """Release it from docker's archive instead: its layer is compressed on the way, its manifest is made here."""
        archive = f"docker-archive:{self._folder / version}.tar"
        words = ["skopeo", "--insecure-policy", "copy", "-q", self._sources[version], f"{archive}:app:{version}"]
        subprocess.run(words, check=True)
        self._sources[version] = archive
        self.release(version, "archived")
        self.digests[version] = self.tags("archived")[version]

    def release(self, version: str, name: str) -> list[dict[str, Any]]:
        """Release without a fault; what the registry was asked meanwhile."""
        before = len(self.sandbox.requests)
        self.proxy.inject(None)
        result = self._publish(*self.words(version, name), environ=self._memory(name))
        assert result.code == 0, result.stderr
        trace = self.sandbox.requests[before:]
        check_order(read_log(trace), self.sandbox.store)
        return trace

    def stop(self, name: str, kind: ProxyFault, number: int, how: signal.Signals) -> StoppedRelease:
        """Release 1.1.0 and send a signal while one of its requests is under way."""
        before = len(self.sandbox.requests)
        self.proxy.inject(kind, number)
        with subprocess.Popen(
            [self._publish.program, *self.words("1.1.0", name)],
            env={**self._publish.environ, **self._memory(name)}, cwd=self._folder,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        ) as child:  # fmt: skip
            assert self.proxy.struck.wait(30), f"request {number} never came"
            child.send_signal(how)
            if how is signal.SIGKILL:
                child.wait(30)
            self.proxy.go.set()
            _out, stderr = child.communicate(timeout=60)
        trace = self.sandbox.requests[before:]
        check_order(read_log(trace), self.sandbox.store)
        check_state(self.sandbox.store, name)
        return StoppedRelease(child.returncode, stderr, trace)

    def tags(self, name: str) -> dict[str, str]:
        """Every tag and its digest."""
        return self.sandbox.store.state().get(name, {})

    @property
    def right(self) -> dict[str, str]:
        """Where every tag belongs once both versions are there."""
        old, new = self.digests["1.0.0"], self.digests["1.1.0"]
        return {"1.0.0": old, "1.0": old, **dict.fromkeys(_TAGS, new)}

    def receipts(self, name: str) -> list[dict[str, Any]]:
        """Those of 1.1.0 in that repository."""
        documents = [json.loads(path.read_text()) for path in (self._publish.home / "state").rglob("*.json")]
        return [
            document
            for document in documents
            if document["plan"]["release"] == "1.1.0" and f"/{name}:" in document["moves"][0]["reference"]
        ]


@pytest.fixture
def shop(publish: Publish, tmp_path: Path) -> Iterator[Shop]:
    """The sandbox behind a proxy."""
    with ExitStack() as opened:
        sandbox = opened.enter_context(Sandbox())
        proxy = opened.enter_context(run_fault_proxy(sandbox.url.removeprefix("http://")))
        yield Shop(publish, tmp_path, sandbox, proxy)


def _positions(shop: Shop, config: pytest.Config, every: int) -> range:
    """The requests at which a release is stopped."""
    shop.release("1.0.0", "count")
    shop.release("1.1.0", "count")
    return range(1, len(shop.proxy.requests) + 1, 1 if config.getoption("--whole") else every)


@pytest.mark.parametrize("source", ["oci", "docker-archive"])
@pytest.mark.parametrize("kind", ["hold", "held"], ids=["before", "after"])
def test_a_killed_release_is_finished_by_a_rerun(
    kind: ProxyFault, source: str, shop: Shop, pytestconfig: pytest.Config, capsys: pytest.CaptureFixture[str]
) -> None:
    """In between no tag points to content that is missing; after it each is right, and no blob is sent twice."""
    if source == "docker-archive":
        shop.archive("1.1.0")
    positions = _positions(shop, pytestconfig, _EVERY["kill"])
    for number in positions:
        name = f"app-{number}"
        shop.release("1.0.0", name)
        sent = _uploads(shop.stop(name, kind, number, signal.SIGKILL).trace)
        again = shop.release("1.1.0", name)
        check_state(shop.sandbox.store, name)
        assert shop.tags(name) == shop.right, f"at {number}"
        assert not sent & _uploads(again), f"a blob was sent twice, killed at {number}"
    with capsys.disabled():
        summary = f"killed {len(positions)} times at {positions.stop - 1} requests ({source}, {kind})"
        sys.stdout.write(f"\n{summary}: every rerun finished, no blob was sent twice\n")


@pytest.mark.parametrize("kind", ["stall", "stalled"], ids=["before", "after"])
@pytest.mark.parametrize(("how", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["SIGINT", "SIGTERM"])
def test_a_release_that_is_asked_to_stop_tells_the_truth(
    how: signal.Signals, code: int, kind: ProxyFault, shop: Shop, pytestconfig: pytest.Config,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """The signal's exit code, no traceback, a receipt that says what the registry holds, and a rerun finishes."""
    positions, early = _positions(shop, pytestconfig, _EVERY["signal"]), 0
    for number in positions:
        name = f"app-{number}"
        shop.release("1.0.0", name)
        before = shop.tags(name)
        ended = shop.stop(name, kind, number, how)
        assert ended.code == code, f"at {number}: {ended.code} {ended.stderr}"
        assert "Traceback" not in ended.stderr, f"at {number}"
        kept = shop.receipts(name)
        early += not kept
        _check_receipt(kept, before, shop.tags(name), f"at {number}")
        shop.release("1.1.0", name)
        assert shop.tags(name) == shop.right, f"at {number}"
    with capsys.disabled():
        summary = f"{how.name} {len(positions)} times at {positions.stop - 1} requests, {kind}: exit code {code}"
        sys.stdout.write(f"\n{summary}, {early} times before a receipt, each receipt true, every rerun finished\n")


def _check_receipt(kept: list[dict[str, Any]], before: dict[str, str], after: dict[str, str], where: str) -> None:
    """No tag has changed that the receipt doesn't tell of; without one none has."""
    if not kept:
        assert after == before, where
        return
    (receipt,) = kept
    states = {move["reference"].rpartition(":")[2]: move for move in receipt["moves"]}
    assert receipt["error"]["kind"] == "interrupted", where
    for tag, move in states.items():
        assert move["state"] == "unknown" or move["after"] == after.get(tag), f"{where}: {tag} is {move['state']}"
    changed = {tag for tag in after if after[tag] != before.get(tag)}
    assert changed <= {tag for tag, move in states.items() if move["state"] in {"done", "unknown"}}, where
    assert receipt["outcome"] == ("incomplete" if changed else "failed") or _is_unsure(states), where


def _is_unsure(states: dict[str, Any]) -> bool:
    return any(move["state"] == "unknown" for move in states.values())


def _uploads(trace: list[dict[str, Any]]) -> set[str]:
    """The digests of blobs whose upload was completed."""
    puts = (request for request in trace if request["method"] == "PUT" and "/blobs/uploads/" in request["path"])
    return {request["path"].partition("digest=")[2] for request in puts if request["status"] == 201}


def test_three_identical_runs(shop: Shop) -> None:
    """The second and third write nothing, and ask two things more than there are tags at most."""
    shop.release("1.0.0", "same")
    for _ in range(2):
        trace = shop.release("1.0.0", "same")
        assert not [request for request in trace if request["method"] not in {"GET", "HEAD"}]
        assert len(trace) <= len(_TAGS) + 2, trace
