"""Undo, yank and reconcile, killed or refused at any of their requests; and a release that is undone after it died.

`pytest tests/chaos/test_repairs.py --whole` stops them at every request; by default at some of them.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import pytest

from publisher.sandbox.options import Options
from publisher.workflows.yank import YankOptions
from tests.support import simulated_faults as faults
from tests.support.check_receipt import check_receipt, is_written
from tests.support.commands import KILLED, CommandResult, reconcile_of, release_of, retag_of, undo_of, yank_of
from tests.support.layout import make_layout
from tests.support.order import check_order, check_state
from tests.support.seed import floating_tags, put_image, put_versions
from tests.support.simulation import SimulatedRun, World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.simulated_faults import SimulatedFault

NAME = "acme/app"
TEN = ("1.0.0", "1.0.1", "1.1.0", "1.2.0", "1.2.1", "2.0.0", "2.0.1", "2.1.0", "3.0.0", "3.0.1")
KINDS = (faults.KILLED, faults.KILLED_AFTER, faults.FORBIDDEN, faults.BUSY, faults.LOST, faults.RESET, faults.USED_UP)
REGISTRIES = {"deletes-tags": Options(), "digests-only": Options(delete_by_tag=False)}


@dataclass(frozen=True)
class Repair:
    """A command, what it is done to, and where it leads."""

    versions: tuple[str, ...]
    before: Callable[[World, SimulatedRun], object]
    act: Callable[[SimulatedRun], CommandResult]


def _displace(world: World, _run: SimulatedRun) -> None:
    """Somebody has moved two floating tags by hand, and deleted one."""
    old = world.tags(NAME)["1.0.0"]
    for tag in ("latest", "2"):
        world.store.put_manifest(NAME, world.manifest(NAME, old), [tag])
    world.store.delete(NAME, "1.0")


def _yank(_world: World, run: SimulatedRun) -> None:
    assert yank_of(run, "2.0.0", NAME).code == 0


def _release(world: World, run: SimulatedRun) -> None:
    image = put_image(world, NAME, "2.1.0")
    assert release_of(run, f"docker://{NAME}@{image.digest}", "2.1.0", NAME).code == 0


def _retag(_world: World, run: SimulatedRun) -> None:
    assert retag_of(run, f"{NAME}:1.0.0", ":stable", ":latest").code == 0


def _overwrite(world: World, run: SimulatedRun) -> None:
    image = put_image(world, NAME, "another 2.0.0")
    assert release_of(run, f"docker://{NAME}@{image.digest}", "2.0.0", NAME, force=True).code == 0


THREE = ("1.0.0", "1.1.0", "2.0.0")
REPAIRS = {
    "reconcile": Repair(THREE, _displace, lambda run: reconcile_of(run, NAME)),
    "yank": Repair(THREE, lambda _world, _run: None, lambda run: yank_of(run, "2.0.0", NAME)),
    "yank --undo": Repair(THREE, _yank, lambda run: yank_of(run, "2.0.0", NAME, options=YankOptions(undo=True))),
    "yank --delete": Repair(
        THREE, lambda _world, _run: None, lambda run: yank_of(run, "2.0.0", NAME, options=YankOptions(delete=True))
    ),
    "retag": Repair(
        THREE, lambda _world, _run: None, lambda run: retag_of(run, f"{NAME}:1.0.0", ":stable", ":edge", ":latest")
    ),
    "undo of a retag": Repair(THREE, _retag, undo_of),
    "undo of a release": Repair(THREE, _release, undo_of),
    "undo of an overwrite": Repair(THREE, _overwrite, undo_of),
    "undo of a yank": Repair(THREE, _yank, undo_of),
}


def _begin(repair: Repair, options: Options, folder: Path) -> tuple[World, SimulatedRun]:
    world = World(options=options)
    put_versions(world, NAME, repair.versions)
    run = SimulatedRun(world, 0, folder)
    repair.before(world, run)
    run.count = 0
    world.trace.clear()
    return world, run


def _fault_of(kind: SimulatedFault, first: int, number: int, _method: str, _path: str) -> SimulatedFault | None:
    return kind if number >= first else None


@pytest.mark.parametrize("registry", REGISTRIES)
@pytest.mark.parametrize("name", REPAIRS)
def test_a_repair_that_is_stopped_is_finished_by_the_same_command(
    name: str, registry: str, tmp_path: Path, pytestconfig: pytest.Config, capsys: pytest.CaptureFixture[str]
) -> None:
    """Killed, or refused for good, from any request on: the truth is told, and the same once more leads to the end."""
    repair, options = REPAIRS[name], REGISTRIES[registry]
    world, run = _begin(repair, options, tmp_path / "right")
    with world:
        assert repair.act(run).code == 0
        check_state(world.store, NAME)
        right, count = _tags(world), run.count
    stopped = 0
    for index, kind in enumerate(KINDS):
        stride = 1 if pytestconfig.getoption("--whole") else 7
        for number in range(1 + index % stride, count + 1, stride):
            _stop(repair, options, tmp_path / f"{kind}-{number}", kind, number, right)
            stopped += 1
    with capsys.disabled():
        summary = f"{name} ({registry}): stopped {stopped} times at {count} requests in {len(KINDS)} ways"
        sys.stdout.write(f"\n{summary}: all told true, every rerun finished\n")


def _stop(
    repair: Repair, options: Options, folder: Path, kind: SimulatedFault, number: int, right: dict[str, str]
) -> None:
    where = f"{kind} from request {number} on"
    world, run = _begin(repair, options, folder)
    with world:
        before = {NAME: world.tags(NAME)}
        run.fault_of = partial(_fault_of, kind, number)
        ended = repair.act(run)
        if not kind.kills:
            check_receipt(ended, before, world, where)
            is_done = ended.document.get("outcome") == "done"
            assert ended.code == (0 if is_done else 7 if is_written(ended) else kind.code), f"{where}: {ended}"
        world.more_runs()
        again = repair.act(SimulatedRun(world, 0, folder))
        assert again.code == 0 or _has_nothing_left(again), f"{where}: {again}"
        assert _tags(world) == right, where


def _has_nothing_left(ended: CommandResult) -> bool:
    """What was done before its answer was lost leaves nothing to do: no version to yank, no receipt to go back from."""
    return ended.code in {2, 4}


def _tags(world: World) -> dict[str, str]:
    """Every tag and its digest, but for markers that were lifted: those point at an artifact that is nothing."""
    lifted = "application/vnd.publish.unyanked.v1"
    tags = world.tags(NAME)
    return {tag: digest for tag, digest in tags.items() if world.manifest(NAME, digest).artifact_type != lifted}


@pytest.mark.parametrize("name", ["retag", "reconcile", "yank"])
def test_a_look_back_that_is_refused_once_is_made_again(name: str, tmp_path: Path) -> None:
    """After a write the tag alone can tell where it is: the command is done as if nothing had happened."""
    world, run = _begin(REPAIRS[name], Options(), tmp_path / "right")
    with world:
        assert REPAIRS[name].act(run).code == 0
        right, trace = _tags(world), list(run.trace)
    written = next(number for number, request in enumerate(trace, 1) if request.method == "PUT")
    assert trace[written].method == "HEAD"
    world, run = _begin(REPAIRS[name], Options(), tmp_path / "struck")
    with world:
        run.fault_of = lambda number, _method, _path: faults.FORBIDDEN if number == written + 1 else None
        ended = REPAIRS[name].act(run)
        assert (ended.code, _tags(world)) == (0, right)
        assert set(ended.states.values()) == {"done"}
        assert [request.struck for request in run.trace if request.struck] == ["403"]


@pytest.mark.parametrize("registry", REGISTRIES)
def test_undo_restores_every_tag(registry: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A release of any version: what existed is back byte for byte; what was made is deleted, or yanked and told."""
    for index, version in enumerate(TEN):
        others = TEN[:index] + TEN[index + 1 :]
        with World(options=REGISTRIES[registry]) as world:
            put_versions(world, NAME, others)
            before, content = world.tags(NAME), world.contents(NAME)
            image, run = put_image(world, NAME, version), SimulatedRun(world, 0, tmp_path / version)
            assert release_of(run, f"docker://{NAME}@{image.digest}", version, NAME).code == 0
            ended = undo_of(run)
            assert ended.code == 0, ended
            after = world.contents(NAME)
            assert {tag: after[tag] for tag in content} == content, version
            new_tags = {tag: digest for tag, digest in world.tags(NAME).items() if tag not in before}
            reported = {ref.rpartition(":")[2]: (state, ended.after[ref]) for ref, state in ended.states.items()}
            if registry == "deletes-tags":
                assert new_tags == {}, version
            if not new_tags:
                assert reported[version] == ("restored", None)
            else:
                assert new_tags[f"yanked-{version}"] == new_tags[version] == str(image.digest)
                assert (reported[version][0], reported[f"yanked-{version}"][0]) == ("kept", "done")
            check_state(world.store, NAME)
    _say(capsys, f"undone {len(TEN)} releases ({registry}): every tag that existed is back, byte for byte")


def test_undo_takes_floating_tags_along_that_came_later(tmp_path: Path) -> None:
    """A yank of a higher version has moved latest to the one that is undone: it falls back further."""
    with World() as world:
        put_versions(world, NAME, THREE)
        run, image = SimulatedRun(world, 0, tmp_path / "machine"), put_image(world, NAME, "1.2.0")
        released = release_of(run, f"docker://{NAME}@{image.digest}", "1.2.0", NAME)
        assert released.states[f"{NAME}:latest"] == "kept"
        assert yank_of(run, "2.0.0", NAME).code == 0
        assert world.tags(NAME)["latest"] == str(image.digest)
        world.watch = lambda _asked: check_state(world.store, NAME)
        ended = undo_of(run, receipt=released.document["id"])
        assert ended.code == 0, ended
        tags = world.tags(NAME)
        assert str(image.digest) not in tags.values()
        assert tags["latest"] == tags["1"] == tags["1.1.0"]


@pytest.mark.parametrize("registry", REGISTRIES)
def test_yank_of_each_version_of_ten(registry: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The floating tags fall back as if it were not there, stay so, and come back with --undo."""
    for version in TEN:
        with World(options=REGISTRIES[registry]) as world:
            digests = put_versions(world, NAME, TEN)
            run, right = SimulatedRun(world, 0, tmp_path / version), world.tags(NAME)
            assert yank_of(run, version, NAME).code == 0
            fallen = right | floating_tags({other: digest for other, digest in digests.items() if other != version})
            assert world.tags(NAME) == fallen | {f"yanked-{version}": digests[version]}, version
            for later in ("1.0.2", "3.0.2"):
                image = put_image(world, NAME, later)
                digests[later] = str(image.digest)
                assert release_of(run, f"docker://{NAME}@{image.digest}", later, NAME).code == 0
            assert reconcile_of(run, NAME).code == 0
            counting = floating_tags({other: digest for other, digest in digests.items() if other != version})
            tags = world.tags(NAME)
            assert {tag: tags[tag] for tag in counting} == counting, version
            assert yank_of(run, version, NAME, options=YankOptions(undo=True)).code == 0
            tags = world.tags(NAME)
            assert {tag: tags[tag] for tag in tags if not tag.startswith("yanked-")} == digests | floating_tags(digests)
    _say(capsys, f"yanked each of {len(TEN)} versions ({registry}): all fell back, stayed so, and came back")


@pytest.fixture
def deaths(tmp_path: Path, pytestconfig: pytest.Config) -> Iterator[tuple[World, SimulatedRun, str, dict[str, bytes]]]:
    """A release of 2.1.0 from a layout, killed at one request after another; with what was there before."""
    digest = make_layout(tmp_path / "layout", "2.1.0")
    stride = 1 if pytestconfig.getoption("--whole") else 3

    def died() -> Iterator[tuple[World, SimulatedRun, str, dict[str, bytes]]]:
        for kind in (faults.KILLED, faults.KILLED_AFTER):
            number, ended = 1, CommandResult(KILLED)
            while ended.code == KILLED:
                with World() as world:
                    put_versions(world, NAME, THREE)
                    before = world.contents(NAME)
                    run = SimulatedRun(world, 0, tmp_path / f"{kind}-{number}", partial(_fault_of, kind, number))
                    ended = release_of(run, f"oci:{tmp_path / 'layout'}", "2.1.0", NAME)
                    check_order(run.trace, world.store)
                    world.more_runs()
                    yield world, SimulatedRun(world, 0, run.machine), f"{kind} at request {number}", before
                number += stride

    assert digest
    return died()


def test_undo_of_a_release_that_was_killed(
    deaths: Iterator[tuple[World, SimulatedRun, str, dict[str, bytes]]], capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever it had done and could not note any more, undo takes back."""
    count = 0
    for world, run, where, before in deaths:
        ended = undo_of(run)
        assert ended.code == (0 if any(run.machine.rglob("*.json")) else 2), f"{where}: {ended}"
        assert world.contents(NAME) == before, where
        count += 1
    _say(capsys, f"killed {count} releases and undid them: every tag is back, byte for byte")


def test_undo_of_a_release_that_was_finished_by_a_rerun(
    deaths: Iterator[tuple[World, SimulatedRun, str, dict[str, bytes]]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The rerun's receipt knows what was before the first run."""
    count = 0
    for world, run, where, before in deaths:
        finished = release_of(run, f"oci:{tmp_path / 'layout'}", "2.1.0", NAME)
        assert finished.code == 0, f"{where}: {finished}"
        ended = undo_of(run)
        assert ended.code == 0, f"{where}: {ended}"
        assert world.contents(NAME) == before, where
        count += 1
    _say(capsys, f"killed {count} releases, finished and undid them: every tag is back, byte for byte")


def _say(capsys: pytest.CaptureFixture[str], text: str) -> None:
    with capsys.disabled():
        sys.stdout.write(f"\n{text}\n")
