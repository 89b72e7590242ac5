"""Docker's credential-helper protocol, as its client."""

from __future__ import annotations

import os
import re
import selectors
import stat
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from publisher.model.credential import Absent, Answer, Broken, Credential, Present
from publisher.model.environment import clean_environment, find_program
from publisher.model.printable import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAME = re.compile(r"[A-Za-z0-9._-]+")
_NOT_FOUND = "credentials not found in native keychain"
_LONG_WORD = re.compile(r"[A-Za-z0-9+/_-]{20,}=*|(?<==)\S{4,}")
_SECONDS = 30
# Somebody may be typing the keychain's password.
_SECONDS_AT_A_TERMINAL = 120
_MOST = 1 << 20


def ask_helper(name: str, server: str, environ: Mapping[str, str], *, seconds: float | None = None) -> Answer:
    """Ask `docker-credential-NAME get` for `server`; its output may hold the secret and is never shown.

    seconds: how long it may take, by default longer where somebody can unlock a keychain.
    Source: docker-credential-helpers, credentials/credentials.go: failures come on stdout with exit code 1.
    """
    program = f"docker-credential-{name}"
    if not _NAME.fullmatch(name) or any(character in server for character in "\0\r\n"):
        return Broken(f"'{program}' is not a name of a credential helper")
    path = find_program(program, environ)
    if path is None:
        return Broken(f"{program} is configured and not on PATH", "install it, or change docker's config.json")
    if owner := _writable_by_all(Path(path)):
        return Broken(f"{program} is not asked: everybody may write to {owner}", "take it out of PATH")
    timeout = seconds or (_SECONDS_AT_A_TERMINAL if sys.stdin and sys.stdin.isatty() else _SECONDS)
    try:
        code, output = _run([path, "get"], server.encode(), clean_environment(environ), timeout)
    except subprocess.TimeoutExpired:
        return Broken(f"{program} did not answer within {timeout:g} s", "is its keychain locked?")
    except OSError as error:
        return Broken(f"{program} can't be run: {os.strerror(error.errno or 0)}")
    return _read(program, code, output)


def _writable_by_all(path: Path) -> Path | None:
    """Which of a program, what it leads to and their folders anybody may change, so that it may be anybody's."""
    real = path.resolve()
    return next((place for place in (path.parent, real, real.parent) if place.stat().st_mode & stat.S_IWOTH), None)


def _run(command: list[str], stdin: bytes, environ: Mapping[str, str], seconds: float) -> tuple[int, bytes]:
    """Exit code and output; a program that says more than `_MOST` bytes is ended, what it said is not kept."""
    deadline = time.monotonic() + seconds
    with subprocess.Popen(  # noqa: S603 - a name that was checked, found on PATH, without a shell
        command, bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environ
    ) as child:
        assert child.stdin is not None  # noqa: S101 - PIPE, for the type checker
        assert child.stdout is not None  # noqa: S101 - PIPE, for the type checker
        try:
            with suppress(BrokenPipeError):
                child.stdin.write(stdin)
            child.stdin.close()
            output = _collect(child.stdout.fileno(), deadline)
            if len(output) > _MOST:
                child.kill()
            return child.wait(max(0.0, deadline - time.monotonic())), output
        except BaseException:
            child.kill()
            raise


def _collect(stream: int, deadline: float) -> bytes:
    """All that comes, but no more than just over `_MOST` bytes; raises TimeoutExpired."""
    output = b""
    with selectors.DefaultSelector() as ready:
        ready.register(stream, selectors.EVENT_READ)
        while len(output) <= _MOST:
            if not ready.select(max(0.0, deadline - time.monotonic())):
                raise subprocess.TimeoutExpired("docker-credential", 0)
            piece = os.read(stream, 1 << 16)
            if not piece:
                break
            output += piece
    return output


def _reason(text: str) -> str:
    """What it said, if that is a sentence: a failure's reason comes where a secret would stand.

    A single word, or what looks like a document, may be one; so may a long word within a sentence.
    """
    line = " ".join(text.split())
    if " " not in line or any(sign in line for sign in '{}[]"\ufffd'):
        return ""
    return f": {printable(_LONG_WORD.sub('***', line), longest=200)}"


def _read(program: str, code: int, output: bytes) -> Answer:
    if len(output) > _MOST:
        return Broken(f"{program} answered more than a credential")
    if code != 0:
        text = output.decode("utf-8", "replace").strip()
        return Absent() if text == _NOT_FOUND else Broken(f"{program} failed with exit code {code}{_reason(text)}")
    try:
        document = msgspec.json.decode(output)
        username, secret = document["Username"], document["Secret"]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError, TypeError):
        return Broken(f"{program} did not answer in the form of the protocol")
    if not isinstance(username, str) or not isinstance(secret, str) or not username or not secret:
        return Broken(f"{program} answered without user or secret")
    return Present(Credential(username, secret, program))
