"""Several releases at once, in every order that a seed gives: each floating tag ends on the highest version.

`pytest tests/chaos/test_race.py --seeds 1000` races more of them, `--seed N` replays one.
"""

from __future__ import annotations

import random
import sys
import threading
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import pytest

from publisher.sandbox.options import Options
from tests.support import simulated_faults as faults
from tests.support.commands import KILLED, CommandResult, reconcile_of, release_of, undo_of, yank_of
from tests.support.order import check_order, check_state
from tests.support.seed import floating_tags, put_image, put_versions
from tests.support.simulation import SimulatedRun, World, no_fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from publisher.model.manifest import Manifest
    from tests.support.simulated_faults import SimulatedFault
    from tests.support.simulation import SimulatedRequest

NAME = "acme/app"
VERSIONS = ["1.0.0", "1.0.1", "1.1.0", "1.2.0", "2.0.0", "2.0.1", "2.1.0", "1.0.2"]
FaultRule: TypeAlias = "Callable[[int, str, str], SimulatedFault | None]"


@dataclass
class Race:
    """Releases at once in a world: how each ended, and what it did. sole: each has a version of its own."""

    world: World
    folder: Path
    sole: bool = True
    ended: dict[int, CommandResult] = field(default_factory=dict)
    runs: list[SimulatedRun] = field(default_factory=list)

    def run(self, images: Iterable[tuple[str, Manifest]], rules: list[FaultRule] | None = None) -> None:
        """Release each image as its version, all at once."""
        self.do([partial(_release, image, version) for version, image in images], rules)
        for run in self.runs:
            check_order(run.trace, self.world.store)

    def do(
        self, commands: Iterable[Callable[[SimulatedRun], CommandResult]], rules: list[FaultRule] | None = None
    ) -> None:
        """Do all of these at once; after every request the registry's state is looked at."""
        self.world.watch = self._check
        threads = []
        for number, command in enumerate(commands):
            run = SimulatedRun(self.world, number, self.folder / str(number), rules[number] if rules else no_fault)
            self.runs.append(run)
            threads.append(threading.Thread(target=self._end, args=(run, command)))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.world.watch = lambda _asked: None
        assert len(self.ended) == len(threads), "a run ended with a traceback"

    def _check(self, request: SimulatedRequest) -> None:
        if request.method == "PUT" and request.is_done:
            check_state(self.world.store, NAME, sole=self.sole)

    def _end(self, run: SimulatedRun, command: Callable[[SimulatedRun], CommandResult]) -> None:
        try:
            self.ended[run.number] = command(run)
        finally:
            self.world.schedule.leave(run.number)

    @property
    def codes(self) -> list[int]:
        """The exit codes, in order."""
        return [self.ended[run.number].code for run in self.runs]

    def reconcile(self) -> None:
        """Once everybody has ended, somebody mends what is left."""
        self.world.more_runs()
        ended = reconcile_of(SimulatedRun(self.world, 0, self.folder / "later"), NAME)
        assert ended.code == 0, ended.document


def _release(image: Manifest, version: str, run: SimulatedRun) -> CommandResult:
    return release_of(run, f"docker://{NAME}@{image.digest}", version, NAME)


def right_tags(images: Iterable[tuple[str, Manifest]]) -> dict[str, str]:
    """What each tag has to hold where these versions are published."""
    digests = {version: str(image.digest) for version, image in images}
    return digests | floating_tags(digests)


def draw_versions(seed: int) -> list[str]:
    """Two to eight versions in any order."""
    chance = random.Random(seed)
    return chance.sample(VERSIONS, chance.choice([2, 2, 3, 3, 4, 5, 8]))


def random_faults(chance: random.Random, every: int) -> FaultRule:
    """One request in so many fails in a way that passes."""
    return lambda _number, _method, _path: chance.choice(faults.TRANSIENT) if chance.randrange(every) == 0 else None


def _different(seed: int, folder: Path) -> None:
    """All succeed, and each tag is right."""
    versions = draw_versions(seed)
    with World(seed, len(versions)) as world:
        images = [(version, put_image(world, NAME, version)) for version in versions]
        race = Race(world, folder)
        race.run(images)
        assert set(race.codes) == {0}, f"seed {seed}: {race.codes}"
        assert world.tags(NAME) == right_tags(images), f"seed {seed}"


def _faulty(seed: int, folder: Path) -> None:
    """Requests that fail now and then, also after they were done, change nothing of that."""
    versions = draw_versions(seed)
    with World(seed, len(versions)) as world:
        images = [(version, put_image(world, NAME, version)) for version in versions]
        race = Race(world, folder)
        race.run(images, [random_faults(random.Random(seed * 8 + number), 12) for number in range(len(versions))])
        assert set(race.codes) == {0}, f"seed {seed}: {race.codes}"
        assert world.tags(NAME) == right_tags(images), f"seed {seed}"


def _deadly(seed: int, folder: Path) -> None:
    """One is killed at any of its requests, with faults around: the others succeed, and a reconcile does the rest."""
    versions, chance = draw_versions(seed), random.Random(seed)
    number, death = chance.randrange(1, 26), chance.choice((faults.KILLED, faults.KILLED_AFTER))
    with World(seed, len(versions)) as world:
        images = [(version, put_image(world, NAME, version)) for version in versions]
        rules: list[FaultRule] = [random_faults(random.Random(seed * 8 + index), 20) for index in range(len(versions))]
        rules[0] = lambda count, _method, _path: death if count == number else None
        race = Race(world, folder)
        race.run(images, rules)
        assert race.codes[0] in {0, KILLED}, f"seed {seed}: {race.codes}"
        assert set(race.codes[1:]) <= {0}, f"seed {seed}: {race.codes}"
        race.reconcile()
        tags = world.tags(NAME)
        published = {version: str(image.digest) for version, image in images if version in tags}
        assert set(versions[1:]) <= set(published)
        assert tags == published | floating_tags(published), f"seed {seed}"


def _lagging(seed: int, folder: Path) -> None:
    """Nobody sees the others' versions in time; once the list shows them, one reconcile puts every tag right."""
    versions, chance = draw_versions(seed), random.Random(seed)
    with World(seed, len(versions), Options(list_lag=chance.choice([0.05, 0.5, 3.0, 60.0]))) as world:
        images = [(version, put_image(world, NAME, version)) for version in versions]
        race = Race(world, folder)
        race.run(images)
        assert set(race.codes) <= {0, 7}, f"seed {seed}: {race.codes}"
        world.wait(60)
        race.reconcile()
        assert world.tags(NAME) == right_tags(images), f"seed {seed}"


def _mixed(seed: int, folder: Path) -> None:
    """Releases, an undo, a yank and a reconcile at once: the floating tags end where what is left says."""
    chance, machine = random.Random(seed), folder / "undoes"
    with World(seed) as world:
        put_versions(world, NAME, ["1.0.0", "1.0.1", "2.0.0"])
        assert _release(put_image(world, NAME, "1.1.0"), "1.1.0", SimulatedRun(world, 0, machine)).code == 0
        commands: dict[str, Callable[[SimulatedRun], CommandResult]] = {
            version: partial(_release, put_image(world, NAME, version), version)
            for version in ("1.2.0", "2.0.1", "1.0.2")
        }
        commands["undo"] = lambda run: undo_of(replace(run, machine=machine))
        commands["yank"] = lambda run: yank_of(run, "2.0.0", NAME)
        commands["reconcile"] = lambda run: reconcile_of(run, NAME)
        chosen = chance.sample(sorted(commands), chance.choice([2, 3, 4]))
        world.more_runs(len(chosen), seed)
        # Who takes an exact tag away can't see what others are about to point at it.
        race = Race(world, folder, sole=False)
        race.do([commands[name] for name in chosen])
        messages = [race.ended[number].document.get("message") for number in range(len(chosen)) if race.codes[number]]
        assert not messages, f"seed {seed}: {chosen} {race.codes} {messages}"
        tags = world.tags(NAME)
        counting = {tag: digest for tag, digest in tags.items() if _counts(tag, tags)}
        right = floating_tags(counting)
        assert {tag: tags.get(tag) for tag in right} == right, f"seed {seed}: {chosen}"


def _counts(tag: str, tags: dict[str, str]) -> bool:
    """Whether it is an exact tag that isn't yanked."""
    return tag.count(".") == 2 and not tag.startswith("yanked-") and f"yanked-{tag}" not in tags


def _frozen(seed: int, folder: Path) -> None:
    """With immutable tags exactly one succeeds, and every floating tag is on it."""
    with World(seed, 2, Options(immutable=(r"[0-9]+\.[0-9]+\.[0-9]+",))) as world:
        images = [("1.0.0", put_image(world, NAME, text)) for text in ("one", "two")]
        race = Race(world, folder)
        race.run(images)
        assert sorted(race.codes) == [0, 4], f"seed {seed}: {race.codes}"
        winner = images[race.codes.index(0)][1]
        assert set(world.tags(NAME).values()) == {str(winner.digest)}, f"seed {seed}"


def _overwritten(seed: int, folder: Path) -> bool:
    """The floating tags equal the exact one; both succeed only where one's look and write span the other's run."""
    with World(seed, 2) as world:
        images = [("1.0.0", put_image(world, NAME, text)) for text in ("one", "two")]
        race = Race(world, folder, sole=False)
        race.run(images)
        tags = world.tags(NAME)
        assert set(tags) == {"1.0.0", "1.0", "1", "latest"}
        assert len(set(tags.values())) == 1, f"seed {seed}: {tags}"
        winner = next(number for number, (_, image) in enumerate(images) if str(image.digest) == tags["1.0.0"])
        assert race.codes[winner] == 0, f"seed {seed}: {race.codes}"
        assert race.codes[1 - winner] in {0, 4}, f"seed {seed}: {race.codes}"
        spans = _spans(world.trace, winner)
        assert (race.codes[1 - winner] == 0) == spans, f"seed {seed}: {race.codes}, {spans}"
        return spans


def test_both_succeed_where_one_spans_the_other(tmp_path: Path) -> None:
    """The one case that no registry without immutable tags can tell: looked before, wrote after the other had ended."""
    with World(0, 2) as world:
        images = [("1.0.0", put_image(world, NAME, text)) for text in ("one", "two")]

        def choose(runs: list[int]) -> int:
            # Once for the plan, once just before the write.
            looks = [request.run == 0 and _is_exact(request) and request.method == "HEAD" for request in world.trace]
            return max(runs) if sum(looks) > 1 else min(runs)

        world.schedule.choose = choose  # type: ignore[method-assign]  # this race has one order
        race = Race(world, tmp_path, sole=False)
        race.run(images)
        assert race.codes == [0, 0]
        assert _spans(world.trace, 0)
        assert set(world.tags(NAME).values()) == {str(images[0][1].digest)}


def _is_exact(request: SimulatedRequest) -> bool:
    return request.path.endswith("/manifests/1.0.0")


def _spans(trace: list[SimulatedRequest], winner: int) -> bool:
    """Whether the winner looked before the other wrote, and wrote after the other had looked for the last time."""
    exact = [(position, request) for position, request in enumerate(trace) if _is_exact(request)]
    wrote = {request.run: position for position, request in reversed(exact) if request.method == "PUT"}
    if len(wrote) < 2:
        return False
    looked = max(
        position
        for position, request in exact
        if request.run == winner and request.method == "HEAD" and position < wrote[winner]
    )
    last = max(position for position, request in exact if request.run != winner and request.method == "HEAD")
    return looked < wrote[1 - winner] and last < wrote[winner]


class Batch(NamedTuple):
    """Some of the seeds, for one worker."""

    seeds: range
    folder: Path
    say: Callable[[str], None]

    def race(self, trial: Callable[[int, Path], object], what: str) -> None:
        """Race each of them, and say so."""
        results = [bool(trial(seed, self.folder / str(seed))) for seed in self.seeds]
        more = f", {sum(results)} times both succeeded" if any(results) else ""
        self.say(f"raced {len(results)} seeds from {self.seeds.start} on: {what}{more}")


def test_every_floating_tag_ends_on_the_highest_version(batch: Batch) -> None:
    """Two to eight releases of different versions: all succeed, and each tag is right."""
    batch.race(_different, "all succeeded, every floating tag on the highest version")


def test_with_faults_too(batch: Batch) -> None:
    """Requests that fail now and then, also after they were done, change nothing of that."""
    batch.race(_faulty, "one request in twelve failed, every tag right all the same")


def test_a_publisher_that_dies_leaves_what_one_reconcile_mends(batch: Batch) -> None:
    """The others succeed, and a reconcile does the rest."""
    batch.race(_deadly, "one publisher was killed, every tag right after one reconcile")


def test_with_lists_that_lag(batch: Batch) -> None:
    """Nobody sees the others' versions in time; one reconcile puts every tag right."""
    batch.race(_lagging, "lists lagged, every tag right after one reconcile")


def test_with_repairs_around(batch: Batch) -> None:
    """Releases, undo, yank and reconcile at once: every tag is right."""
    batch.race(_mixed, "releases, undo, yank and reconcile at once, every tag right")


def test_of_two_images_for_one_version_one_wins(batch: Batch) -> None:
    """With immutable tags exactly one succeeds, and every floating tag is on it."""
    batch.race(_frozen, "one version twice, frozen: exactly one won")


def test_without_immutable_tags_all_follow_the_last_write(batch: Batch) -> None:
    """Both succeed only where one's look and write span the other's whole promotion."""
    batch.race(_overwritten, "one version twice: all tags equal")


_WORKERS = 2


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The seeds of each race in batches, for the workers; all of them in the main one, half of them in the others."""
    if "batch" in metafunc.fixturenames:
        seed, count = metafunc.config.getoption("--seed"), metafunc.config.getoption("--seeds")
        count = count // (1 if "highest_version" in metafunc.function.__name__ else 2)
        size = -(-count // _WORKERS)
        batches = [range(start, min(start + size, count)) for start in range(0, count, size)]
        batches = [range(seed, seed + 1)] if seed is not None else batches
        metafunc.parametrize("batch", batches, ids=[f"from-{seeds.start}" for seeds in batches], indirect=True)


@pytest.fixture
def batch(request: pytest.FixtureRequest, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Batch:
    """Some of the seeds."""

    def say(text: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"\n{text}\n")

    return Batch(request.param, tmp_path, say)
