"""A release of which any one request fails in passing: it is done all the same.

`pytest tests/chaos/test_transient_faults.py --whole` tries every kind at every request; by default each kind at every
tenth, another tenth for each.
"""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from typing import TYPE_CHECKING, get_args

import pytest

from publisher.model.digest import Digest
from publisher.model.media import ACCEPT
from tests.support.fault_proxy import FaultProxy, TransientFault, run_fault_proxy
from tests.support.layout import make_layout

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.command import Publish
    from tests.support.registry import RegistryProcess

KINDS: tuple[TransientFault, ...] = get_args(TransientFault)
EVERY = 10
TAGS = {"1.0.0", "1.0", "1", "latest"}


class Trial:
    """Releases of one image over a proxy that fails, each to a repository of its own."""

    def __init__(self, publish: Publish, registry: RegistryProcess, proxy: FaultProxy, source: str, name: str) -> None:
        self._publish, self._registry, self.proxy, self._source, self._name = publish, registry, proxy, source, name
        self.runs = 0

    def release(self) -> str:
        """One release that must succeed; the digest that all tags hold."""
        self.runs += 1
        name = f"{self._name}/{self.runs}"
        words = ("release", self._source, "--image", f"{self.proxy.host}/{name}", "--version", "1.0.0")
        # Without the cache, so that each sends what it has.
        fresh = {"XDG_CACHE_HOME": str(self._publish.home / str(self.runs))}
        result = self._publish(*words, "--format", "json", environ=fresh)
        assert result.code == 0, result.stderr
        digests = {self._digest(name, tag) for tag in TAGS}
        assert len(digests) == 1
        assert {move["after"] for move in result.document["moves"]} == digests
        return digests.pop()

    def _digest(self, name: str, tag: str) -> str:
        request = urllib.request.Request(f"{self._registry.url}/v2/{name}/manifests/{tag}", headers={"Accept": ACCEPT})
        with urllib.request.urlopen(request, timeout=5) as answer:
            return str(Digest.of(answer.read()))

    def count(self) -> int:
        """How many requests a release takes when none fails."""
        self.proxy.inject(None)
        self.release()
        return len(self.proxy.requests)


@pytest.fixture(params=["oci", "docker-archive"])
def trial(
    request: pytest.FixtureRequest, registry: RegistryProcess, publish: Publish, name: str, tmp_path: Path
) -> Iterator[Trial]:
    """A manifest that passes as it is, and an image that is compressed on its way."""
    make_layout(tmp_path / "layout", name)
    source = f"oci:{tmp_path / 'layout'}"
    if request.param == "docker-archive":
        archive = f"docker-archive:{tmp_path / 'image.tar'}"
        subprocess.run(["skopeo", "--insecure-policy", "copy", "-q", source, f"{archive}:app:1"], check=True)
        source = archive
    with run_fault_proxy(registry.host) as proxy:
        yield Trial(publish, registry, proxy, source, name)


def test_a_request_that_fails_in_passing_is_no_matter(
    trial: Trial, pytestconfig: pytest.Config, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever the kind of fault and wherever it strikes, the release is done and its tags are right."""
    count = trial.count()
    whole = pytestconfig.getoption("--whole")
    positions = [
        (kind, number)
        for index, kind in enumerate(KINDS)
        for number in range(1 if whole else 1 + index * 7 % EVERY, count + 1, 1 if whole else EVERY)
    ]
    for kind, number in positions:
        trial.proxy.inject(kind, number)
        try:
            trial.release()
        except AssertionError as error:
            raise AssertionError(f"{kind} at request {number}: {error}") from error
    with capsys.disabled():
        sys.stdout.write(f"\n{len(positions)} releases of {count} requests, {len(KINDS)} kinds of fault: all done\n")


def test_six_failures_in_a_row_are_no_matter(trial: Trial, pytestconfig: pytest.Config) -> None:
    """A registry that is away for a moment."""
    count = trial.count()
    for number in range(1, count + 1, 1 if pytestconfig.getoption("--whole") else EVERY):
        trial.proxy.inject("503", number, times=6)
        trial.release()
