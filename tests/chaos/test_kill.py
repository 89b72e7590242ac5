"""A release that is killed at any of its requests, before and after the registry acted.

`pytest tests/chaos/test_kill.py --whole` kills it at every request; by default at every third.
"""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from publisher.sandbox.server import Sandbox
from tests.parts.faults import FaultyLink, run_faulty_link
from tests.parts.layout import make_layout
from tests.parts.order import check_order, check_state

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.parts.command import Publish
    from tests.parts.faults import Kind

_EVERY = 3


class Shop:
    """A repository with one version, and the next one to release over a link that can be held."""

    def __init__(self, publish: Publish, folder: Path, sandbox: Sandbox, link: FaultyLink) -> None:
        self._publish, self._folder, self.sandbox, self.link = publish, folder, sandbox, link
        self.digests = {version: str(make_layout(folder / version, version)) for version in ("1.0.0", "1.1.0")}

    def words(self, version: str, name: str) -> list[str]:
        """One release."""
        image = f"{self.link.host}/{name}"
        return ["release", f"oci:{self._folder / version}", "--image", image, "--version", version, "--format", "json"]

    def release(self, version: str, name: str) -> list[dict[str, Any]]:
        """Release without a fault; what the registry was asked meanwhile."""
        before = len(self.sandbox.requests)
        self.link.order(None)
        result = self._publish(*self.words(version, name))
        assert result.code == 0, result.stderr
        return self.sandbox.requests[before:]

    def kill(self, name: str, kind: Kind, number: int) -> list[dict[str, Any]]:
        """Kill the release of 1.1.0 at a request; what the registry was asked until then."""
        before = len(self.sandbox.requests)
        self.link.order(kind, number)
        command = [self._publish.program, *self.words("1.1.0", name)]
        with subprocess.Popen(
            command, env=self._publish.environ, cwd=self._folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as child:
            assert self.link.struck.wait(30), f"request {number} never came"
            child.kill()
        self.link.go.set()
        return self.sandbox.requests[before:]


@pytest.fixture
def shop(publish: Publish, tmp_path: Path) -> Iterator[Shop]:
    """The sandbox behind a link."""
    with ExitStack() as opened:
        sandbox = opened.enter_context(Sandbox())
        link = opened.enter_context(run_faulty_link(sandbox.url.removeprefix("http://")))
        yield Shop(publish, tmp_path, sandbox, link)


@pytest.mark.parametrize("kind", ["hold", "held"], ids=["before", "after"])
def test_a_killed_release_is_finished_by_a_rerun(
    kind: Kind, shop: Shop, pytestconfig: pytest.Config, capsys: pytest.CaptureFixture[str]
) -> None:
    """In between no tag points to content that is missing; after it each is right, and no blob is sent twice."""
    shop.release("1.0.0", "count")
    trace = shop.release("1.1.0", "count")
    check_order(trace, "count")
    count, killed = len(shop.link.requests), 0
    for number in range(1, count + 1, 1 if pytestconfig.getoption("--whole") else _EVERY):
        name = f"app-{number}"
        shop.release("1.0.0", name)
        sent = _uploads(shop.kill(name, kind, number))
        check_state(shop.sandbox.store, name)
        again = shop.release("1.1.0", name)
        check_state(shop.sandbox.store, name)
        old, new = shop.digests["1.0.0"], shop.digests["1.1.0"]
        held = shop.sandbox.store.state()[name]
        assert held == {"1.0.0": old, "1.0": old, "1.1.0": new, "1.1": new, "1": new, "latest": new}, f"at {number}"
        assert not sent & _uploads(again), f"a blob was sent twice, killed at {number}"
        killed += 1
    with capsys.disabled():
        sys.stdout.write(f"\nkilled {killed} times at {count} requests, {kind}: every rerun finished\n")


def _uploads(trace: list[dict[str, Any]]) -> set[str]:
    """The digests of blobs whose upload was completed."""
    puts = (one for one in trace if one["method"] == "PUT" and "/blobs/uploads/" in one["path"])
    return {one["path"].partition("digest=")[2] for one in puts if one["status"] == 201}


def test_three_identical_runs(shop: Shop) -> None:
    """The second and third write nothing."""
    shop.release("1.0.0", "same")
    for _ in range(2):
        trace = shop.release("1.0.0", "same")
        assert not [one for one in trace if one["method"] in {"PUT", "PATCH", "DELETE"}]
