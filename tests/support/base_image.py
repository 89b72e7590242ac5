"""A base image with this machine's Python, git, a shell, and wheels to install from, in place of one of Docker Hub."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.engine import BUSYBOX

if TYPE_CHECKING:
    from tests.support.engine import EngineProcess

# Wheels are linked against these, too; they stand beside the C library.
_LIBRARIES = ("libpthread.so.0", "libdl.so.2", "librt.so.1", "libutil.so.1", "libgcc_s.so.1", "libstdc++.so.6")
# What requirements/publish.txt locks, as scripts/environment fetched it.
WHEELS = Path(sys.prefix) / "wheels"
# What the lock names, in a folder of wheels, is all that an installation needs.
WITHOUT_INDEX = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(WHEELS), "PIP_CONFIG_FILE": os.devnull}
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "test", "tests", "site-packages", "dist-packages", "config-*")
_DOCKERFILE = """\
FROM scratch
COPY . /
RUN ["/bin/busybox", "--install", "/bin"]
ENV PATH=/usr/bin:/bin PIP_NO_INDEX=1 PIP_FIND_LINKS=/wheels
"""


def make_base(engine: EngineProcess, name: str, folder: Path) -> None:
    """Make it under `name`."""
    root = folder / "root"
    python = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
    library = Path(sysconfig.get_path("stdlib"))
    git = Path(shutil.which("git") or "")
    for path in (python, git, library, Path("/usr/share/python-wheels"), *_libraries(python, git, library)):
        _take(path, root)
    link = root / "usr" / "bin" / "python3"
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(python)
    (root / "bin").mkdir(exist_ok=True)
    (root / "tmp").mkdir()
    shutil.copy(BUSYBOX, root / "bin" / "busybox")
    (root / "Dockerfile").write_text(_DOCKERFILE)
    shutil.copytree(WHEELS, root / "wheels")
    engine.docker("build", "-q", "-t", name, str(root))


def _libraries(python: Path, git: Path, library: Path) -> set[Path]:
    """What git, the interpreter and its own modules load."""
    paths: set[Path] = set()
    for binary in (python, git, *library.glob("lib-dynload/*.so")):
        listing = subprocess.run(["ldd", str(binary)], capture_output=True, text=True, check=False).stdout
        paths |= {Path(path) for path in re.findall(r"(/\S+) \(0x", listing)}
    beside = next(path.parent for path in paths if path.name == "libc.so.6")
    return paths | {beside / name for name in _LIBRARIES}


def _take(path: Path, root: Path) -> None:
    target = root / str(path).lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        shutil.copytree(path, target, ignore=_LEFT_OUT, dirs_exist_ok=True)
    elif path.exists():
        shutil.copy2(path, target)
