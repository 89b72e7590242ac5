"""Docker's credential-helper protocol, with hostile helpers: what they say, and the memory and time that they take."""

from __future__ import annotations

import json
import os
import time
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from publisher.credentials.helper import ask_helper
from publisher.model.credential import Absent, Answer, Broken, Credential, Present
from publisher.model.environment import SECRET_VARIABLES

if TYPE_CHECKING:
    from pathlib import Path


GOOD = """echo '{"ServerURL":"reg.example","Username":"ann","Secret":"canary"}'"""


def ask(
    tmp_path: Path,
    script: str,
    server: str = "reg.example",
    *,
    seconds: float = 20,
    environ: dict[str, str] | None = None,
) -> Answer:
    """Ask a helper that runs `script`."""
    path = tmp_path / "docker-credential-test"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return ask_helper("test", server, {"PATH": f"{tmp_path}:{os.defpath}", **(environ or {})}, seconds=seconds)


def test_good(tmp_path: Path) -> None:
    """What it answers is found, with its program's name as the source."""
    assert ask(tmp_path, GOOD) == Present(Credential("ann", "canary", "docker-credential-test"))


def test_identity_token(tmp_path: Path) -> None:
    """The user `<token>` marks a refresh token."""
    answer = ask(tmp_path, """echo '{"Username":"<token>","Secret":"canary"}'""")
    assert isinstance(answer, Present)
    assert answer.credential.is_identity_token


@pytest.mark.parametrize(
    "text", ["credentials not found in native keychain", "  credentials not found in native keychain  "]
)
def test_not_found(tmp_path: Path, text: str) -> None:
    """The protocol's one sentence for absent."""
    assert ask(tmp_path, f"echo '{text}'; exit 1") == Absent()


@pytest.mark.parametrize(
    "script",
    [
        pytest.param("echo 'canary {'", id="not-json"),
        pytest.param("echo '[\"canary\"]'", id="list"),
        pytest.param("echo '\"canary\"'", id="text"),
        pytest.param("echo null", id="null"),
        pytest.param('echo \'{"Secret":"canary"}\'', id="no-user"),
        pytest.param('echo \'{"Username":"","Secret":"canary"}\'', id="empty-user"),
        pytest.param('echo \'{"Username":"ann"}\'', id="no-secret"),
        pytest.param('echo \'{"Username":"ann","Secret":""}\'', id="empty-secret"),
        pytest.param('echo \'{"Username":"ann","Secret":5}\'', id="number"),
        pytest.param("exit 0", id="empty"),
        pytest.param("echo canary; exit 1", id="other-text"),
        pytest.param("echo 'error: credentials not found in native keychain'; exit 1", id="longer-sentence"),
        pytest.param("echo credentials not found in native keychain", id="not-found-with-exit-0"),
        pytest.param("printf '\\377canary'; exit 1", id="not-utf-8-failure"),
        pytest.param('printf \'{"Username":"ann","Secret":"canary\\377"}\'', id="not-utf-8"),
        pytest.param("head -c 10485760 /dev/zero", id="10-mib"),
        pytest.param("head -c 500000 /dev/zero | tr '\\0' '['", id="deep"),
        pytest.param("kill -9 $$", id="killed"),
    ],
)
def test_broken(tmp_path: Path, script: str) -> None:
    """Anything else is broken, and what it said is not repeated: it may hold the secret."""
    answer = ask(tmp_path, script)
    assert isinstance(answer, Broken)
    assert "canary" not in answer.reason + answer.hint
    assert "docker-credential-test" in answer.reason


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "exit status 2: gpg: decryption failed: No secret key",
            "exit status 2: gpg: decryption failed: No secret key",
        ),
        ("the pass phrase dckr_pat_abcdefghijklmnop is wrong", "the pass phrase *** is wrong"),
        ("error: password=hunter2hunter2 refused", "error: password=*** refused"),
    ],
)
def test_its_reason_is_shown(tmp_path: Path, text: str, shown: str) -> None:
    """By its protocol a failure's reason comes on stdout; what may be a secret in it is blanked."""
    answer = ask(tmp_path, f"echo '{text}'; exit 1")
    assert answer == Broken(f"docker-credential-test failed with exit code 1: {shown}")


def test_hang(tmp_path: Path) -> None:
    """A helper that waits for ever is left."""
    began = time.monotonic()
    answer = ask(tmp_path, "exec sleep 60", seconds=0.3)
    assert isinstance(answer, Broken)
    assert "did not answer" in answer.reason
    assert time.monotonic() - began < 10


def test_noise_on_stderr(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Its stderr goes to the user and is not read."""
    assert isinstance(ask(tmp_path, f"echo 'a warning {{' >&2; {GOOD}"), Present)
    assert "a warning {" in capfd.readouterr().err


@pytest.mark.parametrize("server", ["reg\0example", "reg.example\nhost=evil", "reg.example\r"], ids=ascii)
def test_server_with_control_characters(tmp_path: Path, server: str) -> None:
    """Such a server is never written to a helper."""
    assert isinstance(ask(tmp_path, f"touch {tmp_path}/ran; {GOOD}", server), Broken)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["", "../x", "a/b", "a b", "x;y", "x\n", "ü", "$(x)"], ids=ascii)
def test_name_that_is_none(tmp_path: Path, name: str) -> None:
    """A name that could lead elsewhere is not run."""
    assert isinstance(ask_helper(name, "reg.example", {"PATH": str(tmp_path)}), Broken)


def test_a_helper_in_the_working_directory_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PATH may name it by a dot, or by nothing: a checkout's program would be given the server, and give a login."""
    monkeypatch.chdir(tmp_path)
    for path in (f".:{os.defpath}", f":{os.defpath}", f"{os.defpath}:", "../" + tmp_path.name):
        answer = ask(tmp_path, GOOD, environ={"PATH": path})
        assert isinstance(answer, Broken)
        assert "not on PATH" in answer.reason


@pytest.mark.parametrize("place", ["folder", "program", "behind a link"])
def test_a_helper_that_anybody_may_change_is_not_asked(tmp_path: Path, place: str) -> None:
    """It may be another user's by now; the reason names what is open."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "docker-credential-test").write_text(f"#!/bin/sh\n{GOOD}\n")
    (folder / "docker-credential-test").chmod(0o757 if place == "program" else 0o755)
    folder.chmod(0o755 if place == "program" else 0o777)
    path = folder
    if place == "behind a link":
        path = tmp_path / "links"
        path.mkdir()
        (path / "docker-credential-test").symlink_to(folder / "docker-credential-test")
    answer = ask_helper("test", "reg.example", {"PATH": f"{path}:{os.defpath}"})
    assert isinstance(answer, Broken)
    assert "everybody may write to" in answer.reason


def test_absent_program(tmp_path: Path) -> None:
    """A helper that is configured and not there is broken, by name."""
    answer = ask_helper("gone", "reg.example", {"PATH": str(tmp_path)})
    assert isinstance(answer, Broken)
    assert "docker-credential-gone" in answer.reason


def test_program_that_cannot_run(tmp_path: Path) -> None:
    """A file that is no program is broken."""
    path = tmp_path / "docker-credential-bad"
    path.write_bytes(b"\x7fELF nonsense")
    path.chmod(0o755)
    assert isinstance(ask_helper("bad", "reg.example", {"PATH": str(tmp_path)}), Broken)


def test_what_the_helper_is_given(tmp_path: Path) -> None:
    """One argument, the server on stdin, and no secret in its environment."""
    secrets = dict.fromkeys(SECRET_VARIABLES, "canary")
    report = f"""echo "$#:$*" >{tmp_path}/arguments; cat >{tmp_path}/stdin; env >{tmp_path}/env; {GOOD}"""
    assert isinstance(ask(tmp_path, report, environ={"DISPLAY": ":7"} | secrets), Present)
    assert (tmp_path / "arguments").read_text() == "1:get\n"
    assert (tmp_path / "stdin").read_text() == "reg.example"
    seen = (tmp_path / "env").read_text()
    assert "canary" not in seen
    assert "DISPLAY=:7" in seen


def test_a_long_secret(tmp_path: Path) -> None:
    """Secrets of 64 KiB and more are taken whole."""
    secret = "s" * 100_000
    (tmp_path / "answer").write_text(json.dumps({"Username": "ann", "Secret": secret}))
    answer = ask(tmp_path, f"cat {tmp_path}/answer")
    assert isinstance(answer, Present)
    assert answer.credential.secret == secret


def test_endless_output(tmp_path: Path) -> None:
    """A helper that never ends talking is ended, and what it said is not collected."""
    tracemalloc.start()
    try:
        answer = ask(tmp_path, "exec cat /dev/zero")
        _now, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert isinstance(answer, Broken)
    assert "more than a credential" in answer.reason
    assert most < 8 << 20


@pytest.mark.parametrize(
    "script",
    [
        pytest.param("sleep 20", id="silent"),
        pytest.param(f"{GOOD}; sleep 20", id="after-its-answer"),
        pytest.param("exec >&-; sleep 20", id="stdout-closed"),
        pytest.param("while :; do echo; sleep 0.1; done", id="drop-by-drop"),
    ],
)
def test_a_helper_that_does_not_end(tmp_path: Path, script: str) -> None:
    """Time is counted for the whole call, whatever it does meanwhile."""
    began = time.monotonic()
    answer = ask(tmp_path, script, seconds=0.5)
    assert isinstance(answer, Broken)
    assert "did not answer within 0.5 s" in answer.reason
    assert time.monotonic() - began < 5


def test_a_helper_that_does_not_listen(tmp_path: Path) -> None:
    """It may close stdin unread."""
    assert isinstance(ask(tmp_path, f"exec <&-; sleep 0.2; {GOOD}"), Present)
