"""Every key of [smoke] on real engines, passing and failing, and nothing left behind."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from publisher.model.settings import SmokeSettings
from tests.support.parts import ENGINES, PODMANS
from tests.support.smoke_runs import SERVE, SmokeRuns, make_fixtures

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.engine import EngineProcess

SHELL = 'command = ["sh", "-c", "{}"]\n'
QUOTA = 'command = ["sh", "-c", "cat /sys/fs/cgroup/cpu.max /sys/fs/cgroup/cpu/cpu.cfs_quota_us; true"]\n'
EATS = SHELL.format("x=abcdefgh; while true; do x=$x$x; done")
LEAVES = 'command = ["sh", "-c", "echo x > /data/x"]\n'
CHECKED = SHELL.format("touch /tmp/up; sleep 60")

PASSES = {
    "ends-with-0": 'command = ["true"]',
    "exit-code": SHELL.format("exit 3") + "exit-code = 3",
    "output": 'command = ["echo", "hello world"]\noutput = "^hello"',
    "entrypoint": 'entrypoint = ["echo", "from"]\ncommand = ["entrypoint"]\noutput = "from entrypoint"',
    "env": SHELL.format("echo $A-$B") + 'env = { A = "x" }\nenv-file = "env"\noutput = "x-y"',
    "http": SERVE + 'http = { path = "/health", contains = "ok" }',
    "http-list": SERVE + 'http = [{ path = "/health" }, { path = "/absent", status = 404 }]',
    "http-port": SERVE.replace('"80"]\n', '"81", "80"]\n') + 'http = { path = "/health", port = 80 }',
    "tcp": SERVE + 'tcp = "80"',
    "exec-and-output": SERVE + 'exec = [["cat", "/w/health"]]\noutput = "ready"',
    "udp": 'command = ["sleep", "60"]\nports = ["53/udp"]\nexec = [["true"]]',
    "healthcheck": CHECKED + "healthcheck = true",
    "bind": 'command = ["cat", "/data/file"]\nvolumes = ["./fixtures:/data:ro"]\noutput = "bound"',
    "bind-read-only": SHELL.format("! touch /d/x") + 'volumes = ["./fixtures:/d:ro"]',
    "bind-written": SHELL.format("touch /d/x") + 'volumes = ["./fixtures:/d"]',
    "anonymous-below-bind": SHELL.format("test ! -e /d/sub/kept && touch /d/sub/new")
    + 'volumes = ["./fixtures:/d", "/d/sub"]',
    "persist": LEAVES + 'volumes = ["data:/data"]\npersist = ["/data/x"]',
    "persist-rewritten": SHELL.format("date +%N >> /data/x; exec sleep 60")
    + 'volumes = ["data:/data"]\npersist = ["/data/x"]\nexec = [["true"]]',
    "workdir": SHELL.format("test $(pwd) = /bin") + 'workdir = "/bin"',
    "user": SHELL.format("test $(id -u) = 7") + 'user = "7"',
    "read-only": SHELL.format("! touch /x") + "read-only = true",
    "network-none": SHELL.format("test ! -e /sys/class/net/eth0") + 'network = "none"',
    "memory": 'command = ["true"]\nmemory = "32m"',
    "cpus": QUOTA + 'cpus = 0.5\noutput = "^50000"',
    "timeout": SHELL.format("sleep 1") + "timeout = 30",
}

FAILS = {
    "command": ('command = ["absent"]', "start: "),
    "exit-code": (SHELL.format("echo oops; exit 3"), "exit code 3, wanted 0"),
    "exit-code-0": ('command = ["true"]\nexit-code = 3', "exit code 0, wanted 3"),
    "entrypoint": ('entrypoint = ["false"]\ncommand = ["true"]', "exit code 1, wanted 0"),
    "output": ('command = ["echo", "bye"]\noutput = "hello"', "nothing that it printed matches"),
    "env": (SHELL.format("echo $A") + 'env = { A = "x" }\noutput = "^y"', "nothing that it printed matches"),
    "env-file": (SHELL.format("echo $B") + 'env-file = "env"\noutput = "^z"', "nothing that it printed matches"),
    "ports": (SERVE.replace('"80"]\n', '"81"]\n') + "http = { port = 80 }", "port 80/tcp is not published"),
    "status": (SERVE + 'http = { path = "/absent" }', "status 404, not 200"),
    "body": (SERVE + 'http = { path = "/health", contains = "no" }', "doesn't contain 'no'"),
    "tcp": ('command = ["sleep", "60"]\nports = ["80"]\ntcp = "80"', "tcp 80"),
    "healthcheck-absent": ('command = ["sleep", "60"]\nhealthcheck = true\n# bare', "has no HEALTHCHECK"),
    "healthcheck": ('command = ["sleep", "60"]\nhealthcheck = true', "healthcheck: "),
    "exec": (SERVE + 'exec = [["false"]]', "exit code 1"),
    "exec-never-ends": (SERVE + 'exec = [["sleep", "60"]]', "exec sleep 60: not within 2 s: it is still running"),
    "volumes-read-only": (SHELL.format("touch /d/x") + 'volumes = ["./fixtures:/d:ro"]', "exit code 1"),
    "volumes-not-kept": (SHELL.format("test ! -e /d/sub/kept") + 'volumes = ["./fixtures:/d"]', "exit code 1"),
    "persist": ('command = ["true"]\nvolumes = ["data:/data"]\npersist = ["/data/x"]', "persist /data/x: absent"),
    "persist-anonymous": (
        LEAVES + 'volumes = ["/data"]\npersist = ["/data/x"]',
        "persist /data/x again: it is gone: no named volume has it",
    ),
    "user": ('command = ["true"]\nuser = "nobody-here"', "start: "),
    "workdir": (SHELL.format("test $(pwd) = /") + 'workdir = "/bin"', "exit code 1"),
    "network": (SERVE + 'network = "none"\ntcp = "80"', "port 80/tcp is not published"),
    "memory": (EATS + 'memory = "32m"', "it ended with exit code 137"),
    "cpus": (QUOTA + 'cpus = 0.5\noutput = "^99999"', "nothing that it printed matches"),
    "read-only": (SHELL.format("touch /x") + "read-only = true", "exit code 1"),
    "timeout": ('command = ["sleep", "60"]', "exit code: not within 2 s: it is still running"),
    "server-died": (SHELL.format("echo dead; exit 1") + 'ports = ["80"]\ntcp = "80"', "it ended with exit code 1"),
}

# What is publisher's own, and no engine's, is tried on one of them.
FIRST, *OTHERS = *ENGINES, *PODMANS
OWN_PASSES = {
    "exit-code",
    "output",
    "entrypoint",
    "http-list",
    "http-port",
    "bind-written",
    "persist-rewritten",
    "timeout",
}
PASSING = [(FIRST, name) for name in PASSES]
PASSING += [(engine, name) for engine in OTHERS for name in PASSES if name not in OWN_PASSES]
ENGINE_FAILS = (
    "command", "ports", "healthcheck-absent", "healthcheck", "volumes-read-only", "persist", "persist-anonymous",
    "user", "network", "memory",
)  # fmt: skip
FAILING = [(FIRST, name) for name in FAILS] + [(engine, name) for engine in OTHERS for name in ENGINE_FAILS]

NONSENSE = {
    "volume-folder": ('volumes = ["./absent:/data"]', "doesn't exist"),
    "volume": ('volumes = ["relative"]', "is not a volume"),
    "volume-name": ('volumes = ["no name:/data"]', "is no name of a volume"),
    "port": ('ports = ["eighty"]', "is not a port"),
    "env-file": ('env-file = "absent"', "env-file can't be read"),
    "http": ('command = ["true"]\nhttp = { path = "/" }', "needs a port"),
    "tcp": ('command = ["true"]\ntcp = "eighty"', "a port of the container"),
    "output": ('command = ["true"]\noutput = "("', "allowed is a regular expression"),
    "memory": ('command = ["true"]\nmemory = "lots"', "a size, as in 256m"),
    "workdir": ('command = ["true"]\nworkdir = "app"', "a path that starts with /"),
    "persist": ('command = ["true"]\npersist = ["data"]', "a path that starts with /"),
    "exec": ('command = ["true"]\nexec = [[]]', "an empty command"),
}


@pytest.fixture
def smoking(any_engine: EngineProcess, tmp_path: Path) -> Iterator[SmokeRuns]:
    """`publish smoke` with an engine, which holds nothing of ours afterwards."""
    made = SmokeRuns(any_engine, tmp_path)
    make_fixtures(tmp_path)
    yield made
    assert not made.left()


@pytest.mark.parametrize(("any_engine", "name"), PASSING, indirect=["any_engine"])
def test_passes(name: str, smoking: SmokeRuns) -> None:
    """What the table asks for holds."""
    result = smoking.smoke(PASSES[name], "--format", "json", seconds=15)
    assert result.code == 0, result.stdout + result.stderr
    assert result.document["passed"] is True


@pytest.mark.usefixtures("networks")
def test_a_network_of_its_own(smoking: SmokeRuns) -> None:
    """A network that isn't there is made for the run, and goes with it."""
    result = smoking.smoke(SERVE + 'network = "apart"\nhttp = { path = "/health" }', seconds=15)
    assert result.code == 0, result.stdout + result.stderr


@pytest.mark.parametrize(("any_engine", "name"), FAILING, indirect=["any_engine"])
def test_fails(name: str, smoking: SmokeRuns) -> None:
    """A check that doesn't hold is exit 5, named, with what was found."""
    table, said = FAILS[name]
    image = smoking.base if table.endswith("# bare") else smoking.checked
    result = smoking.smoke(table, "--format", "json", seconds=2, image=image)
    assert result.code == 5, result.stdout + result.stderr
    assert said in result.stderr


@pytest.mark.parametrize("engine", [FIRST], indirect=True)
@pytest.mark.parametrize(("table", "said"), NONSENSE.values(), ids=NONSENSE)
def test_nonsense(table: str, said: str, engine: EngineProcess, tmp_path: Path) -> None:
    """What makes no sense is told before anything runs."""
    result = SmokeRuns(engine, tmp_path).smoke(table, seconds=2)
    assert (result.code, said in result.stderr) == (2, True), result.stderr


def test_out_of_memory(engine: EngineProcess, tmp_path: Path) -> None:
    """A container that was killed for its memory is told so."""
    smoking = SmokeRuns(engine, tmp_path)
    result = smoking.smoke(EATS + 'memory = "32m"', "--format", "json", seconds=5)
    assert "exit code 137, out of memory" in result.stderr
    assert (result.document["oom"], result.document["exit_code"]) == (True, 137)


def test_every_key_is_tried() -> None:
    """Each key of [smoke] has a table that passes and one that fails."""
    keys = {name.replace("_", "-") for name in SmokeSettings.__struct_fields__}
    for tables in (PASSES.values(), [table for table, _said in FAILS.values()]):
        used = {key for table in tables for key in re.findall(r"^([a-z-]+) = ", table, re.MULTILINE)}
        assert keys - used <= {"timeout"}
