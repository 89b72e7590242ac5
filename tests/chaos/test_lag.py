"""Registries whose reads, or lists, show a change late."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from publisher.sandbox.options import Options
from publisher.workflows.yank import YankOptions
from tests.support.commands import CommandResult, reconcile_of, release_of, retag_of, undo_of, yank_of
from tests.support.order import check_order
from tests.support.seed import floating_tags, put_image, put_versions
from tests.support.simulation import SimulatedRun, World

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NAME = "acme/app"
LATE = {"lists-by-a-minute": Options(list_lag=60), "reads-by-0.3-s": Options(lag=0.3), "reads-by-3-s": Options(lag=3)}


def seeded_world(options: Options) -> World:
    """A registry with two versions, which everybody can see."""
    world = World(options=options)
    put_versions(world, NAME, ["1.0.0", "1.1.0"])
    world.wait(100)
    return world


def release(world: World, folder: Path, version: str) -> CommandResult:
    """One release on a machine of its own."""
    image = put_image(world, NAME, version)
    return release_of(SimulatedRun(world, 0, folder), f"docker://{NAME}@{image.digest}", version, NAME)


@pytest.mark.parametrize("kind", LATE)
def test_release(kind: str, tmp_path: Path) -> None:
    """What was written is waited for, and nobody else is blamed; a list that lags costs no second write."""
    with seeded_world(LATE[kind]) as world:
        ended = release(world, tmp_path / "machine", "2.0.0")
        assert ended.code == 0, ended
        assert set(ended.states.values()) == {"done"}
        tags = world.tags(NAME)
        assert {tags[tag] for tag in ("2.0.0", "2.0", "2", "latest")} == {tags["2.0.0"]}
        assert ended.after == {f"{NAME}:{tag}": tags["2.0.0"] for tag in ("2.0.0", "2.0", "2", "latest")}
        check_order(world.trace, world.store)
        writes = Counter(request.path for request in world.trace if request.method == "PUT")
        assert kind != "lists-by-a-minute" or set(writes.values()) == {1}, writes


def test_reads_that_lag_longer_than_a_run_waits(tmp_path: Path) -> None:
    """The exact tag was taken, and is not shown: unknown, exit 7; a rerun finishes once it can be seen."""
    with seeded_world(Options(lag=60)) as world:
        ended = release(world, tmp_path / "machine", "2.0.0")
        assert ended.code == 7
        assert ended.states == {
            f"{NAME}:2.0.0": "unknown", f"{NAME}:2.0": "not-done", f"{NAME}:2": "not-done", f"{NAME}:latest": "not-done"
        }  # fmt: skip
        world.wait(100)
        again = release(world, tmp_path / "machine", "2.0.0")
        assert again.states[f"{NAME}:2.0.0"] == "done"
        assert again.code == 7
        world.wait(100)
        assert release(world, tmp_path / "machine", "2.0.0").code == 0
        tags = world.tags(NAME)
        assert tags["latest"] == tags["2.0.0"]


DEEDS: dict[str, Callable[[SimulatedRun], CommandResult]] = {
    "yank": lambda run: yank_of(run, "1.1.0", NAME),
    "retag": lambda run: retag_of(run, f"{NAME}:1.0.0", ":stable", ":1.1"),
    "reconcile": lambda run: reconcile_of(run, NAME),
    "undo": undo_of,
}


@pytest.mark.parametrize("name", DEEDS)
@pytest.mark.parametrize("kind", LATE)
def test_repairs(kind: str, name: str, tmp_path: Path) -> None:
    """They wait as a release does, for what is deleted too."""
    with seeded_world(LATE[kind]) as world:
        run = SimulatedRun(world, 0, tmp_path / "machine")
        assert release(world, run.machine, "1.2.0").code == 0
        world.put(NAME, world.manifest(NAME, world.tags(NAME)["1.0.0"]), "1.1")
        if name == "reconcile":
            world.store.delete(NAME, "1.0")
        world.wait(100)
        world.trace.clear()
        ended = DEEDS[name](run)
        assert ended.code == 0, ended
        writes = Counter(request.path for request in world.trace if request.method == "PUT")
        assert kind != "lists-by-a-minute" or set(writes.values()) == {1}, writes
        world.wait(100)
        if name == "yank":
            assert yank_of(run, "1.1.0", NAME, options=YankOptions(undo=True)).code == 0
        if name == "retag":
            assert reconcile_of(run, NAME).code == 0
            assert world.tags(NAME)["stable"] == world.tags(NAME)["1.0.0"]
        tags = world.tags(NAME)
        exact = {tag: digest for tag, digest in tags.items() if tag.count(".") == 2}
        assert ("1.2.0" in exact) == (name != "undo")
        right = floating_tags(exact) if name != "undo" else floating_tags(exact) | {"1.1": tags["1.0.0"]}
        assert {tag: tags[tag] for tag in right} == right
