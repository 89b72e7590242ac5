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
from tests.support.commands import KILLED, Ended, reconcile_of, release_of, undo_of, yank_of
from tests.support.order import check_order, check_state
from tests.support.seed import floating_tags, put_image, put_versions
from tests.support.simulation import Run, World, unharmed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from publisher.model.manifest import Manifest
    from tests.support.simulated_faults import SimulatedFault
    from tests.support.simulation import Asked

NAME = "acme/app"
VERSIONS = ["1.0.0", "1.0.1", "1.1.0", "1.2.0", "2.0.0", "2.0.1", "2.1.0", "1.0.2"]
FaultRule: TypeAlias = "Callable[[int, str, str], SimulatedFault | None]"


@dataclass
class Race:
    """Releases at once in a world: how each ended, and what it did. sole: each has a version of its own."""

    world: World
    folder: Path
    sole: bool = True
    ended: dict[int, Ended] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)

    def run(self, images: Iterable[tuple[str, Manifest]], rules: list[FaultRule] | None = None) -> None:
        """Release each image as its version, all at once."""
        self.do([partial(_release, image, version) for version, image in images], rules)
        for run in self.runs:
            check_order(run.trace, self.world.store)

    def do(self, deeds: Iterable[Callable[[Run], Ended]], rules: list[FaultRule] | None = None) -> None:
        """Do all of these at once; after every request the registry's state is looked at."""
        self.world.watch = self._check
        threads = []
        for at, deed in enumerate(deeds):
            run = Run(self.world, at, self.folder / str(at), rules[at] if rules else unharmed)
            self.runs.append(run)
            threads.append(threading.Thread(target=self._end, args=(run, deed)))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.world.watch = lambda _asked: None
        assert len(self.ended) == len(threads), "a run ended with a traceback"

    def _check(self, asked: Asked) -> None:
        if asked.method == "PUT" and asked.is_done:
            check_state(self.world.store, NAME, sole=self.sole)

    def _end(self, run: Run, deed: Callable[[Run], Ended]) -> None:
        try:
            self.ended[run.number] = deed(run)
        finally:
            self.world.schedule.leave(run.number)

    @property
    def codes(self) -> list[int]:
        """The exit codes, in order."""
        return [self.ended[run.number].code for run in self.runs]

    def reconcile(self) -> None:
        """Once everybody has ended, somebody mends what is left."""
        self.world.more_runs()
        ended = reconcile_of(Run(self.world, 0, self.folder / "later"), NAME)
        assert ended.code == 0, ended.document


def _release(image: Manifest, version: str, run: Run) -> Ended:
    return release_of(run, f"docker://{NAME}@{image.digest}", version, NAME)


def wanted(images: Iterable[tuple[str, Manifest]]) -> dict[str, str]:
    """What each tag has to hold where these versions are published."""
    digests = {version: str(image.digest) for version, image in images}
    return digests | floating_tags(digests)


def drawn(seed: int) -> list[str]:
    """Two to eight versions in any order."""
    chance = random.Random(seed)
    return chance.sample(VERSIONS, chance.choice([2, 2, 3, 3, 4, 5, 8]))


def mishaps(chance: random.Random, every: int) -> FaultRule:
    """One request in so many fails in a way that passes."""
    return lambda _number, _method, _path: chance.choice(faults.TRANSIENT) if chance.randrange(every) == 0 else None


def _different(seed: int, folder: Path) -> None:
    """All succeed, and each tag is right."""
    versions = drawn(seed)
    with World(seed, len(versions)) as world:
        images = [(version, put_image(world, NAME, version)) for version in versions]
        race = Race(world, folder)
        race.run(images)
        assert set(race.codes) == {0}, f"seed {seed}: {race.codes}"
        assert world.tags(NAME) == wanted(images), f"seed {seed}"


def _faulty(seed: int, folder: Path) -> None:
    """Requests that fail now and then, also after they were done, change nothing of that."""
    versions = drawn(seed)
    with World(seed, len(versions)) as world:
        images = [(version, put_image(world, NAME, version)) for version in versions]
        race = Race(world, folder)
        race.run(images, [mishaps(random.Random(seed * 8 + at), 12) for at in range(len(versions))])
        assert set(race.codes) == {0}, f"seed {seed}: {race.codes}"
        assert world.tags(NAME) == wanted(images), f"seed {seed}"


def _deadly(seed: int, folder: Path) -> None:
    """One is killed at any of its requests, with faults around: the others succeed, and a reconcile does the rest."""
    versions, chance = drawn(seed), random.Random(seed)
    number, death = chance.randrange(1, 26), chance.choice((faults.KILLED, faults.KILLED_AFTER))
    with World(seed, len(versions)) as world:
        images = [(version, put_image(world, NAME, version)) for version in versions]
        rules: list[FaultRule] = [mishaps(random.Random(seed * 8 + at), 20) for at in range(len(versions))]
        rules[0] = lambda asked, _method, _path: death if asked == number else None
        race = Race(world, folder)
        race.run(images, rules)
        assert race.codes[0] in {0, KILLED}, f"seed {seed}: {race.codes}"
        assert set(race.codes[1:]) <= {0}, f"seed {seed}: {race.codes}"
        race.reconcile()
        held = world.tags(NAME)
        published = {version: str(image.digest) for version, image in images if version in held}
        assert set(versions[1:]) <= set(published)
        assert held == published | floating_tags(published), f"seed {seed}"


def _lagging(seed: int, folder: Path) -> None:
    """Nobody sees the others' versions in time; once the list shows them, one reconcile puts every tag right."""
    versions, chance = drawn(seed), random.Random(seed)
    with World(seed, len(versions), Options(list_lag=chance.choice([0.05, 0.5, 3.0, 60.0]))) as world:
        images = [(version, put_image(world, NAME, version)) for version in versions]
        race = Race(world, folder)
        race.run(images)
        assert set(race.codes) <= {0, 7}, f"seed {seed}: {race.codes}"
        world.wait(60)
        race.reconcile()
        assert world.tags(NAME) == wanted(images), f"seed {seed}"


def _mixed(seed: int, folder: Path) -> None:
    """Releases, an undo, a yank and a reconcile at once: the floating tags end where what is left says."""
    chance, machine = random.Random(seed), folder / "undoes"
    with World(seed) as world:
        put_versions(world, NAME, ["1.0.0", "1.0.1", "2.0.0"])
        assert _release(put_image(world, NAME, "1.1.0"), "1.1.0", Run(world, 0, machine)).code == 0
        deeds: dict[str, Callable[[Run], Ended]] = {
            version: partial(_release, put_image(world, NAME, version), version)
            for version in ("1.2.0", "2.0.1", "1.0.2")
        }
        deeds["undo"] = lambda run: undo_of(replace(run, machine=machine))
        deeds["yank"] = lambda run: yank_of(run, "2.0.0", NAME)
        deeds["reconcile"] = lambda run: reconcile_of(run, NAME)
        chosen = chance.sample(sorted(deeds), chance.choice([2, 3, 4]))
        world.more_runs(len(chosen), seed)
        # Who takes an exact tag away can't see what others are about to point at it.
        race = Race(world, folder, sole=False)
        race.do([deeds[name] for name in chosen])
        told = [race.ended[at].document.get("message") for at in range(len(chosen)) if race.codes[at]]
        assert not told, f"seed {seed}: {chosen} {race.codes} {told}"
        held = world.tags(NAME)
        counting = {tag: digest for tag, digest in held.items() if _counts(tag, held)}
        right = floating_tags(counting)
        assert {tag: held.get(tag) for tag in right} == right, f"seed {seed}: {chosen}"


def _counts(tag: str, held: dict[str, str]) -> bool:
    """Whether it is an exact tag that isn't yanked."""
    return tag.count(".") == 2 and not tag.startswith("yanked-") and f"yanked-{tag}" not in held


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
        held = world.tags(NAME)
        assert set(held) == {"1.0.0", "1.0", "1", "latest"}
        assert len(set(held.values())) == 1, f"seed {seed}: {held}"
        winner = next(at for at, (_, image) in enumerate(images) if str(image.digest) == held["1.0.0"])
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
            looked = any(one.run == 0 and _is_exact(one) and one.method == "HEAD" for one in world.trace)
            return max(runs) if looked else min(runs)

        world.schedule.choose = choose  # type: ignore[method-assign]  # this race has one order
        race = Race(world, tmp_path, sole=False)
        race.run(images)
        assert race.codes == [0, 0]
        assert _spans(world.trace, 0)
        assert set(world.tags(NAME).values()) == {str(images[0][1].digest)}


def _is_exact(asked: Asked) -> bool:
    return asked.path.endswith("/manifests/1.0.0")


def _spans(trace: list[Asked], winner: int) -> bool:
    """Whether the winner looked before the other wrote, and wrote after the other had looked for the last time."""
    exact = [(at, one) for at, one in enumerate(trace) if _is_exact(one)]
    wrote = {one.run: at for at, one in reversed(exact) if one.method == "PUT"}
    if len(wrote) < 2:
        return False
    looked = max(at for at, one in exact if one.run == winner and one.method == "HEAD" and at < wrote[winner])
    last = max(at for at, one in exact if one.run != winner and one.method == "HEAD")
    return looked < wrote[1 - winner] and last < wrote[winner]


class Batch(NamedTuple):
    """Some of the seeds, for one worker."""

    seeds: range
    folder: Path
    say: Callable[[str], None]

    def race(self, one: Callable[[int, Path], object], what: str) -> None:
        """Race each of them, and say so."""
        found = [bool(one(seed, self.folder / str(seed))) for seed in self.seeds]
        more = f", {sum(found)} times both succeeded" if any(found) else ""
        self.say(f"raced {len(found)} seeds from {self.seeds.start} on: {what}{more}")


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
        one, count = metafunc.config.getoption("--seed"), metafunc.config.getoption("--seeds")
        count = count // (1 if "highest_version" in metafunc.function.__name__ else 2)
        size = -(-count // _WORKERS)
        found = [range(start, min(start + size, count)) for start in range(0, count, size)]
        found = [range(one, one + 1)] if one is not None else found
        metafunc.parametrize("batch", found, ids=[f"from-{seeds.start}" for seeds in found], indirect=True)


@pytest.fixture
def batch(request: pytest.FixtureRequest, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Batch:
    """Some of the seeds."""

    def say(text: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"\n{text}\n")

    return Batch(request.param, tmp_path, say)
