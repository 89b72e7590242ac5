"""The process: streams that are closed or full, signals, and the time that a run has."""

from __future__ import annotations

import os
import re
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import publisher
from publisher.model.errors import TimeUp
from publisher.receipts.journal import Journal
from publisher.sandbox.server import Sandbox
from tests.support.http_server import Answer, serve
from tests.support.layout import make_layout
from tests.support.process import wait_until
from tests.support.receipts import change, receipt

if TYPE_CHECKING:
    from tests.support.command import Publish
    from tests.support.http_server import ServerRequest


@pytest.mark.parametrize("closed", [(1,), (2,), (0, 1, 2)], ids=["stdout", "stderr", "all"])
def test_streams_that_are_closed_from_the_start(closed: tuple[int, ...], publish: Publish, tmp_path: Path) -> None:
    """No file of ours takes their numbers; the tags are written, and the exit code is that of what was done."""
    make_layout(tmp_path / "layout", "1.0.0")
    with Sandbox() as sandbox:
        done = subprocess.run(
            ["sh", "-c", f'exec "$@" {" ".join(f"{number}>&-" for number in closed)}', "sh", publish.program,
             "release", "oci:layout", "--image", "me/app", "--version", "1.0.0"],
            env={**publish.environ, "PUBLISH_SANDBOX": sandbox.url}, cwd=tmp_path, capture_output=True, check=False,
        )  # fmt: skip
        assert set(sandbox.store.state()["me/app"]) == {"1.0.0", "1.0", "1", "latest"}
    assert done.returncode == 0, done
    assert b"Traceback" not in done.stderr
    assert (b"Stdout can't be written: Bad file descriptor" in done.stderr) == (closed == (1,))
    assert (b"latest" in done.stdout) == (1 not in closed)
    shown = publish("history", environ={"PUBLISH_SANDBOX": sandbox.url})
    assert "1.0.0" in shown.stdout


@pytest.mark.parametrize(
    "words",
    [
        ["history"], ["schema", "receipt"], ["status", "--image", "me/app"],
        ["release", "--dry-run", "oci:layout", "--image", "me/app", "--version", "1.0.0"],
    ],
    ids=lambda words: words[0],
)  # fmt: skip
def test_a_full_stdout_is_named(words: list[str], publish: Publish) -> None:
    """Where nothing was changed it is the error, and no disk is blamed."""
    make_layout(publish.home / "layout", "one")
    with Sandbox() as sandbox, Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [publish.program, *words], env={**publish.environ, "PUBLISH_SANDBOX": sandbox.url}, cwd=publish.home,
            stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert "\npublish: Stdout can't be written: No space left on device." in f"\n{done.stderr}"


def test_an_interrupted_release_shows_its_table(publish: Publish, tmp_path: Path) -> None:
    """As every end does: the tags on stdout, and on stderr what to do next."""
    make_layout(tmp_path / "layout", "1.0.0")
    with Sandbox(faults=["PUT /manifests/latest every 503"]) as sandbox:
        child = subprocess.Popen(
            [publish.program, "release", "oci:layout", "--image", "me/app", "--version", "1.0.0"],
            env={**publish.environ, "PUBLISH_SANDBOX": sandbox.url}, cwd=tmp_path,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        # The plan looks at latest too, before anything is written.
        written = "PUT", "/v2/me/app/manifests/latest"
        wait_until(
            lambda: any((one["method"], str(one["path"])) == written for one in [*sandbox.requests]),
            seconds=20, what="a write of latest",
        )  # fmt: skip
        child.terminate()
        out, err = child.communicate(timeout=60)
    assert child.returncode == 143
    assert re.search(r"^1\.0\.0 .* done ", out, re.MULTILINE)
    assert re.search(r"^latest .* not-done ", out, re.MULTILINE)
    assert "Terminated, and some tags were moved and not all. Run the same command again" in " ".join(err.split())


@pytest.mark.parametrize("kind", ["drips", "is-silent"])
def test_no_request_outlasts_the_time(kind: str, publish: Publish) -> None:
    """A server that drips, or says nothing: the run ends some seconds after its time, exit 6."""

    def answer(_request: ServerRequest) -> Answer:
        if kind == "is-silent":
            time.sleep(20)
        return Answer(200, {}, b"{" + b" " * 100 + b"}", pause=0.2)

    with serve(answer) as server:
        began = time.monotonic()
        result = publish("verify", f"{server.host}/me/app:1", "--timeout", "1", "--format", "json")
        seconds = time.monotonic() - began
    assert (result.code, result.document["code"], result.document["kind"]) == (6, 6, "timeout")
    assert seconds < 12


def test_the_time_of_a_library_call(publish: Publish, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without signals, in any thread: what the call waits for is cut."""
    for name, value in publish.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(publish.home)
    with (
        serve(lambda _request: Answer(200, {}, b"{" + b" " * 100 + b"}", pause=0.2)) as server,
        ThreadPoolExecutor(1) as pool,
        pytest.raises(TimeUp),
    ):
        pool.submit(publisher.retag, f"{server.host}/me/app:1", "other", timeout=1).result(15)


@pytest.mark.parametrize("words", [["history"], ["undo"]])
def test_a_receipt_from_the_future_is_told(words: list[str], publish: Publish) -> None:
    """A clock was wrong: the order of writing counts, and the user knows."""
    with Journal(publish.home / "state" / "publish" / "receipts").open(["key"]) as entry:
        entry.write(receipt("2037-03-28", change("latest", None, None), command="retag"))
    told = " ".join(publish(*words).stderr.split())
    assert "the receipt 20370328T090000.000Z-aaaaaa is of a time that is still to come (2037-03-28T09:00:00Z)" in told


@pytest.mark.parametrize("words", [["oci:layout"], ["oci:layout", "--allow-dirty"], ["docker://me/app:1.0.0"]])
def test_a_repository_that_git_refuses(words: list[str], publish: Publish, tmp_path: Path) -> None:
    """Nobody could look what is released: exit 4 with git's own way out, unless that is wanted or not asked."""
    if os.geteuid() != 0:
        pytest.xfail("only root can give a folder to another user")
    publish.git("init", "-q", cwd=tmp_path)
    make_layout(tmp_path / "layout", "1.0.0")
    with Sandbox() as sandbox:
        release = ("release", "--image", "me/app", "--format", "json")
        environ = {"PUBLISH_SANDBOX": sandbox.url}
        assert publish(*release, "oci:layout", "--version", "1.0.0", cwd=tmp_path, environ=environ).code == 0
        for path in (tmp_path, tmp_path / ".git"):
            os.chown(path, 12345, 12345)
        result = publish(*release, *words, "--version", "1.0.0", cwd=tmp_path, environ=environ)
    assert result.code == (4 if words == ["oci:layout"] else 0), result
    if result.code:
        assert f"git config --global --add safe.directory {tmp_path}" in result.document["message"]


@pytest.mark.parametrize("file", ["none/receipt.json", "/dev/full"])
def test_a_receipt_that_can_be_written_nowhere(file: str, publish: Publish, tmp_path: Path) -> None:
    """It is found out before the first tag, and `undo` takes such a run for none; a device is written at the end."""
    make_layout(tmp_path / "layout", "1.0.0")
    with Sandbox() as sandbox:
        environ = {"PUBLISH_SANDBOX": sandbox.url}
        words = ("release", "oci:layout", "--image", "me/app", "--version", "1.0.0", "--receipt", file)
        result = publish(*words, cwd=tmp_path, environ=environ)
        tags = sandbox.store.state().get("me/app", {})
        assert Path("/dev/full").is_char_device()
        assert (result.code, bool(tags)) == ((0, True) if file == "/dev/full" else (2, False)), result
        assert "receipt" in result.stderr
        receipts = publish("history", "--format", "json", environ=environ).document["receipts"]
        assert [one["outcome"] for one in receipts] == ["done" if tags else "failed"]
        assert publish("undo", environ=environ).code == (0 if tags else 2)
