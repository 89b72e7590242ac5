"""How smoke runs are begun, shown, kept, interrupted and cleaned up, on real engines."""

from __future__ import annotations

import json
import os
import pty
import random
import shlex
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.command import Publish
from tests.support.engine_requests import watch
from tests.support.smoke_runs import SERVE, SmokeRuns, make_fixtures

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.engine import EngineProcess
    from tests.support.registry import RegistryProcess

SECRET = "hunter2-hunter2"
KINDS = ('command = ["sh", "-c", "echo $$ > /data/pid; sleep 1"]', SERVE + 'http = { path = "/health" }')


@pytest.fixture
def smoking(any_engine: EngineProcess, tmp_path: Path) -> SmokeRuns:
    """`publish smoke` with each engine."""
    make_fixtures(tmp_path)
    return SmokeRuns(any_engine, tmp_path)


@pytest.fixture
def docker_smoking(engine: EngineProcess, tmp_path: Path) -> SmokeRuns:
    """`publish smoke` with Docker Engine."""
    make_fixtures(tmp_path)
    return SmokeRuns(engine, tmp_path)


def test_the_printed_line_means_the_same(docker_smoking: SmokeRuns) -> None:
    """The docker run line does what the smoke run does, with every key that shapes the container."""
    table = (
        'entrypoint = ["sh", "-c"]\ncommand = ["cat /d/file; echo $A-$B; pwd; id -u; touch /x || ls /keep /d/sub"]\n'
        'env = { A = "a b" }\nenv-file = "env"\nworkdir = "/bin"\nread-only = true\nmemory = "32m"\ncpus = 1\n'
        'volumes = ["./fixtures:/d:ro", "/d/sub", "printed-volume:/keep"]\nuser = "7"\nports = ["80"]\nnetwork = "none"'
    )
    line = docker_smoking.smoke(table, "--print").stdout
    words = shlex.split(line)
    assert words[:3] == ["docker", "run", "--rm"]
    said = docker_smoking.engine.docker(*words[1:])
    docker_smoking.engine.docker("volume", "rm", "printed-volume")
    expected = "bound\na b-y\n/bin\n7\n/d/sub:\n\n/keep:"
    assert said == expected
    smoked = docker_smoking.smoke(table, "-f")
    shown = [line.removeprefix("log      ") for line in smoked.stderr.splitlines() if line.startswith("log ")]
    assert [line for line in shown if "touch" not in line] == expected.splitlines(), smoked.stderr


def test_a_printed_server_answers(docker_smoking: SmokeRuns) -> None:
    """The printed line's port is on this machine only."""
    words = shlex.split(docker_smoking.smoke(SERVE, "--print").stdout)
    container = docker_smoking.engine.docker(*words[1:2], "-d", *words[2:])
    try:
        assert docker_smoking.engine.docker("port", container).startswith("80/tcp -> 127.0.0.1:")
    finally:
        docker_smoking.engine.docker("rm", "-f", container)


@pytest.mark.usefixtures("networks")
def test_keep_and_clean(smoking: SmokeRuns) -> None:
    """--keep names commands that work; doctor names what is left, and --clean takes exactly that away."""
    docker = smoking.engine.docker
    (smoking.folder / "copy").mkdir()
    (smoking.folder / "copy" / "Dockerfile").write_text(f"FROM {smoking.base}\n")
    table = SERVE + 'http = { path = "/health" }\nvolumes = ["data:/data"]\nnetwork = "apart"'
    docker("volume", "create", "not-ours")
    docker("create", "--name", "not-ours", smoking.base, "true")
    try:
        before = smoking.everything()
        kept = smoking.smoke(table, "--keep")
        assert kept.code == 0, kept.stderr
        lines = [line.split("  ")[1] for line in kept.stdout.splitlines() if line.startswith("  docker")]
        name = lines[0].split()[-1]
        assert docker(*lines[0].split()[1:]) == "ready"
        assert [line.split()[1] for line in lines] == ["logs", "start", "attach", "exec", "cp"]
        assert docker("exec", name, "cat", "/w/health") == "ok"
        docker("cp", f"{name}:/w/health", str(smoking.folder / "copied"))
        assert (smoking.folder / "copied").read_text() == "ok\n"
        docker("stop", "-t", "0", name)
        docker("start", name)
        # As docker commit of the container would give it; podman refuses what docker's CLI sends for that.
        docker("build", "-q", "-t", "a-copy-of-ours", "--label", f"publish.run={name}", str(smoking.folder / "copy"))
        assert len(smoking.left()) == 4
        found = json.loads(smoking.publish("doctor", "--format", "json", cwd=smoking.folder).stdout)
        (left,) = [check for check in found["checks"] if check["name"] == "left over"]
        assert left["advice"] == "publish doctor --clean"
        for what in (f"container {name}", f"volume {name}-data", f"network {name}-apart", "image"):
            assert what in left["detail"]
        smoking.publish("doctor", "--clean", cwd=smoking.folder)
        assert not smoking.left()
        assert smoking.everything() == before
    finally:
        docker("rm", "-f", "not-ours")
        docker("volume", "rm", "not-ours")


@pytest.mark.usefixtures("networks")
@pytest.mark.parametrize(("ends_by", "code"), [("typing", 3), ("signal", 143)])
def test_on_a_terminal(ends_by: str, code: int, docker_smoking: SmokeRuns) -> None:
    """-i opens the image on the terminal, in a container of ours; nothing of it stays."""
    docker_smoking.configure('command = ["sh"]\nvolumes = ["data:/data", "/scratch"]\nnetwork = "apart"')
    main, side = pty.openpty()
    words = [docker_smoking.publish.program, "smoke", docker_smoking.base, "-i"]
    process = subprocess.Popen(
        words, env=docker_smoking.publish.environ, cwd=docker_smoking.folder, stdin=side, stdout=side, stderr=side
    )
    os.close(side)
    os.write(main, b"echo $((6*7))-$(ls -d /data)\n")
    shown, deadline = "", time.monotonic() + 20
    while "42-/data" not in shown and time.monotonic() < deadline:
        shown += os.read(main, 4096).decode(errors="replace")
    assert len(docker_smoking.left()) == 3, shown
    if ends_by == "typing":
        os.write(main, b"exit 3\n")
    else:
        process.send_signal(signal.SIGTERM)
    assert process.wait(30) == code
    os.close(main)
    assert not docker_smoking.left()


def test_secrets_of_the_environment_are_not_shown(docker_smoking: SmokeRuns) -> None:
    """What the env-file and env hold under a secret's name is taken out of logs, checks and JSON."""
    (docker_smoking.folder / "env").write_text(f"DB_PASSWORD={SECRET}\nAPI_TOKEN\n")
    table = (
        'command = ["sh", "-c", "echo I know $DB_PASSWORD $API_TOKEN; sleep 60"]\nenv-file = "env"\n'
        'exec = [["sh", "-c", "echo $DB_PASSWORD; exit 1"]]'
    )
    docker_smoking.configure(table, seconds=1)
    for words in (("-f",), ("--format", "json"), ("--print",)):
        result = docker_smoking.publish(
            "smoke", docker_smoking.base, *words, cwd=docker_smoking.folder, environ={"API_TOKEN": f"t-{SECRET}"}
        )
        assert SECRET not in result.stdout + result.stderr
        if words != ("--print",):
            assert "I know *** ***" in result.stdout + result.stderr


@pytest.mark.usefixtures("networks")
def test_a_container_that_ignores_sigterm_is_killed(podman: EngineProcess, tmp_path: Path) -> None:
    """podman's own removal would wait 10 seconds for each."""
    make_fixtures(tmp_path)
    with watch(podman) as requests:
        runs = SmokeRuns(podman, tmp_path)
        publish = Publish(tmp_path / "home", {"DOCKER_HOST": requests.host})
        runs.configure('command = ["sh", "-c", "trap : TERM; sleep 600"]\nexec = [["true"]]')
        done = publish("smoke", runs.checked, cwd=tmp_path)
        assert done.code == 0, done.stderr
        ends = requests.matching(r"(POST|DELETE) \S+/containers/[^/?]+(/kill|\?)")
        assert [request.partition(" ")[0] for request in ends[-2:]] == ["POST", "DELETE"]
    assert not runs.left()


def test_a_network_that_is_there_is_joined(docker_smoking: SmokeRuns) -> None:
    """It is used, and stays; a run's own one goes."""
    docker = docker_smoking.engine.docker
    docker("network", "create", "shared")
    try:
        docker(
            "run", "-d", "--name", "neighbour", "--network", "shared", docker_smoking.base, "httpd", "-f", "-p", "80"
        )
        table = 'command = ["sh", "-c", "wget -qO- http://neighbour/bin/busybox >/dev/null"]\nnetwork = "shared"'
        result = docker_smoking.smoke(table)
        assert result.code == 0, result.stdout + result.stderr
        assert "shared" in docker("network", "ls", "--format", "{{.Name}}").splitlines()
    finally:
        docker("rm", "-f", "neighbour")
        docker("network", "rm", "shared")


def test_a_bad_limit_is_told(docker_smoking: SmokeRuns) -> None:
    """What the engine refuses is the configuration's fault, exit 2."""
    result = docker_smoking.smoke('command = ["true"]\ncpus = 1000')
    assert (result.code, "cpus" in result.stderr.lower()) == (2, True), result.stderr
    result = docker_smoking.smoke('command = ["true"]', image="no-such-image")
    assert (result.code, "has no image" in result.stderr) == (2, True), result.stderr
    assert not docker_smoking.left()


def test_from_the_registry_by_digest(smoking: SmokeRuns, registry: RegistryProcess, name: str) -> None:
    """An image that the engine lacks is pulled by its digest, run, and gone again."""
    image = f"{registry.host}/{name}:1.0.0"
    smoking.engine.docker("tag", smoking.checked, image)
    smoking.engine.docker("push", image)
    smoking.engine.docker("rmi", image)
    before = smoking.everything()
    result = smoking.smoke('command = ["true"]', "--format", "json", image=image)
    assert result.code == 0, result.stderr
    assert result.document["image"].startswith(f"{registry.host}/{name}@sha256:")
    assert smoking.everything() == before
    assert not [line for line in smoking.engine.docker("images", "--format", "{{.Repository}}").split() if name in line]


def test_a_stale_copy_is_told(docker_smoking: SmokeRuns, registry: RegistryProcess, name: str) -> None:
    """A tag that the registry moved since is run as docker would, with a warning that names docker pull."""
    docker, image = docker_smoking.engine.docker, f"{registry.host}/{name}:latest"
    docker("tag", docker_smoking.base, image)
    docker("push", image)
    result = docker_smoking.smoke('command = ["true"]', image=image)
    assert (result.code, "warning" in result.stderr) == (0, False), result.stderr
    docker("tag", docker_smoking.checked, f"{registry.host}/{name}:new")
    docker("push", f"{registry.host}/{name}:new")
    moved = docker_smoking.publish("retag", f"{registry.host}/{name}:new", ":latest", "--force")
    assert moved.code == 0, moved.stderr
    result = docker_smoking.smoke('command = ["true"]', image=image)
    assert result.code == 0
    assert f"is not what the registry has: docker pull {image}" in result.stderr
    verified = docker_smoking.publish("verify", "--local", image, "--format", "json")
    assert (verified.code, f"docker pull {image}" in verified.stdout) == (5, True), verified.stdout
    docker("pull", image)
    assert docker_smoking.publish("verify", "--local", image).code == 0
    assert "warning" not in docker_smoking.smoke('command = ["true"]', image=image).stderr


@pytest.mark.usefixtures("networks")
def test_interrupted_runs_leave_nothing(
    smoking: SmokeRuns, registry: RegistryProcess, name: str, request: object
) -> None:
    """Runs in a row, all but two interrupted at random: no container, volume, network or image stays."""
    sample = 6 if smoking.engine.kind == "docker" else 4
    runs = 50 if request.config.getoption("--whole") else sample  # type: ignore[attr-defined] # pytest's
    chance = random.Random(request.config.getoption("--seed") or 9)  # type: ignore[attr-defined] # pytest's
    image = f"{registry.host}/{name}:1.0.0"
    smoking.engine.docker("tag", smoking.checked, image)
    smoking.engine.docker("push", image)
    smoking.engine.docker("rmi", image)
    before, stopped, took = smoking.everything(), 0, 0.0
    for number in range(runs):
        table = f'{KINDS[number % len(KINDS)]}\nvolumes = ["data:/data", "/scratch"]\nnetwork = "apart"'
        smoking.configure(table, seconds=20)
        words = [smoking.publish.program, "smoke", chance.choice((smoking.checked, image))]
        began = time.monotonic()
        process = subprocess.Popen(
            words, env=smoking.publish.environ, cwd=smoking.folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        if interrupted := number >= len(KINDS):
            time.sleep(chance.uniform(0.1, 0.95) * took)
            process.send_signal(chance.choice((signal.SIGINT, signal.SIGTERM)))
        _out, said = process.communicate(timeout=60)
        # The first is before it obeys signals in its own way.
        allowed = {-signal.SIGINT, -signal.SIGTERM, 130, 143, 0} if interrupted else {0}
        assert process.returncode in allowed, said.decode()
        stopped += process.returncode != 0
        took = took if interrupted else max(took, time.monotonic() - began)
        assert smoking.everything() == before, (number, process.returncode, said.decode())
    assert stopped >= (runs - len(KINDS)) // 2, "too few were still running when their signal came"
