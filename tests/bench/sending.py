"""Releases of an engine's image against docker push."""

from __future__ import annotations

import os
import subprocess
import time
from functools import partial
from typing import TYPE_CHECKING

from tests.bench.images import TREE, make_again, make_change, make_many, make_noise, make_tree
from tests.bench.link import slow_link
from tests.bench.machine import Cost, alternately
from tests.bench.row import Row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.bench.machine import Machine


def sending_rows(machine: Machine) -> Iterator[Row]:
    """All of them."""
    make_tree(machine, "tree", TREE)
    yield from one_layer(machine)
    yield from four_tags(machine)
    yield from one_change(machine)
    make = partial(make_noise, machine, "noise", 5, 20_000_000)
    yield against_push(machine, "noise", make, "100 MB of noise in five layers", 3)
    make = partial(make_many, machine, "many", 125)
    yield against_push(machine, "many", make, "125 tiny layers (the engine's most)", 5)
    yield over_a_slow_link(machine)


def one_layer(machine: Machine) -> Iterator[Row]:
    """340 MB in one layer: docker push, a release, and the engine's bare export."""
    theirs, ours, bare = alternately(
        5,
        partial(_push, machine, "tree"),
        partial(_release, machine, "tree", ("--via", "direct")),
        lambda _number: machine.cost(partial(_save, machine)),
    )
    yield Row("340 MB, one layer: docker push / release", theirs.wall / ours.wall, 3.0, True, _both(theirs, ours))
    left = f"export {bare.wall:.2f} s"
    yield Row("340 MB, one layer: seconds beyond the bare export", ours.wall - bare.wall, 2.5, False, left)


def _save(machine: Machine) -> None:
    environ = {**os.environ, "DOCKER_HOST": machine.engine.host}
    subprocess.run(["docker", "save", "tree"], env=environ, stdout=subprocess.DEVNULL, check=True)


def _push(machine: Machine, source: str, number: int) -> Cost:
    """Push a new image to a new repository; its name goes, so that the engine doesn't tell where it can be found."""
    make_again(machine, source)
    target = f"{machine.registry.host}/push{number}-{time.monotonic_ns()}/a"
    cost = machine.cost(partial(machine.push, source, target, "1.0.0"))
    machine.engine.docker("image", "rm", f"{target}:1.0.0", check=False)
    return cost


def _release(machine: Machine, source: str, words: tuple[str, ...], number: int) -> Cost:
    make_again(machine, source)
    image = f"{machine.registry.host}/ours{number}-{time.monotonic_ns()}/a"
    return machine.cost(partial(machine.release, f"docker-daemon:{source}", image, *words))


def against_push(machine: Machine, source: str, make: Callable[[], None], what: str, times: int) -> Row:
    """A release of one tag's worth of content against docker push, on loopback; both see the same new images."""

    def theirs(number: int) -> Cost:
        make()
        target = f"{machine.registry.host}/{source}-push{number}/a"
        cost = machine.cost(partial(machine.push, source, target, "1.0.0"))
        machine.engine.docker("image", "rm", f"{target}:1.0.0", check=False)
        return cost

    def ours(number: int) -> Cost:
        make()
        image = f"{machine.registry.host}/{source}-ours{number}/a"
        return machine.cost(partial(machine.release, f"docker-daemon:{source}", image))

    slow, fast = alternately(times, theirs, ours)
    return Row(f"{what}: docker push / release", slow.wall / fast.wall, 1.0, True, _both(slow, fast))


def four_tags(machine: Machine) -> Iterator[Row]:
    """One release of four tags against four pushes, in requests; and blobs touched once the first tag is there."""
    host = machine.registry.host
    make_again(machine, "tree")
    theirs = machine.cost(partial(machine.push, "tree", f"{host}/four/push", "1.0.0", "1.0", "1", "latest"))
    make_again(machine, "tree")
    start = len(machine.registry.requests())
    machine.release("docker-daemon:tree", f"{host}/four/ours", "--via", "direct")
    requests = machine.registry.requests()[start:]
    first = next(
        n for n, request in enumerate(requests) if request.method == "PUT" and request.path.endswith("/manifests/1.0.0")
    )
    blobs = sum("/blobs/" in request.path for request in requests[first:])
    both = f"{len(requests)} / {theirs.requests}"
    yield Row("four tags: requests, release / docker push x 4", len(requests) / theirs.requests, 1.0, False, both)
    yield Row("four tags: blob requests after the first tag", blobs, 0, False, "")


def one_change(machine: Machine) -> Iterator[Row]:
    """One small layer on a base of 340 MB that was pushed to, and released to, the same registry."""
    host = machine.registry.host
    make_again(machine, "tree")
    machine.push("tree", f"{host}/change/push", "1.0.0")
    for image in ("one", "four"):
        machine.release("docker-daemon:tree", f"{host}/change/{image}")

    def theirs(tags: tuple[str, ...], number: int) -> Cost:
        make_change(machine, "change", "tree")
        own = [f"1.{number}.{tag}" for tag in tags]
        return machine.cost(partial(machine.push, "change", f"{host}/change/push", *own))

    def ours(image: str, words: tuple[str, ...], number: int) -> Cost:
        make_change(machine, "change", "tree")
        words = ("--version", f"1.{number + 1}.0", *words)
        return machine.cost(partial(machine.release, "docker-daemon:change", f"{host}/change/{image}", *words))

    alone = ("--rule", "type=semver,pattern={{version}}", "--flavor", "latest=false")
    slow, fast, slow_four, fast_four = alternately(
        5,
        partial(theirs, ("a",)),
        partial(ours, "one", alone),
        partial(theirs, ("b", "c", "d", "e")),
        partial(ours, "four", ()),
    )
    what = "one small layer on 340 MB"
    yield Row(f"{what}: seconds beyond docker push", fast_four.wall - slow.wall, 1.5, False, _both(slow, fast_four))
    requests = f"{fast.requests} - {slow.requests}"
    yield Row(f"{what}, 1 tag: requests beyond docker push", fast.requests - slow.requests, 10, False, requests)
    more = fast_four.requests - slow_four.requests
    requests = f"{fast_four.requests} - {slow_four.requests}"
    yield Row(f"{what}, 4 tags: requests beyond 4 docker pushes", more, 10, False, requests)


def over_a_slow_link(machine: Machine) -> Row:
    """20 MB of noise over 100 Mbit/s and 50 ms."""
    with slow_link(machine.registry.host, 0.05, 100e6 / 8) as host:

        def theirs(number: int) -> Cost:
            make_noise(machine, "far", 2, 10_000_000)
            return machine.cost(partial(machine.push, "far", f"{host}/far/push{number}", "1.0.0"))

        def ours(number: int) -> Cost:
            make_noise(machine, "far", 2, 10_000_000)
            return machine.cost(partial(machine.release, "docker-daemon:far", f"{host}/far/ours{number}"))

        slow, fast = alternately(3, theirs, ours)
    what = "20 MB of noise, 50 ms and 100 Mbit/s"
    return Row(f"{what}: docker push / release of 4 tags", slow.wall / fast.wall, 0.7, True, _both(slow, fast))


def _both(slow: Cost, fast: Cost) -> str:
    return f"{slow} / {fast}"
