"""Docker's credential-helper protocol, as its client."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import msgspec

from publisher.model.credential import Absent, Answer, Broken, Credential, Found
from publisher.model.environment import clean_environment

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAME = re.compile(r"[A-Za-z0-9._-]+")
_NOT_FOUND = "credentials not found in native keychain"
_SECONDS = 30
_MOST = 1 << 20


def ask_helper(name: str, server: str, environ: Mapping[str, str], *, seconds: float = _SECONDS) -> Answer:
    """Ask `docker-credential-NAME get` for `server`; its output may hold the secret and is never shown.

    Source: docker-credential-helpers, credentials/credentials.go: failures come on stdout with exit code 1.
    """
    program = f"docker-credential-{name}"
    if not _NAME.fullmatch(name) or any(character in server for character in "\0\r\n"):
        return Broken(f"'{program}' is not a name of a credential helper")
    path = shutil.which(program, path=environ.get("PATH"))
    if path is None:
        return Broken(f"{program} is configured and not on PATH", "install it, or change docker's config.json")
    try:
        done = subprocess.run(  # noqa: S603 - a name that was checked, found on PATH, without a shell
            [path, "get"],
            input=server.encode(),
            stdout=subprocess.PIPE,
            timeout=seconds,
            check=False,
            env=clean_environment(environ),
        )
    except subprocess.TimeoutExpired:
        return Broken(f"{program} did not answer within {seconds:.0f} s", "is its keychain locked?")
    except OSError as error:
        return Broken(f"{program} can't be run: {os.strerror(error.errno or 0)}")
    return _read(program, done.returncode, done.stdout)


def _read(program: str, code: int, output: bytes) -> Answer:
    if len(output) > _MOST:
        return Broken(f"{program} answered more than a credential")
    if code != 0:
        said = output.decode("utf-8", "replace").strip()
        return Absent() if said == _NOT_FOUND else Broken(f"{program} failed with exit code {code}")
    try:
        found = msgspec.json.decode(output)
        username, secret = found["Username"], found["Secret"]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError, TypeError):
        return Broken(f"{program} did not answer in the form of the protocol")
    if not isinstance(username, str) or not isinstance(secret, str) or not username or not secret:
        return Broken(f"{program} answered without user or secret")
    return Found(Credential(username, secret, program))
