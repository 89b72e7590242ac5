"""The sandbox under the field's own tools, and as a command's surroundings."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from publisher.model.errors import UsageError
from publisher.sandbox.options import Options
from publisher.sandbox.server import Sandbox, environment, execute
from tests.contracts.client import Client
from tests.support.layout import make_layout
from tests.support.process import end, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.command import Publish
    from tests.support.engine import EngineProcess


def run(*words: str, **environ: str) -> str:
    """Run a tool; returns its stdout."""
    done = subprocess.run(words, env={**os.environ, **environ}, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_engine_pushes_and_pulls(engine: EngineProcess, name: str, tmp_path: Path) -> None:
    """What docker pushes it can pull again, by tag and by digest."""
    with Sandbox() as sandbox:
        image = f"{sandbox.url.removeprefix('http://')}/{name}"
        built = engine.build(f"{image}:1.0", "I am 1.0", tmp_path)
        engine.docker("push", f"{image}:1.0")
        engine.docker("rmi", f"{image}:1.0")
        engine.docker("pull", f"{image}:1.0")
        assert engine.docker("image", "inspect", "-f", "{{.Id}}", f"{image}:1.0") == built
        digest = sandbox.store.state()[name]["1.0"]
        engine.docker("pull", f"{image}@{digest}")
        engine.docker("rmi", f"{image}:1.0")


def test_engine_signs_in(engine: EngineProcess, name: str, tmp_path: Path) -> None:
    """docker login, push and pull against the token service; without a login a push is denied."""
    with Sandbox(options=Options(auth=True)) as sandbox:
        host = sandbox.url.removeprefix("http://")
        engine.build(f"{host}/{name}:1.0", "I am 1.0", tmp_path)
        config = ["--config", str(tmp_path / "config")]
        denied = engine.docker(*config, "push", f"{host}/{name}:1.0", check=False)
        assert name not in sandbox.store.state(), denied
        engine.docker(*config, "login", "-u", "sandbox", "-p", "sandbox", host)
        engine.docker(*config, "push", f"{host}/{name}:1.0")
        assert set(sandbox.store.state()[name]) == {"1.0"}
        engine.docker("rmi", f"{host}/{name}:1.0")
        engine.docker("pull", f"{host}/{name}:1.0")
        engine.docker("rmi", f"{host}/{name}:1.0")


def test_skopeo_copies_lists_and_deletes(name: str, tmp_path: Path) -> None:
    """An index goes in, is seen and read back as the same bytes, and is deleted."""
    root = make_layout(tmp_path / "layout", "app", ("linux/amd64", "linux/arm64"))
    plain = ["--tls-verify=false"]
    with Sandbox() as sandbox:
        image = f"docker://{sandbox.url.removeprefix('http://')}/{name}"
        run("skopeo", "copy", "--all", "--dest-tls-verify=false", f"oci:{tmp_path / 'layout'}", f"{image}:1.0")
        assert sandbox.store.state()[name]["1.0"] == str(root)
        assert json.loads(run("skopeo", "list-tags", *plain, image))["Tags"] == ["1.0"]
        words = ["skopeo", "copy", "--all", "--src-tls-verify=false", "--dest-tls-verify=false"]
        run(*words, f"{image}:1.0", f"{image}-b:2.0")
        assert sandbox.store.state()[f"{name}-b"]["2.0"] == str(root)
        run("skopeo", "delete", *plain, f"{image}:1.0")
        assert sandbox.store.state()[name] == {}


def test_skopeo_signs_in(name: str, tmp_path: Path) -> None:
    """Credentials are exchanged for a token; a reader can't write."""
    make_layout(tmp_path / "layout", "app")
    with Sandbox(options=Options(auth=True)) as sandbox:
        words = ["skopeo", "copy", "-q", "--dest-tls-verify=false", f"oci:{tmp_path / 'layout'}"]
        target = f"docker://{sandbox.url.removeprefix('http://')}/{name}:1.0"
        refused = subprocess.run([*words, target], capture_output=True, text=True, check=False, timeout=60)
        assert refused.returncode != 0
        run(*words, "--dest-creds", "sandbox:sandbox", target)
        assert set(sandbox.store.state()[name]) == {"1.0"}


def test_podman_pulls_and_pushes(name: str, tmp_path: Path) -> None:
    """Into a storage of its own and out again, signed in: the same image."""
    make_layout(tmp_path / "layout", "app")
    with Sandbox(options=Options(auth=True)) as sandbox, tempfile.TemporaryDirectory(prefix="p-") as short:
        # Its run folder may have no more than 50 characters.
        podman = ("podman", "--root", str(tmp_path / "root"), "--runroot", short, "--storage-driver", "vfs")
        image = f"{sandbox.url.removeprefix('http://')}/{name}"
        run(*podman, "pull", "-q", f"oci:{tmp_path / 'layout'}")
        (held,) = run(*podman, "images", "-q", "--no-trunc").split()
        there = ("--tls-verify=false", "--creds", "sandbox:sandbox")
        run(*podman, "push", "-q", *there, held, f"docker://{image}:1.0")
        run(*podman, "rmi", "-f", held)
        assert run(*podman, "pull", "-q", *there, f"docker://{image}:1.0").strip() == held.removeprefix("sha256:")
        assert set(sandbox.store.state()[name]) == {"1.0"}


def test_users_and_limits_can_be_set_on_the_command_line(publish: Publish, tmp_path: Path) -> None:
    """A token that may only read is told so; a scope that may write releases."""
    make_layout(tmp_path / "layout", "app")
    words = ["publish", "release", "oci:layout", "--image", "acme/app", "--version", "1.0.0", "--format", "json"]
    for scope, code in (("repo:read", 3), ("repo:write", 0)):
        given = ["sandbox", "exec", "--auth", "--user", f"sandbox:sandbox:{scope}", "--", *words]
        assert publish(*given, cwd=tmp_path).code == code
    quota = ["sandbox", "exec", "--pull-limit", "3", "--", "publish", "hub", "limits", "--format", "json"]
    assert publish(*quota).document["remaining"] == 3
    who = publish("sandbox", "exec", "--auth", "--", "publish", "whoami", "--format", "json")
    assert who.document["source"] == "the sandbox"
    assert (who.document["username"], who.document["proven"]) == ("sandbox", True)
    wrong = publish("sandbox", "exec", "--user", "me", "--", "true")
    assert (wrong.code, "NAME:SECRET" in wrong.stderr) == (2, True)


def test_command_meets_the_sandbox_and_no_credentials(tmp_path: Path) -> None:
    """The command sees the sandbox's address, and a docker configuration without logins."""
    config = tmp_path / "config"
    (config / "contexts").mkdir(parents=True)
    (config / "config.json").write_text('{"auths":{"x":{"auth":"c2VjcmV0"}},"currentContext":"lab"}')
    script = (
        'echo "$PUBLISH_SANDBOX" "$PUBLISH_SANDBOX_STATE"; cat "$DOCKER_CONFIG/config.json"; echo; ls "$DOCKER_CONFIG"'
    )
    environ = {**os.environ, "DOCKER_CONFIG": str(config)}
    code = execute(["sh", "-c", f"({script}) > {tmp_path}/out"], environ, port=0, store=tmp_path / "store", faults=())
    told = (tmp_path / "out").read_text().splitlines()
    assert code == 0
    assert told[0].startswith("http://127.0.0.1:")
    assert told[0].endswith(f" {tmp_path}/store/receipts")
    assert json.loads(told[1]) == {"currentContext": "lab"}
    assert told[2:] == ["config.json", "contexts"]
    assert config.is_dir()


def test_environment_where_docker_was_never_used(tmp_path: Path) -> None:
    """Without any configuration of docker there is an empty one: podman fails where the file is missing."""
    changed = environment("http://127.0.0.1:1", {"DOCKER_CONFIG": str(tmp_path / "none")}, folder=tmp_path, store=None)
    assert (Path(changed["DOCKER_CONFIG"]) / "config.json").read_text() == "{}"
    assert changed["PUBLISH_SANDBOX_STATE"] == str(tmp_path / "receipts")


@pytest.mark.parametrize(
    ("script", "code"), [("exit 0", 0), ("exit 7", 7), ("kill -TERM $$", 143), ("kill -9 $$", 137)]
)
def test_command_ends(script: str, code: int) -> None:
    """Its exit code is ours; a signal is 128 and its number."""
    assert execute(["sh", "-c", script], os.environ, port=0, store=None, faults=()) == code


@pytest.mark.parametrize("word", ["no-such-command-anywhere", "/etc"])
def test_command_that_cannot_be_run(word: str) -> None:
    """It is a usage error, not a traceback."""
    with pytest.raises(UsageError, match=r"no command|can't be run"):
        execute([word], os.environ, port=0, store=None, faults=())


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 9), (signal.SIGINT, 8)])
def test_signals_are_passed_on(publish: Publish, number: int, code: int) -> None:
    """The command decides what a signal means, and is waited for."""
    script = "trap 'exit 9' TERM; trap 'exit 8' INT; echo up; while :; do sleep 0.05; done"
    process = subprocess.Popen(
        [str(Path(sys.executable).with_name("publish")), "sandbox", "exec", "--", "sh", "-c", script],
        env=publish.environ,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    with process:
        assert process.stdout
        assert process.stdout.readline() == b"up\n"
        process.send_signal(number)
        assert process.wait(20) == code


@contextmanager
def served(publish: Publish, *words: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """`publish sandbox serve` as a process, and its URL."""
    process = subprocess.Popen(
        [str(Path(sys.executable).with_name("publish")), "sandbox", "serve", *words],
        env=publish.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        try:
            assert process.stdout
            yield process, process.stdout.readline().decode().strip()
        finally:
            if process.poll() is None:
                end(process)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_ends_cleanly(publish: Publish, number: int) -> None:
    """A signal ends it at once, without a word on stderr, even while a connection is open."""
    with served(publish) as (process, url), urllib.request.urlopen(f"{url}/v2/", timeout=5):
        before = time.monotonic()
        process.send_signal(number)
        _out, told = process.communicate(timeout=20)
        assert time.monotonic() - before < 3
        assert told == b""


@pytest.mark.parametrize("kept", [False, True], ids=["memory", "folder"])
def test_large_blobs_need_no_memory(publish: Publish, kept: bool, tmp_path: Path) -> None:
    """300 MiB go in and come out while the process stays below 128 MiB."""
    words = ["--store", str(tmp_path / "store")] if kept else []
    size = 300 << 20
    with served(publish, *words) as (process, url), Client(url) as client:
        place = client.start_upload("a/b").headers["Location"]
        piece, digest = os.urandom(1 << 20), hashlib.sha256()
        for number in range(size >> 20):
            digest.update(piece)
            if number % 100 == 99:
                place = client.request("PATCH", place, data=piece * 100).headers["Location"]
        done = client.request("PUT", place, params={"digest": f"sha256:{digest.hexdigest()}"})
        assert done.status_code == 201
        assert _length(url + done.headers["Location"]) == size
        status = Path(f"/proc/{process.pid}/status").read_text()
    peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    assert peak < 128 << 10


def _length(url: str) -> int:
    """How many bytes come, without keeping them."""
    with urllib.request.urlopen(url, timeout=30) as answer:
        return sum(len(piece) for piece in iter(lambda: answer.read(1 << 20), b""))


def test_every_command_says_that_it_is_in_a_sandbox(publish: Publish, tmp_path: Path) -> None:
    """In its first line, and in JSON of any kind, errors among them; outside neither does."""
    make_layout(tmp_path / "image", "app")
    commands = (
        ("release", "oci:image", "--image", "me/app", "--version", "1.0.0"),
        ("plan", "oci:image", "--image", "me/app", "--version", "1.0.0"),
        ("status", "--image", "me/app"), ("tags", "me/app"), ("tags", "me/none"), ("verify", "me/app:1.0.0"),
        ("history",), ("hub", "limits"), ("whoami",), ("yank", "9.9.9", "--image", "me/app"),
    )  # fmt: skip
    with Sandbox() as sandbox:
        for words in commands:
            result = publish(*words, "--format", "json", cwd=tmp_path, environ={"PUBLISH_SANDBOX": sandbox.url})
            assert result.document["sandbox"] is True, words
            assert result.stderr.startswith(f"sandbox  {sandbox.url}, by PUBLISH_SANDBOX"), words
    outside = publish("history", "--format", "json", cwd=tmp_path)
    assert ("sandbox" in outside.document, outside.stderr) == (False, "")


def test_a_sandbox_that_is_gone(publish: Publish) -> None:
    """Is named with the variable that leads there, and what to do."""
    port = free_port()
    result = publish("tags", "me/app", "--format", "json", environ={"PUBLISH_SANDBOX": f"http://127.0.0.1:{port}"})
    assert result.code == 6
    assert f"No sandbox answers at http://127.0.0.1:{port}, where PUBLISH_SANDBOX leads" in result.stderr
    assert f"publish sandbox serve --port {port}" in result.document["hint"]
