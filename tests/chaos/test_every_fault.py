"""Every request that fails, once or for good, in every way: what is told is what the registry holds.

`pytest tests/chaos/test_every_fault.py --whole` sweeps every request with every kind; by default some of them.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.support import simulated_faults as faults
from tests.support.check_receipt import check_receipt, check_unknown, is_written
from tests.support.commands import CommandResult, release_of
from tests.support.layout import make_layout
from tests.support.order import check_order, check_state
from tests.support.simulated_faults import PERMANENT, TRANSIENT, SimulatedFault
from tests.support.simulation import SimulatedRun, World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from publisher.model.digest import Digest
    from tests.support.simulation import SimulatedRequest

OLD, NEW = "1.0.0", "1.1.0"
PLATFORMS = {"image": ("linux/amd64",), "index": ("linux/amd64", "linux/arm64")}
NAMES = {"image": ("acme/app",), "index": ("acme/app", "ghcr.io/acme/app")}
STRIDE = {"image": 5, "index": 10}
_FOREVER = 1_000_000


def _fault_of(
    kind: SimulatedFault, when: range, spared: frozenset[str], number: int, method: str, _path: str
) -> SimulatedFault | None:
    """Fail the requests whose number is in `when`, but for those methods."""
    return kind if number in when and method not in spared else None


@dataclass(frozen=True)
class Trial:
    """One release of 1.1.0 beside 1.0.0: of an image to one repository, or of an index to two registries."""

    kind: str
    folder: Path
    old: Digest
    new: Digest

    @property
    def names(self) -> tuple[str, ...]:
        """Where it goes."""
        return NAMES[self.kind]

    def world(self, machine: str) -> tuple[World, SimulatedRun]:
        """A registry with 1.0.0, and a machine that has released nothing yet."""
        world = World()
        for name in self.names:
            _put_layout(world, name, self.folder / "old", self.old, ("1.0.0", "1.0", "1", "latest"))
        world.watch = lambda request: _check_states(world, request)
        return world, SimulatedRun(world, 0, self.folder / "machines" / machine)

    def release(self, run: SimulatedRun) -> CommandResult:
        """Release 1.1.0."""
        return release_of(run, f"oci:{self.folder / 'new'}", NEW, *self.names)

    def count(self) -> int:
        """How many requests it takes when none fails."""
        world, run = self.world("count")
        with world:
            assert self.release(run).code == 0
            assert check_order(run.trace, world.store) > 3
        return run.count

    @property
    def right(self) -> dict[str, str]:
        """Where every tag belongs in the end."""
        old, new = str(self.old), str(self.new)
        return {"1.0.0": old, "1.0": old, "1.1.0": new, "1.1": new, "1": new, "latest": new}


def _check_states(world: World, request: SimulatedRequest) -> None:
    """Whatever was written, no tag may be on content that isn't there, and no floating one on unreleased content."""
    for name in world.store.state() if request.method == "PUT" and request.is_done else ():
        check_state(world.store, name)


def _put_layout(world: World, name: str, folder: Path, digest: Digest, tags: tuple[str, ...]) -> None:
    """Have the content of a layout there, under tags."""
    from publisher.model import media
    from publisher.model.manifest import Index, parse_manifest

    def read(part: Digest) -> bytes:
        return (folder / "blobs" / part.algorithm / part.hex).read_bytes()

    def put(part: Digest, kind: str, *names: str) -> None:
        content = parse_manifest(read(part), kind)
        for entry in content.manifests if isinstance(content, Index) else ():
            put(entry.digest, entry.media_type)
        for blob in () if isinstance(content, Index) else content.blobs:
            world.put_blob(name, read(blob.digest))
        world.put(name, content, *names)

    kind = media.OCI_INDEX if b'"manifests"' in read(digest) else media.OCI_MANIFEST
    put(digest, kind, *tags)


@pytest.fixture(params=["image", "index"])
def trial(request: pytest.FixtureRequest, tmp_path: Path) -> Trial:
    """Two layouts."""
    platforms = PLATFORMS[request.param]
    old, new = (make_layout(tmp_path / name, name, platforms) for name in ("old", "new"))
    return Trial(request.param, tmp_path, old, new)


@pytest.fixture
def positions(trial: Trial, pytestconfig: pytest.Config) -> Callable[[int], Iterator[int]]:
    """Which requests to fail: all of them, or every fifth or tenth, another one for each kind."""
    stride = 1 if pytestconfig.getoption("--whole") else STRIDE[trial.kind]
    count = trial.count()
    return lambda index: iter(range(1 + index % stride, count + 1, stride))


def test_every_fault(
    trial: Trial, positions: Callable[[int], Iterator[int]], capsys: pytest.CaptureFixture[str]
) -> None:
    """From any request on all fail: the right exit code, the truth about every tag, and a rerun finishes."""
    codes: Counter[int] = Counter()
    for index, kind in enumerate(PERMANENT):
        for number in positions(index):
            codes[_fail(trial, kind, number)] += 1
    summary = ", ".join(f"{count} with exit code {code}" for code, count in sorted(codes.items()))
    _say(
        capsys,
        f"{trial.kind}: failed for good {codes.total()} times in {len(PERMANENT)} ways: {summary}; all told true",
    )


def _fail(trial: Trial, kind: SimulatedFault, number: int) -> int:
    where = f"{kind} from request {number} on"
    world, run = trial.world(f"{kind}-{number}")
    with world:
        before = {name: world.tags(name) for name in trial.names}
        run.fault_of = partial(_fault_of, kind, range(number, _FOREVER), frozenset())
        ended = trial.release(run)
        check_order(run.trace, world.store)
        check_receipt(ended, before, world, where)
        is_done = ended.document.get("outcome") == "done"
        assert ended.code == (0 if is_done else 7 if is_written(ended) else kind.code), f"{where}: {ended}"
        done = {digest for ref, digest in ended.after.items() if ended.states[ref] == "done"}
        assert done <= {str(trial.new)}, where
        check_unknown(ended, run, where)
        _check_journal(run, ended, where)
        world.more_runs()
        again = SimulatedRun(
            world, 0, run.machine if number % 2 else trial.folder / "machines" / f"other-{kind}-{number}"
        )
        finished = trial.release(again)
        assert finished.code == 0, f"{where}: {finished}"
        assert all(world.tags(name) == trial.right for name in trial.names), where
        return ended.code


def _check_journal(run: SimulatedRun, ended: CommandResult, where: str) -> None:
    """The receipt on disk is the one that was printed."""
    kept = [json.loads(path.read_text()) for path in run.machine.rglob("*.json")]
    assert len(kept) <= 1, where
    if "moves" in ended.document:
        assert kept == [ended.document], where
    elif kept:
        assert (kept[0]["outcome"], kept[0]["error"]["code"]) == ("failed", ended.code), where


def test_once(trial: Trial, positions: Callable[[int], Iterator[int]], capsys: pytest.CaptureFixture[str]) -> None:
    """Whichever request fails, and in whatever way, before or after the registry acted: the release is done."""
    count = 0
    for index, kind in enumerate(TRANSIENT):
        for number in positions(index):
            world, run = trial.world(f"{kind}-{number}")
            with world:
                run.fault_of = partial(_fault_of, kind, range(number, number + 1), frozenset())
                ended = trial.release(run)
                assert ended.code == 0, f"{kind} at request {number}: {ended}"
                assert all(world.tags(name) == trial.right for name in trial.names), f"{kind} at {number}"
                check_order(run.trace, world.store)
                _check_sessions(world, f"{kind} at request {number}", but=kind.acts)
            count += 1
    _say(capsys, f"{trial.kind}: failed once {count} times in {len(TRANSIENT)} ways: every release was done")


def test_upload_sessions_are_cancelled(
    trial: Trial, positions: Callable[[int], Iterator[int]], capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the registry still takes a DELETE, nothing of a failed release is left under way."""
    count = 0
    for index, kind in enumerate((faults.FORBIDDEN, faults.BUSY, faults.RESET)):
        for number in positions(index):
            world, run = trial.world(f"{kind}-{number}")
            with world:
                run.fault_of = partial(_fault_of, kind, range(number, _FOREVER), frozenset({"DELETE"}))
                trial.release(run)
                _check_sessions(world, f"{kind} from request {number} on")
            count += 1
    _say(capsys, f"{trial.kind}: failed {count} times with a way to cancel: no upload was left")


def _check_sessions(world: World, where: str, *, but: bool = False) -> None:
    """No upload is under way; but for one whose address never arrived."""
    left = len(world.store._sessions)
    assert left <= but, f"{where}: {left} uploads are left"


def _say(capsys: pytest.CaptureFixture[str], text: str) -> None:
    with capsys.disabled():
        sys.stdout.write(f"\n{text}\n")
