"""Smoke runs on a real engine: every key of [smoke], passing and failing, and nothing left behind."""

from __future__ import annotations

import shlex
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from tests.integration.test_goalapp import make_base

if TYPE_CHECKING:
    from pathlib import Path

    from tests.parts.command import Publish, Result
    from tests.parts.engine import Engine
    from tests.parts.registry import Registry

SERVE = (
    'command = ["sh", "-c", "mkdir -p /w; echo ok > /w/health; echo ready; exec httpd -f -p 80 -h /w"]\n'
    'ports = ["80"]\n'
)


@pytest.fixture
def base(any_engine: Engine, tmp_path: Path) -> str:
    """An image with a shell."""
    return make_base(any_engine, tmp_path / "base")


@pytest.fixture
def smoke(base: str, any_engine: Engine, publish_with_any: Publish, tmp_path: Path) -> object:
    """Runs `publish smoke` with a [smoke] table, and checks that nothing is left."""

    def run(table: str, *words: str, image: str = base) -> Result:
        (tmp_path / "publish.toml").write_text(f"[smoke]\ntimeout = 3\n{table}\n")
        result = publish_with_any("smoke", image, *words, cwd=tmp_path)
        assert not left(any_engine), result.stderr
        return result

    return run


def left(any_engine: Engine) -> list[str]:
    """Containers, volumes and networks of ours that are still there."""
    chosen = ("--filter", "label=publish.run", "-q")
    listed = (("ps", "-a", *chosen), ("volume", "ls", *chosen), ("network", "ls", *chosen))
    return [line for words in listed for line in any_engine.docker(*words).splitlines()]


@pytest.mark.parametrize(
    "table",
    [
        pytest.param('command = ["true"]', id="ends-with-0"),
        pytest.param('command = ["sh", "-c", "exit 3"]\nexit-code = 3', id="exit-code"),
        pytest.param('command = ["echo", "hello world"]\noutput = "^hello"', id="output"),
        pytest.param(
            'entrypoint = ["echo", "from"]\ncommand = ["entrypoint"]\noutput = "from entrypoint"', id="entrypoint"
        ),
        pytest.param(
            'command = ["sh", "-c", "echo $A-$B"]\nenv = { A = "x" }\nenv-file = "env"\noutput = "x-y"', id="env"
        ),
        pytest.param(SERVE + 'http = { path = "/health", contains = "ok" }', id="http"),
        pytest.param(SERVE + 'http = [{ path = "/health" }, { path = "/absent", status = 404 }]', id="http-list"),
        pytest.param(SERVE + 'tcp = "80"', id="tcp"),
        pytest.param(SERVE + 'exec = [["cat", "/w/health"]]\noutput = "ready"', id="exec-and-output"),
        pytest.param('command = ["cat", "/data/file"]\nvolumes = ["./fixtures:/data:ro"]\noutput = "bound"', id="bind"),
        pytest.param('command = ["sh", "-c", "! touch /d/x"]\nvolumes = ["./fixtures:/d:ro"]', id="bind-read-only"),
        pytest.param(
            'command = ["sh", "-c", "test ! -e /d/sub/kept && touch /d/sub/n"]\nvolumes = ["./fixtures:/d", "/d/sub"]',
            id="anonymous-below-bind",
        ),
        pytest.param('command = ["touch", "/data/x"]\nvolumes = ["data:/data"]\npersist = ["/data/x"]', id="persist"),
        pytest.param('command = ["sh", "-c", "test $(pwd) = /bin"]\nworkdir = "/bin"', id="workdir"),
        pytest.param('command = ["sh", "-c", "test $(id -u) = 7"]\nuser = "7"', id="user"),
        pytest.param('command = ["sh", "-c", "! touch /x"]\nread-only = true', id="read-only"),
        pytest.param('command = ["sh", "-c", "test ! -e /sys/class/net/eth0"]\nnetwork = "none"', id="network"),
        pytest.param('command = ["true"]\nmemory = "32m"\ncpus = 0.5', id="limits"),
    ],
)
def test_passes(table: str, smoke: object, tmp_path: Path) -> None:
    """What the table asks for holds."""
    folder = tmp_path / "fixtures" / "sub"
    folder.mkdir(parents=True)
    (folder / "kept").touch()
    (tmp_path / "fixtures" / "file").write_text("bound")
    (tmp_path / "env").write_text("# comment\nA=z\nB=y\n")
    result = smoke(table, "--format", "json")  # type: ignore[operator] # a function
    assert result.code == 0, result.stdout + result.stderr
    assert result.document["passed"] is True


@pytest.mark.parametrize(
    ("table", "said"),
    [
        pytest.param('command = ["sh", "-c", "echo oops; exit 3"]', "exit code 3, wanted 0", id="exit-code"),
        pytest.param('command = ["true"]\nexit-code = 3', "exit code 0, wanted 3", id="exit-code-0"),
        pytest.param('command = ["echo", "bye"]\noutput = "hello"', "nothing that it printed matches", id="output"),
        pytest.param(SERVE + 'http = { path = "/absent" }', "status 404, not 200", id="status"),
        pytest.param(SERVE + 'http = { path = "/health", contains = "no" }', "doesn't contain 'no'", id="body"),
        pytest.param('command = ["sleep", "60"]\nports = ["80"]\ntcp = "80"', "tcp 80", id="tcp"),
        pytest.param('command = ["sleep", "60"]\nhealthcheck = true', "has no HEALTHCHECK", id="healthcheck"),
        pytest.param(SERVE + 'exec = [["false"]]', "exit code 1", id="exec"),
        pytest.param(
            'command = ["true"]\nvolumes = ["data:/data"]\npersist = ["/data/x"]', "persist /data/x", id="persist"
        ),
        pytest.param('command = ["absent"]', "start", id="no-such-command"),
        pytest.param('command = ["sleep", "60"]', "still running", id="never-ends"),
        pytest.param(
            'command = ["sh", "-c", "echo dead; exit 1"]\nports = ["80"]\ntcp = "80"', "it ended", id="server-died"
        ),
    ],
)
def test_fails(table: str, said: str, smoke: object) -> None:
    """A check that doesn't hold is exit 5, named, with what was found."""
    result = smoke(table, "--format", "json")  # type: ignore[operator] # a function
    assert result.code == 5, result.stdout + result.stderr
    assert said in result.stderr


def test_healthcheck(any_engine: Engine, base: str, smoke: object, tmp_path: Path) -> None:
    """The image's own HEALTHCHECK has to become healthy."""
    (tmp_path / "h").mkdir()
    check = "HEALTHCHECK --interval=1s CMD test -e /tmp/up || exit 1"
    (tmp_path / "h" / "Dockerfile").write_text(f"FROM {base}\nRUN mkdir -p /tmp\n{check}\n")
    any_engine.docker("build", "-q", "-t", "healthy", str(tmp_path / "h"))
    table = 'command = ["sh", "-c", "touch /tmp/up; sleep 60"]\nhealthcheck = true'
    assert smoke(table, image="healthy").code == 0  # type: ignore[operator] # a function


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('volumes = ["./absent:/data"]', "doesn't exist"),
        ('volumes = ["relative"]', "is not a volume"),
        ('ports = ["eighty"]', "is not a port"),
        ('env-file = "absent"', "env-file can't be read"),
        ('command = ["true"]\nhttp = { path = "/" }', "needs a port"),
    ],
)
def test_bad_tables(table: str, said: str, smoke: object) -> None:
    """What makes no sense is told before anything runs."""
    result = smoke(table)  # type: ignore[operator] # a function
    assert (result.code, said in result.stderr) == (2, True), result.stderr


def test_the_printed_line_means_the_same(any_engine: Engine, base: str, smoke: object, tmp_path: Path) -> None:
    """The docker run line does what the smoke run does."""
    (tmp_path / "fixtures").mkdir()
    (tmp_path / "fixtures" / "file").write_text("bound")
    table = (
        'command = ["sh", "-c", "cat /d/file; echo $A; pwd"]\nenv = { A = "a b" }\nworkdir = "/bin"\nread-only = true\n'
        'volumes = ["./fixtures:/d:ro"]\nmemory = "32m"\ncpus = 1\nuser = "7"\nports = ["80"]'
    )
    line = smoke(table, "--print").stdout  # type: ignore[operator] # a function
    words = shlex.split(line)
    assert words[:3] == ["docker", "run", "--rm"]
    assert any_engine.docker(*words[1:]) == "bounda b\n/bin"


def test_keep_and_clean(any_engine: Engine, base: str, publish_with_any: Publish, tmp_path: Path) -> None:
    """--keep says how to look at what is left, doctor names it, and doctor --clean takes exactly that away."""
    (tmp_path / "publish.toml").write_text('[smoke]\ncommand = ["true"]\nvolumes = ["data:/data"]\n')
    other = any_engine.docker("volume", "create", "not-ours")
    kept = publish_with_any("smoke", base, "--keep", cwd=tmp_path)
    assert "docker logs publish-smoke-" in kept.stdout
    assert len(left(any_engine)) == 2
    assert "left over" in publish_with_any("doctor", cwd=tmp_path).stdout
    publish_with_any("doctor", "--clean", cwd=tmp_path)
    assert not left(any_engine)
    assert other in any_engine.docker("volume", "ls", "-q").splitlines()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_runs_leave_nothing(
    number: int, any_engine: Engine, base: str, publish_with_any: Publish, tmp_path: Path
) -> None:
    """A signal in the middle of a run takes everything away, and ends with the signal's code."""
    (tmp_path / "publish.toml").write_text('[smoke]\ncommand = ["sleep", "60"]\nvolumes = ["data:/data", "/x"]\n')
    command = [publish_with_any.program, "smoke", base]
    process = subprocess.Popen(command, env=publish_with_any.environ, cwd=tmp_path, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 20
    while not left(any_engine) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(number)
    assert process.wait(30) == 128 + number
    assert not left(any_engine)


def test_a_broken_image_moves_no_tag(
    any_engine: Engine, base: str, registry: Registry, publish_with_any: Publish, name: str, tmp_path: Path
) -> None:
    """A release whose smoke run fails is exit 5 and leaves every tag; one that passes says so in its receipt."""
    image = f"{registry.host}/{name}"
    config = tmp_path / "publish.toml"
    words = ["release", f"docker-daemon:{base}", "--version", "1.0.0", "--format", "json"]
    config.write_text(f'images = ["{image}"]\n[smoke]\ncommand = ["sh", "-c", "echo broken; exit 1"]\n')
    failed = publish_with_any(*words, cwd=tmp_path)
    assert (failed.code, failed.document["kind"]) == (5, "smoke"), failed.stderr
    assert "log: broken" in failed.stderr
    status = publish_with_any("status", "--format", "json", cwd=tmp_path).document
    assert status["repositories"][0]["versions"] == []
    skipped = publish_with_any(*words, "--no-smoke", cwd=tmp_path)
    assert skipped.code == 0, skipped.stderr
    config.write_text(f'images = ["{image}"]\n[smoke]\ncommand = ["true"]\n')
    passed = publish_with_any(*[word.replace("1.0.0", "1.1.0") for word in words], cwd=tmp_path)
    assert passed.code == 0, passed.stderr
    assert passed.document["verification"]["smoke"]["passed"] is True
    assert not left(any_engine)
