"""Images that are in a registry or a layout already: retags, copies, verification."""

from __future__ import annotations

import subprocess
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.images import make_many, make_noise
from tests.bench.link import slow_link
from tests.bench.machine import CRANE, Cost, alternately, skopeo
from tests.bench.row import Row
from tests.support.layout import make_layout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.bench.machine import Machine

_LINK = (0.05, 100e6 / 8)


def copying_rows(machine: Machine) -> Iterator[Row]:
    """All of them; "tree" and "noise" are there."""
    yield from retags(machine)
    yield from layouts(machine)
    yield pull_tag_push(machine)
    yield index(machine)
    yield deep(machine)


def retags(machine: Machine) -> Iterator[Row]:
    """Tags over a link with round trips of 50 ms, against docker push, and crane where it is on PATH."""
    make_noise(machine, "near", 1, 1_000_000)
    with slow_link(machine.registry.host, *_LINK) as host:
        machine.push("near", f"{host}/retag/a", "1.0.0")

        def ours(count: int) -> Callable[[int], Cost]:
            def retag(number: int) -> Cost:
                targets = [f":ours{count}-{number}-{index}" for index in range(count)]
                return machine.cost(partial(machine.run, "retag", f"{host}/retag/a:1.0.0", *targets))

            return retag

        def pushes(number: int) -> Cost:
            tags = [f"push-{number}-{index}" for index in range(3)]
            return machine.cost(partial(machine.push, "near", f"{host}/retag/a", *tags))

        once, three, ten, pushed = alternately(5, ours(1), ours(3), ours(10), pushes)
        start = len(machine.registry.requests())
        ours(10)(99)
        blobs = sum("/blobs/" in request.path for request in machine.registry.requests()[start:])
        cranes = _crane(machine, host) if CRANE else None
    yield Row("retag, 50 ms link: 10 tags / 1 tag", ten.wall / once.wall, 1.5, False, _walls(ten, once))
    yield Row("retag, 50 ms link: docker push x 3 / 3 tags", pushed.wall / three.wall, 3.0, True, _walls(pushed, three))
    yield Row("retag: blob requests", blobs, 0, False, "")
    if cranes:
        yield Row("retag, 50 ms link: crane x 3 / 3 tags", 3 * cranes.wall / three.wall, 2.0, True, "")
        yield Row("retag, 50 ms link: crane x 10 / 10 tags", 10 * cranes.wall / ten.wall, 6.0, True, "")


def _crane(machine: Machine, host: str) -> Cost:
    """One `crane tag`; several calls take as many times as long."""

    def tag(number: int) -> Cost:
        words = [str(CRANE), "tag", "--insecure", f"{host}/retag/a:1.0.0", f"crane-{number}"]
        return machine.cost(lambda: subprocess.run(words, check=True, capture_output=True))

    return alternately(5, tag)[0]


def pull_tag_push(machine: Machine) -> Row:
    """What a retag is without a tool for it."""
    host = machine.registry.host
    machine.push("noise", f"{host}/again/a", "1.0.0")

    def theirs(number: int) -> Cost:
        _forget_image(machine, "noise")
        _forget_image(machine, f"{host}/again/a:1.0.0")

        def work() -> None:
            machine.engine.docker("pull", "-q", f"{host}/again/a:1.0.0")
            machine.push(f"{host}/again/a:1.0.0", f"{host}/again/a", f"by-pull-{number}")

        return machine.cost(work)

    def ours(number: int) -> Cost:
        return machine.cost(partial(machine.run, "retag", f"{host}/again/a:1.0.0", f":by-retag-{number}"))

    slow, fast = alternately(3, theirs, ours)
    what = "100 MB: docker pull && tag && push / retag"
    return Row(what, slow.wall / fast.wall, 1.0, True, f"{slow} / {fast}")


def _forget_image(machine: Machine, name: str) -> None:
    """Every name of it, so that a pull has to download."""
    image_id = machine.engine.docker("image", "inspect", "-f", "{{.Id}}", name, check=False)
    if image_id:
        machine.engine.docker("image", "rm", "-f", image_id, check=False)


def layouts(machine: Machine) -> Iterator[Row]:
    """OCI layouts to the registry, against skopeo; and all of them together, where one start weighs less."""
    make_many(machine, "many", 125)
    costs = [
        (what, layout(machine, image))
        for image, what in (("tree", "340 MB"), ("noise", "100 MB of noise"), ("many", "125 tiny layers"))
    ]
    for what, (slow, fast) in costs:
        yield Row(f"oci layout, {what}: skopeo copy / push", slow.wall / fast.wall, 1.0, True, f"{slow} / {fast}")
    theirs, ours = (sum(both[side].wall for _what, both in costs) for side in (0, 1))
    yield Row("oci layouts, all three: skopeo copy / push", theirs / ours, 1.0, True, f"{theirs:.2f} s / {ours:.2f} s")


def layout(machine: Machine, image: str) -> tuple[Cost, Cost]:
    """What skopeo and we take for a layout of an engine's image."""
    folder = machine.folder / f"layout-{image}"
    skopeo("copy", "-q", "--src-daemon-host", machine.engine.host, f"docker-daemon:{image}:latest", f"oci:{folder}:v1")
    host = machine.registry.host

    def theirs(number: int) -> Cost:
        _forget(machine)
        target = f"docker://{host}/{image}/skopeo{number}:1"
        return machine.cost(lambda: skopeo("copy", "-q", "--dest-tls-verify=false", f"oci:{folder}:v1", target))

    def ours(number: int) -> Cost:
        _forget(machine)
        words = ("push", f"oci:{folder}:v1", "--image", f"{host}/{image}/layout{number}")
        return machine.cost(partial(machine.run, *words))

    slow, fast = alternately(5, theirs, ours)
    return slow, fast


def _forget(machine: Machine) -> None:
    """Neither tool may know the blobs from another repository: each has its own to begin with."""
    Path("/var/lib/containers/cache/blob-info-cache-v1.boltdb").unlink(missing_ok=True)
    (machine.publish.home / "cache" / "publish" / "blobs.jsonl").unlink(missing_ok=True)


def index(machine: Machine) -> Row:
    """An index of two platforms to another repository, all of it, against skopeo."""
    make_layout(machine.folder / "index", "index", ("linux/amd64", "linux/arm64"))
    host = machine.registry.host
    machine.run("push", f"oci:{machine.folder / 'index'}", "--image", f"{host}/index/a", "--tag", "1")

    def theirs(number: int) -> Cost:
        words = ("copy", "-q", "--all", "--src-tls-verify=false", "--dest-tls-verify=false")
        target = f"docker://{host}/index/skopeo{number}:1"
        return machine.cost(lambda: skopeo(*words, f"docker://{host}/index/a:1", target))

    def ours(number: int) -> Cost:
        return machine.cost(partial(machine.run, "retag", f"{host}/index/a:1", f"{host}/index/ours{number}:1"))

    slow, fast = alternately(5, theirs, ours)
    what = "two-platform index to another repository: skopeo / retag"
    # Both are small; a start of Python against one of Go, so that what must hold is that it is the same in kind.
    return Row(what, slow.wall / fast.wall, 0.2, True, f"{slow} / {fast}")


def deep(machine: Machine) -> Row:
    """Every byte of 1 GB read and hashed, against curl into sha256sum."""
    make_noise(machine, "giga", 1, 1_000_000_000)
    image = f"{machine.registry.host}/giga/a"
    machine.push("giga", image, "1.0.0")
    words = ["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{image}:1.0.0"]
    shown = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    digest = shown.rpartition('"digest": "')[2].partition('"')[0]
    address = f"{machine.registry.url}/v2/giga/a/blobs/{digest}"

    def bare(_number: int) -> Cost:
        script = f"test $(curl -sS {address} | sha256sum | cut -c1-64) = {digest[7:]}"
        return machine.cost(lambda: subprocess.run(["sh", "-c", script], check=True))

    def ours(_number: int) -> Cost:
        # An engine at hand would pull it as well.
        words = ("verify", f"{image}:1.0.0", "--verify", "deep")
        away = {"DOCKER_HOST": "unix:///nowhere"}
        return machine.cost(lambda: _succeed(machine, words, away))

    least, release = alternately(3, bare, ours)
    return Row(
        "verify deep, 1 GB: curl | sha256sum / verify", least.wall / release.wall, 0.7, True, _walls(least, release)
    )


def _succeed(machine: Machine, words: tuple[str, ...], environ: dict[str, str]) -> None:
    done = machine.publish(*words, environ=environ)
    if done.code:
        raise SystemExit(done.stderr)


def _walls(first: Cost, second: Cost) -> str:
    return f"{first.wall:.2f} s / {second.wall:.2f} s"
