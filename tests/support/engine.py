"""A Docker Engine of our own, in folders of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.process import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

BUSYBOX = Path("/bin/busybox")
AS_ROOT = () if os.geteuid() == 0 else ("sudo", "-n")


class EngineProcess:
    """A running engine: `host` is its DOCKER_HOST, `kind` is docker or podman."""

    def __init__(self, host: str, kind: str = "docker") -> None:
        self.host = host
        self.kind = kind

    def docker(self, *words: str, check: bool = True) -> str:
        """Run docker's CLI against it; returns stdout without its last newline."""
        environ = {**os.environ, "DOCKER_HOST": self.host, "DOCKER_BUILDKIT": "0"}
        done = subprocess.run(["docker", *words], env=environ, capture_output=True, text=True, check=False, timeout=120)
        if check and done.returncode:
            raise AssertionError(f"docker {' '.join(words)}: {done.stderr}")
        return done.stdout.rstrip("\n")

    def build(self, name: str, content: str, folder: Path) -> str:
        """Build a tiny image whose one file holds `content`; returns its id."""
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(BUSYBOX, folder / "busybox")
        (folder / "content").write_text(content)
        (folder / "Dockerfile").write_text(
            'FROM scratch\nCOPY busybox /bin/busybox\nCOPY content /content\nCMD ["/bin/busybox", "cat", "/content"]\n'
        )
        self.docker("build", "-q", "-t", name, str(folder))
        return self.docker("image", "inspect", "-f", "{{.Id}}", name)


@contextmanager
def run_engine(number: int, *, apart: bool = False) -> Iterator[EngineProcess]:
    """Start dockerd, as root; `number` tells several apart. apart: in a network of its own, without a way out."""
    folder = Path(tempfile.mkdtemp(prefix=f"pt{number}-", dir="/tmp"))
    bridge = f"pt{os.getpid()}n{number}"
    if not apart:
        _make_bridge(bridge, number)
    command = ["unshare", "--net", *_command(folder, "none", bridge)] if apart else _command(folder, bridge, bridge)
    with (folder / "log").open("wb") as log:
        environ = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
        process = subprocess.Popen([*AS_ROOT, *command], stdout=log, stderr=log, env=environ)
    engine = EngineProcess(f"unix://{folder}/docker.sock")
    try:
        wait_until(lambda: _answers(engine, process, folder / "log"), seconds=60, what="dockerd")
        yield engine
    finally:
        _end(process, folder)
        as_root("ip", "link", "delete", bridge)


def _make_bridge(name: str, number: int) -> None:
    """A bridge of its own, for ports of containers; the engine's proxy serves them, so that no firewall is touched."""
    for words in (
        ("link", "add", "name", name, "type", "bridge"),
        ("addr", "add", f"10.{200 + number % 50}.{os.getpid() % 250}.1/24", "dev", name),
        ("link", "set", name, "up"),
    ):
        as_root("ip", *words)


def _command(folder: Path, bridge: str, namespace: str) -> list[str]:
    words = ["dockerd", "--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec", "--pidfile", f"{folder}/pid"]
    words += ["-H", f"unix://{folder}/docker.sock", "--group", str(os.getgid())]
    words += ["--bridge", bridge, "--iptables=false"]
    # Where the machine runs a containerd it is shared with the machine's own engine: only the names keep them apart.
    # A folder's name may end with an underscore, which no namespace may.
    return [*words, "--containerd-namespace", namespace, "--containerd-plugins-namespace", f"{namespace}-plugins"]


def _answers(engine: EngineProcess, process: subprocess.Popen[bytes], log: Path) -> bool:
    if process.poll() is not None:
        raise AssertionError(f"dockerd ended with {process.returncode}:\n{log.read_text()[-2000:]}")
    return bool(engine.docker("version", "-f", "{{.Server.Version}}", check=False))


def _end(process: subprocess.Popen[bytes], folder: Path) -> None:
    """End it by its pid; it ends its containerd. What it left mounted is let go, and its folders removed."""
    pid = folder / "pid"
    if process.poll() is None:
        as_root("kill", pid.read_text().strip() if pid.exists() else str(process.pid))
        process.wait(60)
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for mount in reversed([mount for mount in mounts if mount.startswith(f"{folder}/")]):
        as_root("umount", "-l", mount)
    as_root("rm", "-rf", str(folder))


def as_root(*words: str) -> None:
    """Run a command as root, whatever comes of it."""
    subprocess.run([*AS_ROOT, *words], check=False, capture_output=True)
