"""The program `docker-credential-publish`, which docker calls with one argument."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_ACTIONS = ("store", "get", "erase", "list", "version")


def main() -> None:
    """Answer on stdout; the only other thing that ends a process here."""
    code, text = run(sys.argv[1:])
    sys.stdout.write(text)
    sys.exit(code)


def run(words: Sequence[str]) -> tuple[int, str]:
    """The exit code and stdout of one call."""
    name = "docker-credential-publish"
    usage = f"Usage: {name} <{'|'.join(_ACTIONS)}>\n"
    if len(words) != 1:
        return 1, usage
    if words[0] in {"version", "--version", "-v"}:
        from publisher import __version__

        return 0, f"{name} (publisher) {__version__}\n"
    if words[0] in {"--help", "-h"}:
        return 0, usage
    if words[0] not in _ACTIONS:
        return 1, f"{name}: unknown action: {words[0]}\n"
    return _serve(words[0])


def _serve(action: str) -> tuple[int, str]:
    from publisher.credentials.helper_protocol import LARGEST, Helper, HelperError, read_index
    from publisher.credentials.logins import index_file
    from publisher.credentials.vault import Vault
    from publisher.model.errors import PublishError

    file = index_file(os.environ)
    payload = "" if action == "list" else sys.stdin.buffer.read(LARGEST + 1).decode("utf-8", "replace")
    index = read_index(file.read_text() if file.exists() else "")
    try:
        return 0, Helper(Vault(), index, lambda index: _save(file, index)).answer(action, payload)
    except HelperError as error:
        return 1, f"{error}\n"
    except PublishError as error:
        return 1, f"{error.message}\n"


def _save(file: Path, index: Mapping[str, str]) -> None:
    import json

    from publisher.receipts.atomic import write_atomically

    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_atomically(file, json.dumps(index, indent=2).encode() + b"\n")
