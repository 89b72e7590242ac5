"""A secret that is looked for everywhere, in every form, after every command and every kind of failure."""

from __future__ import annotations

import base64
import json
import os
import shutil
import stat
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

import pytest

from publisher.cli.program import COMMANDS
from tests.support.http_server import Answer, ServerRequest, serve
from tests.support.layout import make_layout
from tests.support.registry import USER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.command import Publish
    from tests.support.registry import RegistryProcess

# Signs that each encoding writes in another way.
CANARY = 'c4nary+/s3cret="\\é&%41'

# What each command is called with; {image} is a repository on the host under test.
CALLS = {
    "init": ["init", "--image", "{image}", "--github", "--dry-run"],
    "login": ["login", "{host}", "-u", USER, "--password-stdin"],
    "plan": ["plan", "oci:layout", "--image", "{image}", "--version", "1.0.0", "-o", "plan.json"],
    "build": ["build", "-t", "app"],
    "smoke": ["smoke", "{image}:1.0.0"],
    "release": ["release", "oci:layout", "--image", "{image}", "--version", "1.0.0", "--receipt", "receipt.json"],
    "retag": ["retag", "{image}:1.0.0", ":other", "--receipt", "retag.json"],
    "verify": ["verify", "{image}:1.0.0", "--verify", "deep"],
    "status": ["status", "--image", "{image}"],
    "reconcile": ["reconcile", "--image", "{image}"],
    "yank": ["yank", "1.0.0", "--image", "{image}"],
    "undo": ["undo"],
    "history": ["history"],
    "tags": ["tags", "{image}"],
    "hub": ["hub", "describe", "--image", "acme/app"],
    "logout": ["logout", "{host}", "--docker"],
    "whoami": ["whoami", "{host}"],
    "doctor": ["doctor"],
    "push": ["push", "oci:layout", "--image", "{image}"],
    "sandbox": ["sandbox", "exec", "--", "publish", "release", "oci:layout", "--image", "a/b", "--version", "1.0.0"],
    "schema": ["schema", "plan"],
    "completion": ["completion", "bash"],
}


def forms(secret: str) -> set[bytes]:
    """The secret as it may be written: raw, in base64 at each offset, for URLs, and as JSON."""
    raw = secret.encode()
    found = {raw, quote(secret, safe="").encode(), quote_plus(secret).encode(), quote(secret).encode()}
    found |= {json.dumps(secret)[1:-1].encode(), json.dumps(secret, ensure_ascii=False)[1:-1].encode()}
    found |= {repr(secret)[1:-1].encode()}
    for before in (b"", b"x", b"xx"):
        # The signs that do not depend on what stands beside the secret.
        coded = base64.b64encode(before + raw)[4 if before else 0 : -4]
        found |= {coded, coded.replace(b"+", b"-").replace(b"/", b"_"), quote(coded.decode(), safe="").encode()}
    return found


def echo(seen: ServerRequest) -> Answer:
    """Repeat whatever came, raw and decoded, in every place that an answer has."""
    sent = seen.headers.get("Authorization", "")
    if not sent:
        return Answer(401, {"WWW-Authenticate": 'Basic realm="x"'})
    pair = base64.b64decode(sent.partition(" ")[2]).decode()
    document = {"errors": [{"code": "DENIED", "message": f"{pair} {sent}", "detail": {"said": pair}}], "detail": pair}
    return Answer(403, {"Warning": f"299 - {quote(pair)}", "X-Said": sent}, json.dumps(document).encode())


@pytest.fixture(params=["works", "refused", "echo", "nobody-there"])
def host(request: pytest.FixtureRequest, private_registry: RegistryProcess) -> Iterator[str]:
    """A registry that takes the secret, one that doesn't, one that repeats it, and none at all."""
    if request.param == "works":
        with serve(works) as server:
            yield server.host
    elif request.param == "refused":
        yield private_registry.host
    elif request.param == "echo":
        with serve(echo) as server:
            yield server.host
    else:
        yield "127.0.0.1:9"


def works(seen: ServerRequest) -> Answer:
    """A registry that lets the secret in, and is empty."""
    wanted = "Basic " + base64.b64encode(f"{USER}:{CANARY}".encode()).decode()
    if seen.headers.get("Authorization") != wanted:
        return Answer(401, {"WWW-Authenticate": 'Basic realm="x"'})
    return Answer(200, {}, b"{}") if seen.path == "/v2/" else Answer(404, {}, b'{"errors":[{"code":"NAME_UNKNOWN"}]}')


@pytest.fixture
def spied(publish: Publish, tmp_path: Path) -> dict[str, str]:
    """An environment whose git writes down what it is given, before it is git."""
    folder = tmp_path / "spy"
    folder.mkdir()
    real = shutil.which("git")
    script = folder / "git"
    script.write_text(
        f'#!/bin/sh\n{{ echo "$@"; tr "\\0" "\\n" < /proc/$$/environ; }} >> {folder}/git.log\nexec {real} "$@"\n'
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    (tmp_path / "temp").mkdir()
    return {
        "PATH": f"{folder}:{os.path.dirname(publish.program)}:{os.environ['PATH']}",  # noqa: PTH120 - a text
        "TMPDIR": str(tmp_path / "temp"),
        "PUBLISH_USERNAME": USER,
        "PUBLISH_PASSWORD": CANARY,
        "DOCKER_HOST": "unix:///nowhere/docker.sock",
        "PUBLISH_HUB_URL": "http://127.0.0.1:9",
    }


def test_every_command_is_called() -> None:
    """A new one has to be looked at here too."""
    assert set(CALLS) == set(COMMANDS)


@pytest.mark.parametrize("command", CALLS)
def test_no_secret_is_told(command: str, host: str, publish: Publish, spied: dict[str, str], tmp_path: Path) -> None:
    """Not on stdout or stderr (with -v and its tracebacks), in no file, and not to git."""
    work = tmp_path / "work"
    work.mkdir()
    make_layout(work / "layout", "app")
    publish.git("init", "-q", cwd=work)
    words = [word.format(host=host, image=f"{host}/app") for word in CALLS[command]]
    environ = {**spied, "PUBLISH_REGISTRY": host}
    result = publish("-v", *words, cwd=work, stdin=CANARY, environ=environ)
    told = {"stdout": result.stdout.encode(), "stderr": result.stderr.encode()}
    told |= {
        str(file): file.read_bytes() for file in (*tmp_path.rglob("*"), *publish.home.rglob("*")) if file.is_file()
    }
    hits = {place: form for place, content in told.items() for form in forms(CANARY) if form in content}
    assert hits == {}
    assert (tmp_path / "spy" / "git.log").exists() or command not in {"plan", "release"}


def test_the_secret_is_in_use(publish: Publish, spied: dict[str, str]) -> None:
    """It opens the registry, so that what was searched for was really sent."""
    with serve(works) as server:
        given = {**spied, "PUBLISH_REGISTRY": server.host}
        assert publish("whoami", server.host, environ=given).code == 0
        assert publish("whoami", server.host, environ={**given, "PUBLISH_PASSWORD": "other"}).code == 3


def test_the_forms_are_found() -> None:
    """A search that finds nothing would prove nothing."""
    basic = base64.b64encode(f"{USER}:{CANARY}".encode())
    assert any(form in basic for form in forms(CANARY))
    assert any(form in json.dumps({"a": CANARY}).encode() for form in forms(CANARY))
    assert any(form in f"https://x/?a={quote_plus(CANARY)}".encode() for form in forms(CANARY))
    assert any(form in repr({"a": CANARY}).encode() for form in forms(CANARY))
