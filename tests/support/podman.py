"""podman's API socket as another engine, in folders of its own."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.engine import EngineProcess, as_root
from tests.support.network import SHARED, is_apart
from tests.support.parts import SYSTEM, enter, find_part
from tests.support.process import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

# Where the machine's hard limits are low, podman's own would be refused.
_CONTAINERS = """\
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
[network]
default_subnet_pools = [{{"base" = "10.{second}.0.0/17", "size" = 24}}]
"""


@contextmanager
def run_podman(number: int, insecure: str, *, old: bool = False) -> Iterator[EngineProcess]:
    """Start podman's service, as root; `insecure` is the registry that it may speak plain HTTP to.

    It is today's; the old one is the system's.
    """
    assert is_apart(), SHARED
    # Its run folder may have no more than 50 characters.
    folder = Path(tempfile.mkdtemp(prefix=f"pp{number}-", dir="/tmp"))
    (folder / "registries.conf").write_text(f'[[registry]]\nlocation = "{insecure}"\ninsecure = true\n')
    (folder / "containers.conf").write_text(_CONTAINERS.format(second=150 + number % 50))
    _write_networks(folder / "net", number)
    with (folder / "log").open("wb") as log:
        # A container's monitor leaves a file where it was started.
        process = subprocess.Popen(_command(folder, old=old), stdout=log, stderr=log, cwd=folder)
    engine = EngineProcess(f"unix://{folder}/sock", "podman")
    try:
        wait_until(lambda: _answers(engine, process, folder), seconds=30, what="podman")
        yield engine
    finally:
        _remove_all(engine)
        as_root("kill", str(process.pid))
        process.wait(30)
        as_root("rm", "-rf", str(folder))


def _command(folder: Path, *, old: bool) -> list[str]:
    words = ["podman", "--root", f"{folder}/root", "--runroot", f"{folder}/run", "--tmpdir", f"{folder}/tmp"]
    words += ["--cgroup-manager", "cgroupfs", "--network-config-dir", f"{folder}/net"]
    root = SYSTEM if old else find_part("podman").root
    if root == SYSTEM:
        words += ["--storage-driver", "vfs"]
        # crun wants all controllers of cgroups in one hierarchy.
        words += ["--runtime", runc] if (runc := shutil.which("runc", path="/usr/sbin:/usr/bin:/sbin:/bin")) else []
    names = {"CONTAINERS_REGISTRIES_CONF": "registries.conf", "CONTAINERS_CONF": "containers.conf", "TMPDIR": "."}
    environ = [f"{name}={folder / file}" for name, file in names.items()]
    return enter(root, "env", *environ, *words, "system", "service", "-t", "0", f"unix://{folder}/sock")


def _write_networks(folder: Path, number: int) -> None:
    """The default network of netavark and of CNI: one that every podman calls by the same names would be shared."""
    folder.mkdir()
    subnet = {"subnet": f"10.{150 + number % 50}.128.0/17", "gateway": f"10.{150 + number % 50}.128.1"}
    netavark = {
        "name": "podman", "id": "2f259bab93aaaaa2542ba43ef33eb990d0999ee1b9924b557b7be53c0b7a1bb9", "driver": "bridge",
        "network_interface": f"ppn{number}", "subnets": [subnet], "ipv6_enabled": False, "internal": False,
        "dns_enabled": False, "ipam_options": {"driver": "host-local"}, "created": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    (folder / "podman.json").write_text(json.dumps(netavark))
    ipam = {"type": "host-local", "routes": [{"dst": "0.0.0.0/0"}], "ranges": [[subnet]]}
    bridge = {"type": "bridge", "bridge": f"ppc{number}", "isGateway": True, "ipMasq": True, "hairpinMode": True}
    plugins = [{**bridge, "ipam": ipam}, {"type": "portmap", "capabilities": {"portMappings": True}}]
    cni = {"cniVersion": "0.4.0", "name": "podman", "plugins": [*plugins, {"type": "firewall"}, {"type": "tuning"}]}
    (folder / "87-podman.conflist").write_text(json.dumps(cni))


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
