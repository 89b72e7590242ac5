"""Several releases at once, in every order that a seed gives: each floating tag ends on the highest version.

`pytest tests/chaos/test_race.py --seeds 1000` races more of them, `--seed N` replays one.
"""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING

from publisher.model.errors import PublishError
from publisher.report.progress import Teller
from publisher.sandbox.options import Options
from publisher.sandbox.server import Sandbox
from publisher.workflows.jobs import Wish, jobs
from publisher.workflows.release import ReleaseOptions, prepare, release
from tests.contracts.client import Client
from tests.parts.order import check_state
from tests.parts.turnstile import TurningSession, Turnstile

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from publisher.model.manifest import Manifest

NAME = "acme/app"
VERSIONS = ["1.0.0", "1.0.1", "1.1.0", "1.2.0", "2.0.0", "2.0.1", "2.1.0", "1.0.2"]


class Race:
    """Releases of several versions, and how each ended."""

    def __init__(self, sandbox: Sandbox, folder: Path, seed: int) -> None:
        self._sandbox, self._folder, self._seed = sandbox, folder, seed
        self.codes: dict[int, int] = {}

    def run(self, images: list[tuple[str, Manifest]]) -> None:
        """Release each image as its version, all at once."""
        turnstile = Turnstile(self._seed, len(images))
        threads = [
            threading.Thread(target=self._release, args=(turnstile, at, version, image))
            for at, (version, image) in enumerate(images)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _release(self, turnstile: Turnstile, at: int, version: str, image: Manifest) -> None:
        state = self._folder / str(self._seed) / str(at)
        state.mkdir(parents=True)
        environ = {"PUBLISH_SANDBOX": self._sandbox.url, "XDG_STATE_HOME": str(state), "DOCKER_HOST": "unix:///nowhere"}
        try:
            with TurningSession(environ, state, Teller(quiet=True), turnstile, at) as session:
                wish = Wish(images=(NAME,), labels={}, version=version)
                (job,) = jobs(session.settings, wish)
                options = ReleaseOptions(verify="digest")
                made = prepare(session, job, wish, [f"docker://{NAME}@{image.digest}"], options)
                run = release(session, made, options)
                self.codes[at] = run.error.exit_code if run.error else 0
        except PublishError as error:
            self.codes[at] = error.exit_code
        finally:
            turnstile.leave(at)


def wanted(versions: list[str]) -> dict[str, str]:
    """Which version each tag belongs to."""
    found: dict[str, str] = {}
    for version in sorted(versions, key=lambda text: [int(part) for part in text.split(".")]):
        major, minor, _patch = version.split(".")
        found |= {version: version, f"{major}.{minor}": version, major: version, "latest": version}
    return found


def test_every_floating_tag_ends_on_the_highest_version(seed: int, tmp_path: Path) -> None:
    """Two to eight releases of different versions: all succeed, and each tag is right."""
    chance = random.Random(seed)
    versions = chance.sample(VERSIONS, chance.choice([2, 2, 3, 3, 4, 8]))
    with Sandbox() as sandbox, Client(sandbox.url) as client:
        images = [(version, client.send_image(NAME, version)) for version in versions]
        race = Race(sandbox, tmp_path, seed)
        race.run(images)
        held = sandbox.store.state()[NAME]
        check_state(sandbox.store, NAME)
    digests = {version: str(image.digest) for version, image in images}
    assert set(race.codes.values()) == {0}, f"seed {seed}: {race.codes}"
    assert held == {tag: digests[version] for tag, version in wanted(versions).items()}, f"seed {seed}"


def test_of_two_images_for_one_version_one_wins(seed: int, tmp_path: Path) -> None:
    """With immutable tags exactly one succeeds, and every floating tag is on it."""
    options = Options(immutable=(r"[0-9]+\.[0-9]+\.[0-9]+",))
    with Sandbox(options=options) as sandbox, Client(sandbox.url) as client:
        images = [("1.0.0", client.send_image(NAME, text)) for text in ("one", "two")]
        race = Race(sandbox, tmp_path, seed)
        race.run(images)
        held = sandbox.store.state()[NAME]
    assert min(race.codes.values()) == 0, f"seed {seed}: {race.codes}"
    assert max(race.codes.values()) in {4, 7}, f"seed {seed}: {race.codes}"
    winner = str(images[next(at for at, code in race.codes.items() if code == 0)][1].digest)
    assert set(held.values()) == {winner}, f"seed {seed}: {held}"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each seed; of the two that race for one version a quarter."""
    if "seed" in metafunc.fixturenames:
        one, count = metafunc.config.getoption("--seed"), metafunc.config.getoption("--seeds")
        shown = count // 4 if "one_version" in metafunc.function.__name__ else count
        metafunc.parametrize("seed", [one] if one is not None else range(shown))
