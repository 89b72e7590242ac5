"""Images to measure with; each is new at every call, so that no run profits from the one before."""

from __future__ import annotations

import io
import itertools
import json
import os
import shutil
import sysconfig
import tarfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from publisher.model.digest import Digest
from tests.support.engine import BUSYBOX

if TYPE_CHECKING:
    from tests.bench.machine import Machine

TREE = 340 * 1000 * 1000


def make_tree(machine: Machine, name: str, size: int) -> None:
    """Copies of Python's own library, `size` bytes of source files as they come, as an image of one layer."""
    files = sorted(Path(sysconfig.get_path("stdlib")).rglob("*.py"))
    with tarfile.open(machine.folder / f"{name}.tar", "w") as archive:
        for number, file in enumerate(itertools.cycle(files)):
            content = file.read_bytes()[:size]
            _add(archive, f"tree/{number // 200:04}/{number % 200:03}.py", content)
            size -= len(content)
            if not size:
                break
    make_again(machine, name)


def make_again(machine: Machine, name: str) -> None:
    """Another layer of the same kind."""
    path = machine.folder / f"{name}.tar"
    with tarfile.open(path, "a") as archive:
        _add(archive, f"tree/{uuid.uuid4()}.py", b"# new\n")
    # An import takes a third of the time of a build, where there are so many files.
    machine.engine.docker("import", "--change", 'CMD ["/none"]', str(path), name)


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


def make_noise(machine: Machine, name: str, layers: int, size: int) -> None:
    """Layers of `size` random bytes, which can't be compressed."""
    folder = machine.folder / name
    folder.mkdir(exist_ok=True)
    for number in range(layers):
        with (folder / f"noise{number}").open("wb") as file:
            for _ in range(size // 1_000_000):
                file.write(os.urandom(1_000_000))
    _build(machine, name, "FROM scratch\n" + "".join(f"COPY noise{n} /\n" for n in range(layers)))


def make_many(machine: Machine, name: str, layers: int) -> None:
    """So many layers of one small file each, loaded: a build of them would take its time."""
    files: dict[str, bytes] = {f"{number}/layer.tar": _small_layer(number) for number in range(layers)}
    diff_ids = [str(Digest.of(content)) for content in files.values()]
    document: dict[str, object] = {"architecture": "amd64", "os": "linux", "config": {"Cmd": ["/none"]}}
    document["rootfs"] = {"type": "layers", "diff_ids": diff_ids}
    listing = [{"Config": "config.json", "RepoTags": [f"{name}:latest"], "Layers": list(files)}]
    files |= {"config.json": json.dumps(document).encode(), "manifest.json": json.dumps(listing).encode()}
    path = machine.folder / f"{name}.tar"
    with tarfile.open(path, "w") as archive:
        for place, content in files.items():
            _add(archive, place, content)
    machine.engine.docker("load", "-q", "-i", str(path))


def _small_layer(number: int) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        _add(archive, f"small{number}", uuid.uuid4().bytes)
    return raw.getvalue()


def make_change(machine: Machine, name: str, base: str) -> None:
    """One small layer on `base`."""
    folder = machine.folder / name
    folder.mkdir(exist_ok=True)
    shutil.copy(BUSYBOX, folder / "busybox")
    (folder / "small").write_text(str(uuid.uuid4()))
    _build(machine, name, f"FROM {base}\nCOPY small /small\n")


def _build(machine: Machine, name: str, dockerfile: str) -> None:
    folder = machine.folder / name
    (folder / "Dockerfile").write_text(dockerfile)
    machine.engine.docker("build", "-q", "--no-cache", "-t", name, str(folder))
