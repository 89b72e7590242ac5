"""Docker Engines of our own, in folders of their own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.network import SHARED, is_apart
from tests.support.parts import AS_ROOT, SYSTEM, add_buildx, enter, find_part, find_tool
from tests.support.process import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

BUSYBOX = Path("/bin/busybox")


class EngineProcess:
    """A running engine: `host` is its DOCKER_HOST, `kind` is docker or podman, `store` is containerd or classic."""

    def __init__(self, host: str, kind: str = "docker", store: str = "classic", config: Path | None = None) -> None:
        self.host = host
        self.kind = kind
        self.store = store
        environ = {**os.environ, "DOCKER_HOST": host, "DOCKER_BUILDKIT": "0"}
        if config:
            add_buildx(config)
            environ |= {"DOCKER_BUILDKIT": "1", "DOCKER_CONFIG": str(config)}
        self._environ = environ
        self._cli = find_tool("docker") if config else "docker"

    def docker(self, *words: str, check: bool = True) -> str:
        """Run docker's CLI against it; returns stdout without its last newline."""
        done = subprocess.run(
            [self._cli, *words], env=self._environ, capture_output=True, text=True, check=False, timeout=120
        )
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
def run_engine(number: int, store: str = "containerd", *, apart: bool = False) -> Iterator[EngineProcess]:
    """Start dockerd, as root; `number` tells several apart. apart: in a network of its own, without a way out.

    With the containerd store it is today's, and builds by buildx; the classic one is the system's.
    """
    assert is_apart(), SHARED
    folder = Path(tempfile.mkdtemp(prefix=f"pt{number}-", dir="/tmp"))
    bridge = f"pt{os.getpid()}n{number}"
    if not apart:
        _make_bridge(bridge, number)
    command = _command(folder, "none" if apart else bridge, number, store)
    if apart:
        command = [*AS_ROOT, "unshare", "--net", *command]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    config = folder / "cli" if store == "containerd" else None
    engine = EngineProcess(f"unix://{folder}/docker.sock", store=store, config=config)
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


def _command(folder: Path, bridge: str, number: int, store: str) -> list[str]:
    settings = {
        "features": {"containerd-snapshotter": store == "containerd"},
        # Engines that don't know of each other would take the same addresses.
        "default-address-pools": [{"base": f"10.{100 + number % 50}.0.0/16", "size": 24}],
    }
    (folder / "daemon.json").write_text(json.dumps(settings))
    words = ["dockerd", "--config-file", f"{folder}/daemon.json", "-H", f"unix://{folder}/docker.sock"]
    words += ["--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec", "--pidfile", f"{folder}/pid"]
    words += ["--group", str(os.getgid()), "--bridge", bridge, "--iptables=false"]
    return enter(find_part("dockerd").root if store == "containerd" else SYSTEM, *words)


def _answers(engine: EngineProcess, process: subprocess.Popen[bytes], log: Path) -> bool:
    if process.poll() is not None:
        raise AssertionError(f"dockerd ended with {process.returncode}:\n{log.read_text()[-2000:]}")
    return bool(engine.docker("version", "-f", "{{.Server.Version}}", check=False))


def _end(process: subprocess.Popen[bytes], folder: Path) -> None:
    """End it by its pid; it ends its containerd. What it mounted goes with its mount namespace."""
    pid = folder / "pid"
    if process.poll() is None:
        as_root("kill", pid.read_text().strip() if pid.exists() else str(process.pid))
        process.wait(60)
    as_root("rm", "-rf", str(folder))


def as_root(*words: str) -> None:
    """Run a command as root, whatever comes of it."""
    subprocess.run([*AS_ROOT, *words], check=False, capture_output=True)
