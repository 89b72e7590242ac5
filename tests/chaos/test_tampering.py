"""One tag that somebody points at other content: `status` and `verify` name it.

`pytest tests/chaos/test_tampering.py --seeds 2500` tampers 500 times; by default 40.
"""

from __future__ import annotations

import random
import sys
from typing import TYPE_CHECKING

from publisher.model.documents import VerdictState
from publisher.model.reference import Reference
from publisher.workflows.status import status
from publisher.workflows.verify import Expectation, verify_references
from tests.support.commands import make_plan_options, release_of
from tests.support.seed import put_image
from tests.support.simulation import SimulatedRun, World

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

NAME = "acme/app"
VERSIONS = ("1.0.0", "1.0.1", "1.1.0", "2.0.0")


def test_every_single_tag(tmp_path: Path, pytestconfig: pytest.Config, capsys: pytest.CaptureFixture[str]) -> None:
    """An exact tag is held against this machine's receipts, a floating one against the versions: each is found."""
    with World() as world:
        run = SimulatedRun(world, 0, tmp_path / "machine")
        for version in VERSIONS:
            image = put_image(world, NAME, version)
            assert release_of(run, f"docker://{NAME}@{image.digest}", version, NAME).code == 0
        put_image(world, NAME, "stranger", "stable")
        right, seeds = world.tags(NAME), pytestconfig.getoption("--seeds") // 5
        assert not _wrong_tags(run, list(right))
        for seed in range(seeds):
            chance = random.Random(seed)
            tag = chance.choice(sorted(right.keys() - {"stable"}))
            other = chance.choice(sorted(set(right.values()) - {right[tag]}))
            world.put(NAME, world.manifest(NAME, other), tag)
            assert tag in _wrong_tags(run, list(right)), f"seed {seed}: {tag}"
            world.put(NAME, world.manifest(NAME, right[tag]), tag)
        assert not _wrong_tags(run, list(right))
    with capsys.disabled():
        sys.stdout.write(f"\ntampered with one of {len(right) - 1} tags {seeds} times: found each time\n")


def _wrong_tags(run: SimulatedRun, tags: list[str]) -> set[str]:
    """The tags that either of the two names."""
    references = [Reference.parse(f"{NAME}:{tag}") for tag in tags]
    with run.session() as session:
        drifted = {reference.rpartition(":")[2] for reference in status(session, make_plan_options(NAME)).drifted}
        verdicts = verify_references(session, references, Expectation())
    wrong = {str(verdict.reference.tag) for verdict in verdicts if verdict.state is not VerdictState.EQUAL}
    return drifted | wrong
