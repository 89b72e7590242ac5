"""Fixtures that only these tests need."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from publisher.sandbox.server import Sandbox
from tests.support.base_image import WITHOUT_INDEX
from tests.support.github import Runner, read_yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.github import StepResult

ACTION = Path(__file__).parents[2] / ".github" / "actions" / "publish"


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, StepResult]]:
    """What the Action's first step made, once for a worker; it goes with the last test.

    Made without any index: what the lock names, in a folder of wheels, is all that it needs.
    """
    folder = tmp_path_factory.mktemp("installed")
    runner = Runner(folder, {**os.environ, **WITHOUT_INDEX}, {})
    step = next(step for step in read_yaml(ACTION / "action.yml")["runs"]["steps"] if step.get("id") == "install")
    done = runner.shell(step, {"GITHUB_ACTION_PATH": str(ACTION)}, runner.context())
    assert done.code == 0, done.raw
    yield {"install": done}
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def sandbox_url() -> Iterator[str]:
    """A sandbox that many runs share: the address for PUBLISH_SANDBOX."""
    with Sandbox() as running:
        yield running.url
