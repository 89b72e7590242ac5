"""Fixtures: the real parts of tests/support, started once a worker."""

from __future__ import annotations

import os
import signal
import uuid
from typing import TYPE_CHECKING

import pytest

from tests.support.command import Publish
from tests.support.engine import EngineProcess, run_engine
from tests.support.network import block_network
from tests.support.podman import run_podman
from tests.support.process import one_at_a_time
from tests.support.registry import RegistryProcess, run_registry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_NO_ENGINE = os.environ.get("PUBLISH_TEST_NO_ENGINE") == "1"


def pytest_addoption(parser: pytest.Parser) -> None:
    """The sweeps of tests/chaos: a sample by default, all of them on demand; the screens and pictures in docs/."""
    parser.addoption("--update-screens", action="store_true", help="write docs/screens and docs/tag-history.svg anew")
    parser.addoption("--seed", type=int, help="replay one seed of the races")
    parser.addoption("--seeds", type=int, default=200, help="how many seeds to race")
    parser.addoption("--whole", action="store_true", help="sweep every position, not a sample")


def pytest_configure() -> None:
    """Tests see no proxy of this machine, and no network; interrupts arrive, even below a shell that ignores them."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        os.environ.pop(name, None)
        os.environ.pop(name.lower(), None)
    block_network()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without an engine its tests are expected to fail, by name; they are never silently left out."""
    for item in items:
        if {"engine", "podman"} & set(getattr(item, "fixturenames", ())):
            item.add_marker("engine")
            if _NO_ENGINE:
                item.add_marker(pytest.mark.xfail(reason="PUBLISH_TEST_NO_ENGINE=1", run=False))


@pytest.fixture(scope="session")
def engine(worker_id: str) -> Iterator[EngineProcess]:
    """A Docker Engine."""
    number = int(worker_id.removeprefix("gw")) if worker_id.startswith("gw") else 0
    with run_engine(number) as running:
        yield running


@pytest.fixture(scope="session")
def podman(worker_id: str, registry: RegistryProcess) -> Iterator[EngineProcess]:
    """podman's socket, which may use `registry`."""
    number = int(worker_id.removeprefix("gw")) if worker_id.startswith("gw") else 0
    with run_podman(number, registry.host) as running:
        yield running


@pytest.fixture(scope="session", params=["docker", "podman"])
def any_engine(request: pytest.FixtureRequest) -> EngineProcess:
    """Docker Engine and podman, one after the other."""
    found = request.getfixturevalue("engine" if request.param == "docker" else "podman")
    assert isinstance(found, EngineProcess)
    return found


@pytest.fixture
def networks() -> Iterator[None]:
    """Networks made by engines that don't know of each other take the same addresses: one test at a time."""
    with one_at_a_time("networks"):
        yield


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryProcess]:
    """A registry that anybody may write to."""
    with run_registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture(scope="session")
def other_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryProcess]:
    """A second one."""
    with run_registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture(scope="session")
def private_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryProcess]:
    """A registry that wants a user and a password."""
    with run_registry(tmp_path_factory.mktemp("registry"), htpasswd=True) as running:
        yield running


@pytest.fixture
def publish(tmp_path: Path) -> Publish:
    """`publish` without an engine."""
    home = tmp_path / "home"
    home.mkdir()
    return Publish(home, {"DOCKER_HOST": f"unix://{tmp_path}/absent.sock"})


@pytest.fixture
def publish_with_engine(tmp_path: Path, engine: EngineProcess) -> Publish:
    """`publish` with the engine at hand."""
    home = tmp_path / "home"
    home.mkdir()
    return Publish(home, {"DOCKER_HOST": engine.host})


@pytest.fixture
def name() -> str:
    """A repository's name that no other test uses."""
    return f"t/{uuid.uuid4().hex[:12]}"


@pytest.fixture
def publish_with_any(tmp_path: Path, any_engine: EngineProcess) -> Publish:
    """`publish` with each engine at hand."""
    home = tmp_path / "home"
    home.mkdir()
    return Publish(home, {"DOCKER_HOST": any_engine.host})
