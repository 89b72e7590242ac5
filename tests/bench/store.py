"""Releases from today's engine, which keeps compressed blobs, against its own push of the same image."""

from __future__ import annotations

import itertools
import os
import sysconfig
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.bench.link import slow_link
from tests.bench.machine import OPTIONS, Cost, alternately
from tests.bench.memory import peak
from tests.bench.row import Row
from tests.support.registry import run_registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.bench.machine import Machine

_TREE: Final = 474 * 1000 * 1000
"""Bytes of source files, of which a layer of about 100 MB is made."""
_ALONE: Final = ("--rule", "type=semver,pattern={{version}}", "--flavor", "latest=false")


def store_rows(machine: Machine) -> Iterator[Row]:
    """All of them, for the image of one large layer and provenance that BuildKit makes."""
    make_tree(machine, "stored")
    what = "100 MB in a containerd store"
    yield against_push(machine, "stored", f"{what}, 1 tag", 1, 7, 0.6)
    yield against_push(machine, "stored", f"{what}, 4 tags", 4, 5, 0.9)
    yield over_a_slow_link(machine, "stored", what)
    yield from without_blobs(machine, "stored", what)
    yield built_and_sent(machine, "stored", f"{what}, built from its cache, 1 tag", 1)
    yield built_and_sent(machine, "stored", f"{what}, built from its cache, 4 tags", 4)
    yield built_and_sent(machine, "stored", f"{what}, built from its cache, 4 tags, 50 ms", 4, far=True)
    make_noise(machine, "gigabyte", 1_000_000_000)
    yield against_push(machine, "gigabyte", "1 GB in a containerd store, 1 tag", 1, 3, 0.85)
    yield peak(machine, "gigabyte", "direct")
    yield peak(machine, "gigabyte", "engine")


def make_tree(machine: Machine, name: str) -> None:
    """Copies of Python's own library, as they come."""
    folder, left = machine.folder / name, _TREE
    for number, file in enumerate(itertools.cycle(sorted(Path(sysconfig.get_path("stdlib")).rglob("*.py")))):
        content = file.read_bytes()[:left]
        place = folder / "content" / f"{number // 200:04}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number % 200:03}.py").write_bytes(content)
        left -= len(content)
        if not left:
            break
    _build(machine, name)


def make_noise(machine: Machine, name: str, size: int) -> None:
    """Bytes that can't be compressed."""
    folder = machine.folder / name
    (folder / "content").mkdir(parents=True)
    with (folder / "content" / "noise").open("wb") as file:
        for _ in range(size // 1_000_000):
            file.write(os.urandom(1_000_000))
    _build(machine, name)


def _build(machine: Machine, name: str) -> None:
    folder = machine.folder / name
    (folder / "Dockerfile").write_text('FROM scratch\nCOPY content /content\nCMD ["/none"]\n')
    machine.engine.docker("build", "-q", "-t", name, str(folder))


@contextmanager
def _new_registry(machine: Machine) -> Iterator[Machine]:
    """The same with an empty registry: an engine mounts what it has pushed to the same one."""
    number = next(_NUMBERS)
    with run_registry(machine.folder / f"registry{number}") as registry:
        (machine.publish.home / "cache" / "publish" / "blobs.jsonl").unlink(missing_ok=True)
        yield replace(machine, registry=registry)


_NUMBERS: Final = itertools.count()


def _push(machine: Machine, source: str, tags: int, _number: int) -> Cost:
    with _new_registry(machine) as fresh:
        return _pushed(fresh, source, fresh.registry.host, tags)


def _pushed(machine: Machine, source: str, host: str, tags: int) -> Cost:
    names = [str(number) for number in range(tags)]
    cost = machine.cost(partial(machine.push, source, f"{host}/pushed/a", *names))
    for name in names:
        machine.engine.docker("image", "rm", f"{host}/pushed/a:{name}")
    return cost


def _release(machine: Machine, source: str, tags: int, _number: int) -> Cost:
    words = _ALONE if tags == 1 else ()
    with _new_registry(machine) as fresh:
        image = f"{fresh.registry.host}/ours/a"
        return fresh.cost(partial(fresh.release, f"docker-daemon:{source}", image, *words))


def against_push(machine: Machine, source: str, what: str, tags: int, times: int, goal: float) -> Row:
    """docker push of each tag, and one release of all of them, each into a registry of its own."""
    theirs, ours = alternately(times, partial(_push, machine, source, tags), partial(_release, machine, source, tags))
    return Row(f"{what}: docker push / release", theirs.wall / ours.wall, goal, True, f"{theirs} / {ours}")


def over_a_slow_link(machine: Machine, source: str, what: str) -> Row:
    """50 ms and 100 Mbit/s."""

    def theirs(_number: int) -> Cost:
        with _new_registry(machine) as fresh, _host(fresh, far=True) as host:
            return _pushed(fresh, source, host, 1)

    def ours(_number: int) -> Cost:
        with _new_registry(machine) as fresh, _host(fresh, far=True) as host:
            return fresh.cost(partial(fresh.release, f"docker-daemon:{source}", f"{host}/ours/a", *_ALONE))

    slow, fast = alternately(3, theirs, ours)
    return Row(f"{what}, 50 ms: docker push / release", slow.wall / fast.wall, 0.95, True, f"{slow} / {fast}")


def without_blobs(machine: Machine, source: str, what: str) -> Iterator[Row]:
    """What needs no blob, against a push under another tag of what is there."""
    with _new_registry(machine) as fresh:
        host = fresh.registry.host
        fresh.push(source, f"{host}/pushed/a", "first")
        fresh.release(f"docker-daemon:{source}", f"{host}/ours/a")
        image = ("--image", f"{host}/ours/a", "--version", "1.0.0")

        def again(number: int) -> Cost:
            tag = f"again{number}"
            cost = fresh.cost(partial(fresh.push, source, f"{host}/pushed/a", tag))
            fresh.engine.docker("image", "rm", f"{host}/pushed/a:{tag}")
            return cost

        works: dict[str, Callable[[int], Cost]] = {
            "plan": lambda _number: fresh.cost(partial(fresh.run, "plan", source, *image)),
            "adopted release": lambda _number: fresh.cost(
                partial(fresh.release, f"docker-daemon:{source}", f"{host}/ours/a")
            ),
            "verify --source": lambda _number: fresh.cost(
                partial(fresh.run, "verify", f"{host}/ours/a:1.0.0", "--source", source)
            ),
        }
        theirs, *ours = alternately(5, again, *works.values())
    for name, cost in zip(works, ours, strict=True):
        detail = f"{cost} / {theirs}"
        yield Row(f"{what}: {name} / repeated docker push", cost.wall / theirs.wall, 3.0, False, detail)


def built_and_sent(machine: Machine, source: str, what: str, tags: int, *, far: bool = False) -> Row:
    """`docker buildx build --push`, and a release that builds: each takes all steps from the cache.

    far: whether 50 ms and 100 Mbit/s lie between engine and registry.
    """
    folder = machine.folder / source
    (folder / "publish.toml").write_text("[build]\n")

    def theirs(_number: int) -> Cost:
        with _new_registry(machine) as fresh, _host(fresh, far=far) as host:
            names = [word for number in range(tags) for word in ("-t", f"{host}/pushed/a:{number}")]
            words = ("buildx", "build", "-q", "--push", "--provenance=false", *names, str(folder))
            return fresh.cost(partial(fresh.engine.docker, *words))

    def ours(_number: int) -> Cost:
        words = _ALONE if tags == 1 else ()
        with _new_registry(machine) as fresh, _host(fresh, far=far) as host:
            config = ("--config", str(folder / "publish.toml"))
            image = ("--image", f"{host}/ours/a")
            return fresh.cost(partial(fresh.run, *config, "release", "--build", *image, *OPTIONS, *words))

    push, release = alternately(3 if far else 5, theirs, ours)
    goal = 1.0 if far else 0.8
    return Row(f"{what}: buildx --push / release", push.wall / release.wall, goal, True, f"{push} / {release}")


@contextmanager
def _host(machine: Machine, *, far: bool) -> Iterator[str]:
    """Where its registry is, near or far."""
    if not far:
        yield machine.registry.host
        return
    with slow_link(machine.registry.host, 0.05, 100e6 / 8) as host:
        yield host
