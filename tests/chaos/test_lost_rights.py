"""Rights, room and repositories that vanish in the middle of a release, at any of its requests.

`pytest tests/chaos/test_lost_rights.py --whole` takes every request; by default every fifth.
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import pytest

from publisher.sandbox.options import EVERYTHING, Options, User
from publisher.sandbox.tag_history import Details
from tests.support import simulated_faults as faults
from tests.support.check_receipt import check_receipt, is_written
from tests.support.commands import CommandResult, release_of
from tests.support.layout import make_layout
from tests.support.order import check_order
from tests.support.seed import put_versions
from tests.support.simulation import SimulatedRun, World

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.simulated_faults import SimulatedFault
    from tests.support.simulation import SimulatedRequest

NAME = "acme/app"
EXACT = r"[0-9]+\.[0-9]+\.[0-9]+"
WRITES = frozenset({"POST", "PUT", "PATCH"})
FULL = replace(faults.FORBIDDEN, name="quota", message="storage will exceed the configured upper limit", code=6)
FROZEN = replace(faults.FORBIDDEN, name="frozen", message="tag cannot be updated due to immutability settings", code=4)


@dataclass(frozen=True)
class Trial:
    """A release of 1.1.0 beside 1.0.0."""

    layout: Path
    machines: Path

    def begin(self, where: str, options: Options | None = None) -> tuple[World, SimulatedRun]:
        """A registry with 1.0.0."""
        world = World(options=options)
        put_versions(world, NAME, ["1.0.0"])
        return world, SimulatedRun(world, 0, self.machines / where)

    def release(self, run: SimulatedRun) -> CommandResult:
        """Release it."""
        return release_of(run, f"oci:{self.layout}", "1.1.0", NAME)

    def count(self) -> int:
        """How many requests it takes."""
        world, run = self.begin("count")
        with world:
            assert self.release(run).code == 0
        return run.count


@pytest.fixture
def trial(tmp_path: Path) -> Trial:
    """A layout to release."""
    make_layout(tmp_path / "layout", "1.1.0")
    return Trial(tmp_path / "layout", tmp_path / "machines")


@pytest.fixture
def positions(trial: Trial, pytestconfig: pytest.Config) -> range:
    """The requests from which on something is gone."""
    return range(1, trial.count() + 1, 1 if pytestconfig.getoption("--whole") else 5)


def _refuse(
    kind: SimulatedFault, first: int, path: str, number: int, method: str, target: str
) -> SimulatedFault | None:
    return kind if number >= first and method in WRITES and path in target else None


@pytest.mark.parametrize(
    ("kind", "path"),
    [(faults.FORBIDDEN, "/"), (faults.UNAUTHORIZED, "/"), (FULL, "/"), (FULL, "/blobs/"), (FROZEN, "/manifests/")],
    ids=["rights", "login", "room", "room-for-blobs", "frozen-tags"],
)
def test_writes_that_are_refused_from_a_moment_on(
    kind: SimulatedFault, path: str, trial: Trial, positions: range, capsys: pytest.CaptureFixture[str]
) -> None:
    """Told as what it is; as reads still work, nothing is unknown."""
    codes: Counter[int] = Counter()
    for number in positions:
        where = f"{kind} from request {number} on"
        world, run = trial.begin(f"{kind}-{number}")
        with world:
            before = {NAME: world.tags(NAME)}
            run.fault_of = partial(_refuse, kind, number, path)
            ended = trial.release(run)
            check_receipt(ended, before, world, where)
            check_order(run.trace, world.store)
            assert "unknown" not in ended.states.values(), where
            assert ended.code in {0, 7 if is_written(ended) else kind.code}, f"{where}: {ended}"
            if ended.code:
                message = ended.document["error"]["message"] if is_written(ended) else ended.document["message"]
                assert kind.message in message, f"{where}: {message}"
            assert trial.release(SimulatedRun(world, 0, run.machine)).code == 0
            codes[ended.code] += 1
    _say(capsys, f"{kind} on {path}: {codes.total()} times, exit codes {dict(sorted(codes.items()))}, all told true")


def test_repository_that_is_deleted(trial: Trial, positions: range, capsys: pytest.CaptureFixture[str]) -> None:
    """A run that notices says so, one that ends well has all of it there, and a rerun publishes the rest."""
    codes: Counter[int] = Counter()
    for number in positions:
        where = f"deleted before request {number}"
        world, run = trial.begin(f"deleted-{number}")
        with world:
            run.fault_of = partial(_delete, world, number)
            ended = trial.release(run)
            done = {ref.rpartition(":")[2]: ended.after[ref] for ref, state in ended.states.items() if state == "done"}
            assert ended.code != 0 or done.items() <= world.tags(NAME).items(), where
            assert ended.code in ({0, 7} if is_written(ended) else {0, 4, 5, 6}), f"{where}: {ended}"
            again = trial.release(SimulatedRun(world, 0, run.machine))
            assert again.code == 0, f"{where}: {again}"
            assert {"1.1.0", "1.1", "1", "latest"} <= set(world.tags(NAME)), where
            codes[ended.code] += 1
    _say(
        capsys,
        f"deleted the repository {codes.total()} times: exit codes {dict(sorted(codes.items()))}, every rerun finished",
    )


def _delete(world: World, when: int, number: int, _method: str, _path: str) -> None:
    if number == when:
        world.store._repositories.pop(NAME, None)


def test_a_token_that_may_only_read_sends_nothing(trial: Trial) -> None:
    """Exit 3 in the preflight: no blob, no manifest, no tag."""
    reader = {"sandbox": User("sandbox", ("repository:*:pull",), "repo:read")}
    world, run = trial.begin("reader", Options(auth=True, users=reader))
    with world:
        before = world.tags(NAME)
        ended = trial.release(run)
        assert (ended.code, ended.document["kind"]) == (3, "denied")
        assert not _sent(run.trace)
        assert world.tags(NAME) == before


def test_a_token_that_is_narrowed(trial: Trial, positions: range, capsys: pytest.CaptureFixture[str]) -> None:
    """A token service that gives less from a moment on, with tokens that live a second: exit 3 or 7, told true."""
    codes: Counter[int] = Counter()
    for number in positions:
        users = {"sandbox": User("sandbox", EVERYTHING)}
        world, run = trial.begin(f"narrowed-{number}", Options(auth=True, users=users, token_life=1))
        with world:
            before = {NAME: world.tags(NAME)}
            run.fault_of = partial(_narrow, world, users, number)
            ended = trial.release(run)
            check_receipt(ended, before, world, f"narrowed at {number}")
            assert ended.code in ({0, 7} if is_written(ended) else {0, 3}), f"narrowed at {number}: {ended}"
            codes[ended.code] += 1
    _say(capsys, f"narrowed a token {codes.total()} times: exit codes {dict(sorted(codes.items()))}, all told true")


def _narrow(world: World, users: dict[str, User], when: int, number: int, _method: str, _path: str) -> None:
    if number == when:
        world.wait(2)
        users["sandbox"] = User("sandbox", ("repository:*:pull",), "repo:read")


def test_frozen_floating_tags_are_found_before_anything_is_sent(trial: Trial) -> None:
    """Docker Hub's own rules are asked for in the preflight: exit 4, nothing sent."""
    world, run = trial.begin("rules")
    with world:
        world.store.describe(NAME, Details(immutable=True, rules=("^latest$",)))
        ended = trial.release(run)
        assert (ended.code, ended.document["kind"]) == (4, "immutable")
        assert not _sent(run.trace)


def test_tags_that_a_registry_freezes_unasked(trial: Trial) -> None:
    """Where nobody says so before: the exact tag is written, the frozen ones are told, and nothing is unknown."""
    world, run = trial.begin("frozen", Options(immutable=(EXACT, "latest")))
    with world:
        before = {NAME: world.tags(NAME)}
        ended = trial.release(run)
        assert ended.code == 7
        assert ended.states[f"{NAME}:latest"] == "not-done"
        assert ended.states[f"{NAME}:1.1.0"] == "done"
        assert "frozen" in ended.document["error"]["message"]
        assert "undo" in ended.document["error"]["hint"]
        check_receipt(ended, before, world, "frozen")


def _sent(trace: list[SimulatedRequest]) -> list[SimulatedRequest]:
    """What a run has put there."""
    return [request for request in trace if request.method in {"PUT", "PATCH"}]


def _say(capsys: pytest.CaptureFixture[str], text: str) -> None:
    with capsys.disabled():
        sys.stdout.write(f"\n{text}\n")
