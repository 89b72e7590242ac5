"""One byte of an image changes, on its way or where it lies: never does a release or a verification pass over it.

`pytest tests/chaos/test_flipped_bytes.py --whole` changes each byte; by default every 97th.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from publisher.model.digest import Digest
from publisher.model.documents import VerdictState
from publisher.model.errors import PublishError
from publisher.model.reference import Reference
from publisher.report.progress import Teller
from publisher.workflows.jobs import PlanOptions, jobs
from publisher.workflows.release import ReleaseOptions, prepare, release
from publisher.workflows.session import Session
from publisher.workflows.verify import Expectation, verify_references
from tests.contracts.client import Client
from tests.support.fault_proxy import FaultProxy, run_fault_proxy
from tests.support.layout import make_layout

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.registry import RegistryProcess

EVERY = 97


class Hasty(Session):
    """A session that tries again without waiting, in a state of its own."""

    engine_at_hand = None

    def __init__(self, folder: Path, run: int = 0) -> None:
        # A cache for each run: else a blob would be mounted from the repository of the run before, and not read.
        cache = str(folder / "caches" / str(run))
        environ = {"HOME": str(folder), "DOCKER_CONFIG": str(folder), "XDG_CACHE_HOME": cache}
        environ["DOCKER_HOST"] = "unix:///nowhere"
        super().__init__(environ, folder, Teller(quiet=True))

    def pause(self, seconds: float) -> None:
        """Don't."""


class Trial:
    """An image, and releases of it that may be damaged."""

    def __init__(self, folder: Path, registry: RegistryProcess, proxy: FaultProxy, name: str) -> None:
        self.folder, self.registry, self.proxy, self.name = folder, registry, proxy, name
        self.digest = str(make_layout(folder / "layout", name))
        self.blobs = sorted(path for path in (folder / "layout" / "blobs").rglob("*") if path.is_file())
        self.runs = 0

    def release(self, *, host: str, verify: str = "deep") -> str:
        """Release to a repository of its own; "" or what was wrong."""
        self.runs += 1
        wish = PlanOptions(images=(f"{host}/{self.name}/{self.runs}",), labels={}, version="1.0.0")
        try:
            with Hasty(self.folder, self.runs) as session:
                (job,) = jobs(session.settings, wish)
                options = ReleaseOptions(verify=verify)
                run = release(session, prepare(session, job, wish, ["oci:layout"], options), options)
                return run.error.message if run.error else ""
        except PublishError as error:
            return error.message

    def check(self) -> None:
        """What the last release left in the registry is the image or nothing: read by another client, byte by byte."""
        with Client(self.registry.url) as client:
            path = f"/v2/{self.name}/{self.runs}"
            for tag in ("1.0.0", "1.0", "1", "latest"):
                answer = client.request("GET", f"{path}/manifests/{tag}")
                assert answer.status_code == 404 or str(Digest.of(answer.content)) == self.digest
                blobs = [*answer.json()["layers"], answer.json()["config"]] if answer.status_code == 200 else []
                for blob in blobs:
                    assert (
                        str(Digest.of(client.request("GET", f"{path}/blobs/{blob['digest']}").content))
                        == blob["digest"]
                    )

    def verdict(self) -> VerdictState:
        """What `publish verify --verify deep` says of the last release."""
        reference = Reference.parse(f"{self.registry.host}/{self.name}/{self.runs}:1.0.0")
        with Hasty(self.folder) as session:
            return verify_references(session, [reference], Expectation(level="deep"))[0].state


@pytest.fixture
def trial(registry: RegistryProcess, name: str, tmp_path: Path) -> Iterator[Trial]:
    """One of them."""
    with run_fault_proxy(registry.host) as proxy:
        yield Trial(tmp_path, registry, proxy, name)


@pytest.fixture
def step(pytestconfig: pytest.Config) -> int:
    """How far the next byte is."""
    return 1 if pytestconfig.getoption("--whole") else EVERY


def flip(path: Path, offset: int) -> None:
    """Change one byte where it lies; twice puts it right again."""
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    path.write_bytes(content)


def tell(capsys: pytest.CaptureFixture[str], count: int, what: str) -> None:
    """The count, in the run's output."""
    with capsys.disabled():
        sys.stdout.write(f"\n{count} bytes flipped {what}: all detected\n")


def test_at_rest_before_it_is_sent(trial: Trial, step: int, capsys: pytest.CaptureFixture[str]) -> None:
    """The release fails, and no tag moves."""
    places = [(path, offset) for path in trial.blobs for offset in range(path.stat().st_size)][::step]
    for path, offset in places:
        flip(path, offset)
        assert trial.release(host=trial.registry.host), f"byte {offset} of {path.name[:12]} went unseen"
        flip(path, offset)
        with Client(trial.registry.url) as client:
            assert client.request("GET", f"/v2/{trial.name}/{trial.runs}/manifests/1.0.0").status_code == 404
    assert not trial.release(host=trial.registry.host)
    tell(capsys, len(places), "at rest before they are sent")


@pytest.mark.parametrize("way", ["up", "down"])
def test_on_its_way(trial: Trial, step: int, way: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Up it is sent again. Down it is read again, or the release fails; the registry holds the image or nothing."""
    size = sum(path.stat().st_size for path in trial.blobs)
    # Each byte goes up once, but for the manifest's: once by digest and once for each tag. All of it is read back.
    places = range(0, size * 2, step)
    for offset in places:
        trial.proxy.flip("up" if way == "up" else "down", offset)
        wrong = trial.release(host=trial.proxy.host)
        assert way == "down" or not wrong, f"byte {offset} was not sent again: {wrong}"
        trial.check()
    trial.proxy.flip(None)
    assert not trial.release(host=trial.proxy.host)
    tell(capsys, len(places), f"on their way {way}")


def test_at_rest_in_the_registry(trial: Trial, step: int, capsys: pytest.CaptureFixture[str]) -> None:
    """A deep verification never calls it equal."""
    assert not trial.release(host=trial.registry.host)
    data = trial.registry.log.parent / "data" / "docker" / "registry" / "v2" / "blobs" / "sha256"
    stored = [data / path.name[:2] / path.name / "data" for path in trial.blobs]
    places = [(path, offset) for path in stored for offset in range(path.stat().st_size)][::step]
    for path, offset in places:
        flip(path, offset)
        assert trial.verdict() in {VerdictState.DIFFERENT, VerdictState.MISSING, VerdictState.UNKNOWN}
        flip(path, offset)
    assert trial.verdict() is VerdictState.EQUAL
    tell(capsys, len(places), "at rest in the registry")
