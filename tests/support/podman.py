"""podman's API socket as a second engine, in folders of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.engine import AS_ROOT, EngineProcess, as_root
from tests.support.process import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

_PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"


@contextmanager
def run_podman(number: int, insecure: str) -> Iterator[EngineProcess]:
    """Start podman's service, as root; `insecure` is the registry that it may speak plain HTTP to."""
    # Its run folder may have no more than 50 characters.
    folder = Path(tempfile.mkdtemp(prefix=f"pp{number}-", dir="/tmp"))
    (folder / "registries.conf").write_text(f'[[registry]]\nlocation = "{insecure}"\ninsecure = true\n')
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([*AS_ROOT, *_command(folder)], stdout=log, stderr=log)
    engine = EngineProcess(f"unix://{folder}/sock", "podman")
    try:
        wait_until(lambda: _answers(engine, process, folder), seconds=30, what="podman")
        yield engine
    finally:
        _remove_all(engine)
        as_root("kill", str(process.pid))
        process.wait(30)
        mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
        for mount in reversed([mount for mount in mounts if mount.startswith(f"{folder}/")]):
            as_root("umount", "-l", mount)
        as_root("rm", "-rf", str(folder))


def _command(folder: Path) -> list[str]:
    words = ["podman", "--root", f"{folder}/root", "--runroot", f"{folder}/run", "--tmpdir", f"{folder}/tmp"]
    words += ["--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--network-config-dir", f"{folder}/net"]
    if runc := shutil.which("runc", path=_PATH):
        # crun wants all controllers of cgroups in one hierarchy.
        words += ["--runtime", runc]
    # Within the command, since sudo keeps no environment.
    variables = [f"CONTAINERS_REGISTRIES_CONF={folder}/registries.conf", f"TMPDIR={folder}", f"PATH={_PATH}"]
    return ["env", *variables, *words, "system", "service", "-t", "0", f"unix://{folder}/sock"]


def _answers(engine: EngineProcess, process: subprocess.Popen[bytes], folder: Path) -> bool:
    if process.poll() is not None:
        raise AssertionError(f"podman ended with {process.returncode}:\n{(folder / 'log').read_text()[-2000:]}")
    # The socket of another user is made before it may be used.
    as_root("chmod", "0666", f"{folder}/sock")
    return bool(engine.docker("version", "-f", "{{.Server.Version}}", check=False))


def _remove_all(engine: EngineProcess) -> None:
    """Containers outlive the service: each has a monitor of its own."""
    if containers := engine.docker("ps", "-aq", check=False).split():
        engine.docker("rm", "-f", *containers, check=False)
