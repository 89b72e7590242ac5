"""The journal: ahead of the registry at each request, in the order of writing, and enough to go back by."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest

from publisher.model.digest import Digest
from tests.support import simulated_faults as faults
from tests.support.commands import KILLED, reconcile_of, release_of, retag_of, undo_of, yank_of
from tests.support.seed import put_image, put_versions
from tests.support.simulation import SimulatedRun, World

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.commands import CommandResult
    from tests.support.simulation import SimulatedRequest

NAME: Final = "acme/app"


def _release(run: SimulatedRun) -> CommandResult:
    image = put_image(run.world, NAME, "2.0.0")
    return release_of(run, f"docker://{NAME}@{image.digest}", "2.0.0", NAME)


COMMANDS: Final[dict[str, Callable[[SimulatedRun], CommandResult]]] = {
    "release": _release,
    "retag": lambda run: retag_of(run, f"{NAME}:1.0.0", ":stable", ":latest"),
    "reconcile": lambda run: reconcile_of(run, NAME),
    "yank": lambda run: yank_of(run, "1.1.0", NAME),
    "undo": undo_of,
}


def _newest(machine: Path) -> dict[str, Any]:
    names = [line for line in next(machine.rglob("order")).read_text().split() if line]
    document: dict[str, Any] = json.loads(next(machine.rglob(f"{names[-1]}.json")).read_bytes())
    return document


@pytest.mark.parametrize("command", COMMANDS)
def test_the_journal_is_ahead_of_the_registry(command: str, tmp_path: Path) -> None:
    """Whatever writes or deletes a tag: when the request comes, the receipt on disk says that it is unknown."""
    with World() as world:
        put_versions(world, NAME, ["1.0.0", "1.1.0"])
        run = SimulatedRun(world, 0, tmp_path / "machine")
        if command == "undo":
            assert _release(run).code == 0
        if command == "reconcile":
            world.put(NAME, world.manifest(NAME, world.tags(NAME)["1.0.0"]), "latest")
        seen: dict[str, str] = {}

        def watch(request: SimulatedRequest) -> None:
            tag = request.path.rpartition("/")[2]
            if request.method in {"PUT", "DELETE"} and "/manifests/" in request.path and ":" not in tag:
                lines = {move["reference"].rpartition(":")[2]: move for move in _newest(run.machine)["moves"]}
                seen[tag] = lines[tag]["state"]

        world.watch = watch
        assert COMMANDS[command](run).code == 0
        assert seen
        assert set(seen.values()) == {"unknown"}, seen


def test_undo_of_a_run_that_was_killed_at_a_tag(tmp_path: Path) -> None:
    """What it was writing counts as written where the tag holds it: reconcile is taken back too."""
    with World() as world:
        versions = put_versions(world, NAME, ["1.0.0", "1.1.0"])
        world.put(NAME, world.manifest(NAME, versions["1.0.0"]), "latest")
        run = SimulatedRun(world, 0, tmp_path / "machine")
        run.fault_of = lambda _number, method, path: (
            faults.KILLED_AFTER if (method, path[-6:]) == ("PUT", "latest") else None
        )
        assert reconcile_of(run, NAME).code == KILLED
        assert world.tags(NAME)["latest"] == versions["1.1.0"]
        world.more_runs()
        assert undo_of(SimulatedRun(world, 0, run.machine)).code == 0
        assert world.tags(NAME)["latest"] == versions["1.0.0"]


def test_the_last_run_is_the_one_written_last(tmp_path: Path) -> None:
    """A receipt stamped by a clock of 2037 is not the last one for ever."""
    with World() as world:
        put_versions(world, NAME, ["1.0.0", "1.1.0"])
        run = SimulatedRun(world, 0, tmp_path / "machine")
        assert retag_of(run, f"{NAME}:1.0.0", ":stable").code == 0
        order = next(run.machine.rglob("order"))
        stamped = next(run.machine.rglob("*.json"))
        name = f"2037{stamped.stem[4:]}"
        document = json.loads(stamped.read_text()) | {"id": name, "started": "2037-01-01T00:00:00Z"}
        stamped.with_name(f"{name}.json").write_text(json.dumps(document))
        order.write_text(order.read_text().replace(stamped.stem, name))
        stamped.unlink()
        assert retag_of(run, f"{NAME}:1.1.0", ":mine").code == 0
        assert undo_of(run).code == 0
        assert set(world.tags(NAME)) & {"stable", "mine"} == {"stable"}


def test_bytes_that_the_registry_has_lost_come_back_from_the_receipt(tmp_path: Path) -> None:
    """An exact tag that --force overwrote: the receipt keeps what it held."""
    with World() as world:
        versions = put_versions(world, NAME, ["1.0.0"])
        before = world.contents(NAME)
        image = put_image(world, NAME, "other")
        run = SimulatedRun(world, 0, tmp_path / "machine")
        assert release_of(run, f"docker://{NAME}@{image.digest}", "1.0.0", NAME, force=True).code == 0
        world.store.delete(NAME, Digest.parse(versions["1.0.0"]))
        assert undo_of(run).code == 0
        assert world.contents(NAME) == before
