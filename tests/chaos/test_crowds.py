"""Many versions in one repository: what the commands that look at it ask the registry for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from publisher.planning.lines import VersionChoice
from publisher.workflows.status import ages, status
from tests.support.commands import make_plan_options, reconcile_of
from tests.support.seed import floating_tags, put_image
from tests.support.simulation import SimulatedRun, World

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "me/app"
VERSIONS = [f"{major}.{minor}.{patch}" for major in range(2) for minor in range(5) for patch in range(1000)]
YANKED = ("1.4.999", "0.0.3")
PAGES = 11


@pytest.fixture(scope="module")
def crowd() -> Iterator[World]:
    """Ten thousand versions of two images, 13 floating tags and two markers; `1.3` is astray."""
    with World() as world:
        images = [put_image(world, NAME, text) for text in ("even", "odd")]
        lines = floating_tags({version: version for version in VERSIONS if version not in YANKED})
        named = {version: version for version in VERSIONS} | lines | {f"yanked-{tag}": tag for tag in YANKED}
        odd = {tag for tag, version in named.items() if version in {*YANKED, "1.4.998"}} | {"1.3"}
        world.put(NAME, images[0], *(named.keys() - odd))
        world.put(NAME, images[1], *odd)
        yield world


def asked(world: World, machine: Path, choice: VersionChoice) -> tuple[set[str], int, int]:
    """A status with the ages of its text: what drifted, how many versions it left out, how many requests it took."""
    world.more_runs()
    run = SimulatedRun(world, 0, machine)
    with run.session() as session:
        document = status(session, make_plan_options(NAME), choice)
        ages(session, document)
    count = sum("/v2/" in request.path for request in run.trace)
    return set(document.drifted), document.repositories[0].omitted, count


def test_a_status_asks_for_what_it_shows(crowd: World, tmp_path: Path) -> None:
    """The list's pages, two requests for each floating tag and marker, and fifty; with --limit 5 less."""
    lines, markers = 13, len(YANKED)
    most = PAGES + 2 * (lines + markers) + 50
    drifted, omitted, count = asked(crowd, tmp_path, VersionChoice(50))
    assert (drifted, omitted) == ({f"docker.io/{NAME}:1.3"}, len(VERSIONS) - 50)
    assert count <= most
    assert asked(crowd, tmp_path, VersionChoice(5, "1.*"))[:2] == (drifted, len(VERSIONS) // 2 - 5)


def test_a_reconcile_asks_for_what_it_may_write(crowd: World, tmp_path: Path) -> None:
    """It mends what is astray without looking at ten thousand versions."""
    crowd.more_runs()
    run = SimulatedRun(crowd, 0, tmp_path)
    assert reconcile_of(run, NAME).code == 0
    assert len(run.trace) < 200
    assert not asked(crowd, tmp_path, VersionChoice(0))[0]
