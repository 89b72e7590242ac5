"""A release whose every request fails, against a real registry.

`pytest tests/chaos/test_every_request.py --whole` takes every request; by default every third. In more ways, and with
virtual time, tests/chaos/test_every_fault.py does the same.
"""

from __future__ import annotations

import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.support.fault_proxy import run_fault_proxy
from tests.support.layout import make_layout
from tests.support.order import check_order

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.command import Publish, Result
    from tests.support.fault_proxy import FaultProxy, ProxyFault
    from tests.support.registry import RegistryProcess

TAGS = {"1.0.0", "1.0", "1", "latest"}


@dataclass(frozen=True)
class Trial:
    """Releases of one layout over a proxy that fails, each to a repository of its own."""

    publish: Publish
    proxy: FaultProxy
    registry: RegistryProcess
    name: str
    layout: Path
    digest: str
    stride: int

    def release(self, number: int) -> Result:
        """One of them."""
        image = f"{self.proxy.host}/{self.name}/{number}"
        words = ["release", f"oci:{self.layout}", "--image", image, "--version", "1.0.0", "--format", "json"]
        result = self.publish(*words)
        check_order(self.proxy.trace, None)
        return result

    def positions(self, half: int) -> range:
        """Which requests to fail, of those that it takes when none fails."""
        self.proxy.inject(None)
        assert self.release(0).code == 0
        return range(1 + (half - 1) * self.stride, len(self.proxy.requests) + 1, 2 * self.stride)

    def tags(self, number: int) -> dict[str, str]:
        """What the registry holds in the end, by tag."""
        return {tag: digest for tag in TAGS if (digest := self._digest(number, tag))}

    def _digest(self, number: int, tag: str) -> str | None:
        request = urllib.request.Request(
            f"{self.registry.url}/v2/{self.name}/{number}/manifests/{tag}",
            headers={"Accept": "application/vnd.oci.image.manifest.v1+json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return str(answer.headers["Docker-Content-Digest"])
        except urllib.error.HTTPError as error:
            error.close()
            return None


@pytest.fixture
def trial(
    registry: RegistryProcess, publish: Publish, name: str, tmp_path: Path, pytestconfig: pytest.Config
) -> Iterator[Trial]:
    """A layout to release, and the link to the registry."""
    digest, stride = make_layout(tmp_path / "layout", name), 1 if pytestconfig.getoption("--whole") else 3
    with run_fault_proxy(registry.host) as proxy:
        yield Trial(publish, proxy, registry, name, tmp_path / "layout", str(digest), stride)


# Each in two halves, for two workers.
@pytest.mark.parametrize("half", [1, 2], ids=["odd", "even"])
@pytest.mark.parametrize("kind", ["reset", "lost"])
def test_a_request_that_fails_once_is_no_matter(kind: ProxyFault, half: int, trial: Trial) -> None:
    """Whichever connection breaks, before or after the registry acted, the release is done, with every tag right."""
    for number in trial.positions(half):
        trial.proxy.inject(kind, number)
        result = trial.release(number)
        assert result.code == 0, f"{kind} at request {number}: {result.stderr}"
        assert trial.tags(number) == dict.fromkeys(TAGS, trial.digest)


@pytest.mark.parametrize("half", [1, 2], ids=["odd", "even"])
def test_what_fails_for_good_tells_the_truth(half: int, trial: Trial) -> None:
    """From any request on all is refused: the report is what the registry holds, and a rerun finishes."""
    for number in trial.positions(half):
        trial.proxy.inject("forbidden", number, rest=True)
        failed = trial.release(number)
        tags = trial.tags(number)
        moves = failed.document.get("moves", [])
        states = {move["reference"].rpartition(":")[2]: move["state"] for move in moves}
        assert failed.code == (7 if moves else 3), failed.stderr
        assert set(tags.values()) <= {trial.digest}
        assert {tag for tag, state in states.items() if state == "done"} <= set(tags)
        assert not {tag for tag, state in states.items() if state == "not-done"} & set(tags)
        assert set(tags) <= set(states), f"a tag was written and not told, at request {number}"
        trial.proxy.inject(None)
        again = trial.release(number)
        assert again.code == 0, again.stderr
        assert trial.tags(number) == dict.fromkeys(TAGS, trial.digest)
