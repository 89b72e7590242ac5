"""Today's parts run here, and the tests' own engines meet no engine of the machine."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.parts import AS_ROOT, PARTS, find_tool

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.engine
ROOT = Path(__file__).parents[2]
# A machine with a network and a running engine, as far as it matters: in a network namespace, of which the tests'
# own is not a part. Bridged packets go through the firewall there, which lets none through.
MACHINE = """
parts=$1 folder=$2
shift 2
ip link set lo up
echo 0 >/proc/sys/net/ipv4/ip_forward # as a machine has it before its engine
socket=unix://$folder/socket
"$parts/enter" / dockerd --data-root "$folder/data" --exec-root "$folder/exec" --pidfile "$folder/pid" -H "$socket" \\
  >"$folder/log" 2>&1 &
trap 'kill "$(cat "$folder/pid")"; wait' EXIT
for _ in $(seq 600); do docker -H "$socket" version >/dev/null 2>&1 && break; sleep 0.1; done
echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables
iptables -S FORWARD | head -1
timeout 120 "$@"
"""
TOOLS = {
    "docker": "--version",
    "skopeo": "--version",
    "docker-registry": "--version",
    "cosign": "version",
    "cosign-3": "version",
    "oras": "version",
}


@pytest.mark.parametrize("name", TOOLS)
def test_tools_run_on_this_machine(name: str) -> None:
    """As they are, or by the loader and the libraries of the system that they were made for."""
    subprocess.run([find_tool(name), TOOLS[name]], capture_output=True, check=True)


@pytest.fixture
def folder() -> Iterator[Path]:
    """For a daemon's files, which are root's; short, as containerd's socket below it has 107 letters at most."""
    path = Path(tempfile.mkdtemp(prefix="pm-"))
    yield path
    subprocess.run([*AS_ROOT, "rm", "-rf", str(path)], check=True)


def test_beside_a_running_engine(folder: Path) -> None:
    """Containers of the tests reach each other where the machine's engine has the firewall drop what is forwarded."""
    environ = [f"PATH={os.environ['PATH']}:/usr/sbin:/sbin", f"HOME={folder}", f"PUBLISH_TEST_PARTS={PARTS}"]
    tests = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", f"--basetemp={folder}/tests"]
    tests += ["-k", "test_a_network_that_is_there_is_joined", "tests/integration/test_smoke_runs.py"]
    command = ["unshare", "--net", "sh", "-euc", MACHINE, "machine", str(PARTS), str(folder), *tests]
    done = subprocess.run(
        [*AS_ROOT, "env", "-i", *environ, *command], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("-P FORWARD DROP\n"), done.stdout
    assert "2 passed" in done.stdout
