"""What a terminal gets to see: no byte of a hostile registry that it would obey, no colour that nobody wants."""

from __future__ import annotations

import json
import os
import re
import subprocess
import unicodedata
from typing import TYPE_CHECKING

import pytest

from publisher.sandbox.options import Options
from publisher.sandbox.server import Sandbox
from tests.support.http_server import Answer, ServerRequest, serve

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.command import Publish

# Every control character, and those that turn or hide text around them.
HIDDEN = [
    *range(0x20),
    *range(0x7F, 0xA0),
    *range(0x200B, 0x2010),
    *range(0x2028, 0x202F),
    *range(0x2066, 0x206A),
    0xFEFF,
]
HOSTILE = "".join(f"a{chr(code)}[31mb" for code in HIDDEN) + "\n::add-mask::x\n::stop-commands::y\n##[group]z"
OWN_COLORS = re.compile(r"\x1b\[[\d;]*m")
COMMANDS = {
    "verify": ["verify", "{host}/app:1.0.0"],
    "status": ["status", "--image", "{host}/app"],
    "tags": ["tags", "{host}/app"],
    "plan": ["plan", "--image", "{host}/app", "--version", "1.0.0"],
    "retag": ["retag", "{host}/app:1.0.0", ":stable"],
    "verbose": ["-v", "tags", "{host}/app"],
    "json": ["verify", "{host}/app:1.0.0", "--format", "json"],
    "login": ["login", "{host}", "-u", "captain", "--password-stdin", "--store", "docker"],
}


def errors(_seen: ServerRequest) -> Answer:
    """A registry's error whose every word is hostile, with a warning beside it."""
    words = {"code": HOSTILE, "message": HOSTILE, "detail": {HOSTILE: HOSTILE}}
    warning = 'Warning: 299 - "' + "".join(map(chr, range(0x80, 0xA0))) + '"'
    headers = {"Content-Type": "application/json", "Warning": warning.removeprefix("Warning: ")}
    return Answer(403, headers, json.dumps({"errors": [words]}).encode())


def names(seen: ServerRequest) -> Answer:
    """Tags that are none, and a manifest with hostile annotations."""
    if "/tags/list" in seen.path:
        body = {"name": HOSTILE, "tags": ["1.0.0", HOSTILE]}
        return Answer(200, {"Content-Type": "application/json"}, json.dumps(body).encode())
    if "/manifests/" in seen.path:
        kind = "application/vnd.oci.image.manifest.v1+json"
        manifest = {"schemaVersion": 2, "mediaType": HOSTILE, "annotations": {HOSTILE: HOSTILE}}
        return Answer(200, {"Content-Type": kind}, json.dumps(manifest).encode())
    return Answer(200, {}, b"{}")


def in_terminal(publish: Publish, words: list[str], **environ: str) -> tuple[int, str]:
    """Run publish with a terminal for stdout and stderr: its exit code, and what the terminal got."""
    outer, inner = os.openpty()
    with os.fdopen(outer, "rb", buffering=0) as screen:
        with os.fdopen(inner, "wb", buffering=0) as terminal:
            process = subprocess.Popen(
                [publish.program, *words], env={**publish.environ, **environ}, cwd=publish.home,
                stdin=subprocess.PIPE, stdout=terminal, stderr=terminal,
            )  # fmt: skip
        assert process.stdin
        process.stdin.write(b"secret-of-the-captain\n")
        process.stdin.close()
        got = b""
        try:
            while piece := screen.read(1 << 16):
                got += piece
        except OSError:  # the other side is closed
            pass
    return process.wait(60), got.decode()


@pytest.mark.parametrize("github", [False, True], ids=["terminal", "github"])
@pytest.mark.parametrize("answers", [errors, names])
@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)
def test_nothing_hostile_is_obeyed(
    words: list[str], answers: Callable[[ServerRequest], Answer], github: bool, publish: Publish
) -> None:
    """No control or invisible character arrives, and no line is a command to GitHub's runner."""
    with serve(answers) as server:
        given = [word.format(host=server.host) for word in words]
        _code, got = in_terminal(publish, given, **({"GITHUB_ACTIONS": "true"} if github else {}))
        assert server.requests
    shown = OWN_COLORS.sub("", got).replace("\r\n", "\n")
    assert shown.strip()
    found = {sign for sign in shown if unicodedata.category(sign) in {"Cc", "Cf", "Zl", "Zp"}} - {"\n", "\t"}
    assert found == set()
    if github:
        assert not [line for line in shown.split("\n") if line.lstrip().startswith("::") or "##[" in line]


@pytest.mark.parametrize(
    ("environ", "options", "colored"),
    [({}, [], True), ({"NO_COLOR": "1"}, [], False), ({}, ["--no-color"], False), ({"TERM": "dumb"}, [], False)],
    ids=["wanted", "NO_COLOR", "--no-color", "dumb"],
)
def test_colors_only_where_they_are_wanted(
    environ: dict[str, str], options: list[str], colored: bool, publish: Publish
) -> None:
    """A table on a terminal."""
    code, got = in_terminal(publish, [*options, "plan", "--offline", "--image", "a/b", "--version", "1.0.0"], **environ)
    assert (code, "\x1b" in got) == (0, colored)


def test_quiet_and_piped(publish: Publish, tmp_path: Path) -> None:
    """In a pipe there is no colour and a line a step; --quiet leaves the result alone."""
    words = ["release", "docker://sandbox/sample", "--image", "a/b", "--version"]
    with Sandbox(options=Options(sample=True)) as sandbox:
        environ = {"PUBLISH_SANDBOX": sandbox.url}
        told = publish(*words, "1.0.0", environ=environ)
        quiet = publish("--quiet", *words, "1.0.1", environ=environ)
    assert "\x1b" not in told.stdout + told.stderr
    assert [line.split()[0] for line in told.stderr.splitlines()[-4:]] == ["push", "pushed", "verified", "promoted"]
    assert quiet.stderr == ""
    assert re.fullmatch(r"a/b@sha256:[0-9a-f]{64}", quiet.stdout.splitlines()[-1])
