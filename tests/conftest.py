"""Fixtures: the real parts of tests/support, started once a worker."""

from __future__ import annotations

import os
import signal
import uuid
from typing import TYPE_CHECKING

import pytest

from tests.support.command import Publish
from tests.support.engine import EngineProcess, run_engine
from tests.support.network import SHARED, block_network, is_apart, live_apart
from tests.support.parts import ENGINES, PODMANS, add_buildx, versions
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
    live_apart()
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        os.environ.pop(name, None)
        os.environ.pop(name.lower(), None)
    block_network()


def pytest_report_header() -> list[str]:
    """Which parts are tested; whether their network is the machine's."""
    lines = [] if _NO_ENGINE else [f"today's parts: {versions()}"]
    return lines if is_apart() else [*lines, SHARED]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without an engine its tests are expected to fail, by name; they are never silently left out.

    So are those that publish isn't ready for yet on one of the engines.
    """
    starting = {*ENGINES.values(), *PODMANS.values(), "engine", "podman", "any_engine"}
    for item in items:
        for mark in item.iter_markers("not_yet"):
            if _is_meant(item, *mark.args):
                item.add_marker(pytest.mark.xfail(**mark.kwargs))
        if starting & set(getattr(item, "fixturenames", ())) or item.get_closest_marker("engine"):
            item.add_marker("engine")
            if _NO_ENGINE:
                item.add_marker(pytest.mark.xfail(reason="PUBLISH_TEST_NO_ENGINE=1", run=False))


def _is_meant(item: pytest.Item, engine: str, *others: str) -> bool:
    """Whether the item's parameters are that engine and, where others are named, one of them."""
    params = getattr(item, "callspec").params.values()  # noqa: B009 # only functions with parameters have it
    return engine in params and (not others or bool({*others} & {*map(str, params)}))


def _number(worker_id: str, part: int) -> int:
    """One for each part of each worker."""
    return 4 * int(worker_id.removeprefix("gw") if worker_id.startswith("gw") else 0) + part


@pytest.fixture(scope="session")
def containerd_engine(worker_id: str) -> Iterator[EngineProcess]:
    """Today's Docker Engine: images in containerd, builds by BuildKit."""
    with run_engine(_number(worker_id, 0), "containerd") as running:
        yield running


@pytest.fixture(scope="session")
def classic_engine(worker_id: str) -> Iterator[EngineProcess]:
    """The system's Docker Engine with the store and the builder that all had before."""
    with run_engine(_number(worker_id, 1), "classic") as running:
        yield running


@pytest.fixture(scope="session")
def todays_podman(worker_id: str, registry: RegistryProcess) -> Iterator[EngineProcess]:
    """Today's podman's socket, which may use `registry`."""
    with run_podman(_number(worker_id, 2), registry.host) as running:
        yield running


@pytest.fixture(scope="session")
def old_podman(worker_id: str, registry: RegistryProcess) -> Iterator[EngineProcess]:
    """The system's podman's socket, which may use `registry`."""
    with run_podman(_number(worker_id, 3), registry.host, old=True) as running:
        yield running


def _start(request: pytest.FixtureRequest) -> EngineProcess:
    running = request.getfixturevalue({**ENGINES, **PODMANS}[request.param])
    assert isinstance(running, EngineProcess)
    return running


@pytest.fixture(scope="session", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> EngineProcess:
    """Docker Engine with each of its stores, today's first."""
    return _start(request)


@pytest.fixture(scope="session", params=PODMANS)
def podman(request: pytest.FixtureRequest) -> EngineProcess:
    """podman, today's first."""
    return _start(request)


@pytest.fixture(scope="session", params=[*ENGINES, *PODMANS])
def any_engine(request: pytest.FixtureRequest) -> EngineProcess:
    """Docker Engine and podman, one after the other."""
    return _start(request)


@pytest.fixture
def networks() -> Iterator[None]:
    """podmans that don't know of each other call their bridges by the same names: one test at a time."""
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
    home.mkdir(exist_ok=True)
    return Publish(home, {"DOCKER_HOST": f"unix://{tmp_path}/absent.sock"})


@pytest.fixture
def publish_with_engine(tmp_path: Path, engine: EngineProcess) -> Publish:
    """`publish` with the engine at hand."""
    return _publish_with(engine, tmp_path / "home")


@pytest.fixture
def name() -> str:
    """A repository's name that no other test uses."""
    return f"t/{uuid.uuid4().hex[:12]}"


@pytest.fixture
def publish_with_any(tmp_path: Path, any_engine: EngineProcess) -> Publish:
    """`publish` with each engine at hand."""
    return _publish_with(any_engine, tmp_path / "home")


def _publish_with(engine: EngineProcess, home: Path) -> Publish:
    """Where images are in containerd, docker's CLI has buildx, as it is installed with such an engine."""
    home.mkdir(exist_ok=True)
    if engine.store == "containerd":
        add_buildx(home / "docker")
    return Publish(home, {"DOCKER_HOST": engine.host})
