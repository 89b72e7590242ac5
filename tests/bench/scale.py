"""Many images, many registries, far away: a link with round trips of 50 ms and no limit of bandwidth."""

from __future__ import annotations

import itertools
import os
import shutil
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final

from tests.bench.layouts import SMALL, digests, noise_layout
from tests.bench.link import slow_link
from tests.bench.machine import OPTIONS
from tests.bench.memory import MEASURE
from tests.bench.row import Row
from tests.support.parts import find_tool
from tests.support.registry import run_registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from tests.bench.machine import Machine
    from tests.support.command import Publish

ROUND_TRIP: Final = 0.05
TAGS: Final = ("1.0.0", "1.0", "1", "latest")
_TIMES: Final = 5
_NUMBERS = itertools.count()
Seconds = float


class FarRelease:
    """Releases of layouts over a far link, with no engine at hand; every call is about images that nobody has seen."""

    def __init__(self, publish: Publish, folder: Path) -> None:
        self._publish = publish
        self._folder = folder / "scale"

    def images(self, host: str, count: int, size: int = SMALL) -> list[str]:
        """The command for so many images, each with a repository of its own; its configuration is written."""
        number, tables = next(_NUMBERS), []
        for index in range(count):
            folder = noise_layout(self.folder(f"layout-{number}-{index}"), size)
            name = f'["{host}/scale/{number}-{index}"]'
            tables.append(f'[images.image{index}]\nrepositories = {name}\nsource = "oci:{folder}"\n')
        config = self.folder(f"publish-{number}.toml")
        config.write_text("\n".join(tables))
        return ["--config", str(config), "release", *OPTIONS]

    def to_registries(self, hosts: Sequence[str]) -> list[str]:
        """The command for one image in several registries."""
        number = next(_NUMBERS)
        layout = noise_layout(self.folder(f"layout-{number}"))
        names = (word for host in hosts for word in ("--image", f"{host}/scale/{number}"))
        return ["release", f"oci:{layout}", *names, *OPTIONS]

    def of_platforms(self, host: str, count: int) -> list[str]:
        """The command for one image of so many platforms."""
        number = next(_NUMBERS)
        layout = noise_layout(self.folder(f"layout-{number}"), 10_000, count)
        return ["release", f"oci:{layout}", "--image", f"{host}/scale/{number}", *OPTIONS]

    def of_parts(self, near: str, far: str, count: int) -> list[str]:
        """The command that assembles what so many machines have pushed."""
        number = next(_NUMBERS)
        layout = noise_layout(self.folder(f"layout-{number}"), 10_000, count)
        self.seconds(["push", f"oci:{layout}", "--image", f"{near}/scale/{number}", "--tag", "parts"])
        sources = (f"docker://{far}/scale/{number}@{digest}" for digest in digests(layout))
        return ["release", *sources, "--image", f"{far}/scale/{number}", *OPTIONS]

    def with_tags(self, host: str, count: int) -> list[str]:
        """The command for one image with so many tags."""
        number = next(_NUMBERS)
        layout = noise_layout(self.folder(f"layout-{number}"))
        rules = ["type=semver,pattern={{version}}", *(f"type=raw,value=tag-{tag}" for tag in range(1, count))]
        words = [word for rule in rules for word in ("--rule", rule)]
        image = ["--image", f"{host}/scale/{number}"]
        return ["release", f"oci:{layout}", *image, *OPTIONS, *words, "--flavor", "latest=false"]

    def beside(self, host: str, repository: str, version: str) -> list[str]:
        """The command for one more version in a repository."""
        layout = noise_layout(self.folder(f"layout-{next(_NUMBERS)}"))
        options = [f"--version={version}", *OPTIONS[1:]]
        return ["release", f"oci:{layout}", "--image", f"{host}/{repository}", *options]

    def folder(self, name: str) -> Path:
        """A place of its own."""
        return self._folder / name

    def seconds(self, words: Sequence[str]) -> Seconds:
        """Of one run, which must succeed."""
        self.folder(".").mkdir(parents=True, exist_ok=True)
        began = time.perf_counter()
        done = self._publish(*words, environ={"DOCKER_HOST": "unix:///nowhere"})
        if done.code:
            raise SystemExit(done.stderr)
        return time.perf_counter() - began

    def peak(self, words: Sequence[str]) -> float:
        """The memory of one run at its peak, in MiB."""
        command = [sys.executable, "-c", MEASURE, self._publish.program, *words]
        environ = {**self._publish.environ, "DOCKER_HOST": "unix:///nowhere"}
        done = subprocess.run(command, env=environ, stdout=subprocess.PIPE, text=True, check=True)
        return int(done.stdout.splitlines()[-1]) / 1024

    def clear(self) -> None:
        """Forget the layouts so far."""
        shutil.rmtree(self.folder("."), ignore_errors=True)
        self.folder(".").mkdir(parents=True)


def medians(far: FarRelease, *commands: Callable[[], list[str]], times: int = _TIMES) -> list[Seconds]:
    """The median seconds of each, measured in turn: a slow moment meets all."""
    walls: list[list[Seconds]] = [[] for _command in commands]
    for number in range(times):
        for place in range(len(commands)):
            index = (place + number) % len(commands)
            walls[index].append(far.seconds(commands[index]()))
        far.clear()
    return [statistics.median(seconds) for seconds in walls]


def scale_rows(machine: Machine) -> Iterator[Row]:
    """All of them."""
    far = FarRelease(machine.publish, machine.folder)
    far.clear()
    with slow_link(machine.registry.host, ROUND_TRIP, float("inf")) as host:
        one, ten, thirty = medians(
            far, lambda: far.images(host, 1), lambda: far.images(host, 10), lambda: far.images(host, 30)
        )
        yield Row("50 ms link: 10 images / 1 image", ten / one, 2.0, False, f"{ten:.2f} s / {one:.2f} s")
        yield Row("50 ms link: 30 images / 1 image", thirty / one, 4.0, False, f"{thirty:.2f} s / {one:.2f} s")
        yield from _one_tag(machine, far, host)
        for count, ours in ((10, ten), (30, thirty)):
            yield _against(count, "skopeo copy", _skopeo_chain(far, host, count), ours)
            yield _against(count, "docker push", _docker_chain(machine, host, count), ours)
        with slow_link(machine.registry.host, 0.0, float("inf")) as near:
            yield from _round_trips(machine, far, host, near)
    yield from _registries(machine, far)
    far.clear()
    words = far.images(machine.registry.host, 10, 100_000_000)
    yield Row("peak memory in MiB, 10 images of 100 MB", far.peak(words), 128, False, "")
    far.clear()


def _one_tag(machine: Machine, far: FarRelease, host: str) -> Iterator[Row]:
    """Where the other tool is quicker: one image, one tag, and nothing to decide. Only the kind is held."""
    for where, at in (("near", machine.registry.host), ("50 ms link", host)):
        (ours,) = medians(far, lambda at=at: far.with_tags(at, 1))  # type: ignore[misc]
        theirs = statistics.median(_skopeo_chain(far, at, 1, TAGS[:1]) for _number in range(_TIMES))
        detail = f"{theirs:.2f} s / {ours:.2f} s"
        yield Row(f"{where}: 1 image, 1 tag, skopeo copy / release", theirs / ours, 0.1, True, detail)


def _against(count: int, what: str, theirs: Seconds, ours: Seconds) -> Row:
    detail = f"{theirs:.2f} s / {ours:.2f} s, {len(TAGS)} tags each"
    return Row(f"50 ms link: {count} images, {what} one by one / release", theirs / ours, 1.0, True, detail)


def _skopeo_chain(far: FarRelease, host: str, count: int, tags: Sequence[str] = TAGS) -> Seconds:
    """Each tag of each image, one after another, as a script would."""
    number, skopeo = next(_NUMBERS), find_tool("skopeo")
    layouts = [noise_layout(far.folder(f"skopeo-{number}-{index}")) for index in range(count)]
    began = time.perf_counter()
    for index, layout in enumerate(layouts):
        for tag in tags:
            target = f"docker://{host}/skopeo/{number}-{index}:{tag}"
            words = [skopeo, "--insecure-policy", "copy", "-q", "--dest-tls-verify=false", f"oci:{layout}", target]
            subprocess.run(words, check=True, capture_output=True)
    return time.perf_counter() - began


def _docker_chain(machine: Machine, host: str, count: int) -> Seconds:
    number, names = next(_NUMBERS), []
    for index in range(count):
        folder = machine.folder / f"docker-{number}-{index}"
        folder.mkdir()
        (folder / "noise").write_bytes(os.urandom(SMALL))
        (folder / "Dockerfile").write_text("FROM scratch\nCOPY noise /noise\n")
        names.append(f"{host}/docker/{number}-{index}")
        for tag in TAGS:
            machine.engine.docker("build", "-q", "-t", f"{names[-1]}:{tag}", str(folder))
        shutil.rmtree(folder)
    began = time.perf_counter()
    for name in names:
        for tag in TAGS:
            machine.engine.docker("push", "-q", f"{name}:{tag}")
    return time.perf_counter() - began


def _round_trips(machine: Machine, far: FarRelease, host: str, near: str) -> Iterator[Row]:
    """What the link adds to a run, in round trips, connects included. near: the same relay without any delay."""
    direct = machine.registry.host
    there, here = medians(far, lambda: far.images(host, 1), lambda: far.images(near, 1), times=9)
    yield _trips("round trips of a release with four tags", there, here, 11)
    there, here = medians(far, lambda: far.of_parts(direct, host, 30), lambda: far.of_parts(direct, near, 30), times=5)
    yield _trips("round trips of assembling 30 platforms", there, here, 12)


def _trips(what: str, there: Seconds, here: Seconds, goal: int) -> Row:
    return Row(what, (there - here) / ROUND_TRIP, goal, False, f"{there:.2f} s at 50 ms, {here:.2f} s at 0")


def _registries(machine: Machine, far: FarRelease) -> Iterator[Row]:
    with far_registries(machine.folder, 5) as hosts:
        one, five = medians(far, lambda: far.to_registries(hosts[:1]), lambda: far.to_registries(hosts))
    yield Row("50 ms link: 5 registries / 1 registry", five / one, 1.6, False, f"{five:.2f} s / {one:.2f} s")


@contextmanager
def far_registries(folder: Path, count: int) -> Iterator[list[str]]:
    """So many registries, each at the end of a link of its own."""
    with ExitStack() as stack:
        folders = (folder / f"registry-{next(_NUMBERS)}" for _number in range(count))
        registries = [stack.enter_context(run_registry(folder)) for folder in folders]
        links = (slow_link(registry.host, ROUND_TRIP, float("inf")) for registry in registries)
        yield [stack.enter_context(link) for link in links]
