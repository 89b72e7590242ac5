"""The files through which a step of GitHub Actions says what it found: GITHUB_OUTPUT and GITHUB_STEP_SUMMARY.

Source: docs.github.com, "Workflow commands for GitHub Actions". Never GITHUB_ENV or GITHUB_PATH, which change later
steps.
"""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING, Final

from publisher.model.errors import ConfigError, PublishError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_MOST_BYTES: Final = 1_000_000
OUTPUTS: Final = (
    *("version", "tags", "tag-names", "digest", "imageid", "json", "images", "labels", "annotations"),
    *("receipt", "signer", "moved", "kept"),
)


def encode_outputs(outputs: Mapping[str, str]) -> str:
    """The lines that set a step's outputs; a value of several lines stands between delimiters nobody can guess."""
    return "".join(_encode(name, outputs[name]) for name in OUTPUTS if name in outputs)


def _encode(name: str, value: str) -> str:
    if "\n" not in value and "\r" not in value:
        return f"{name}={value}\n"
    delimiter = f"ghadelimiter_{secrets.token_hex(16)}"
    if delimiter in value:
        raise PublishError(f"the output {name} holds the delimiter that was drawn for it", hint="run again")
    return f"{name}<<{delimiter}\n{value}\n{delimiter}\n"


def write_outputs(environ: Mapping[str, str], outputs: Mapping[str, str]) -> bool:
    """Add a step's outputs; False where no file is named, as outside GitHub Actions."""
    return _append(environ, "GITHUB_OUTPUT", encode_outputs(outputs))


def write_summary(environ: Mapping[str, str], lines: Iterable[str]) -> bool:
    """Add Markdown to a step's summary; False where no file is named."""
    return _append(environ, "GITHUB_STEP_SUMMARY", "\n".join(_truncate(lines)) + "\n")


def _truncate(lines: Iterable[str]) -> list[str]:
    """As many whole lines as GitHub takes: it drops a summary of more than 1 MiB altogether."""
    page: list[str] = []
    room = _MOST_BYTES
    for line in lines:
        room -= len(line.encode()) + 1
        if room < 0:
            is_open = sum(line.startswith("```") for line in page) % 2
            return [*page, *(["```"] if is_open else []), "", "… the rest is in the output `json`"]
        page.append(line)
    return page


def _append(environ: Mapping[str, str], name: str, text: str) -> bool:
    path = environ.get(name, "")
    if not path:
        return False
    try:
        # One write to a file that is only added to: what other processes write stays whole.
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with open(handle, "wb", buffering=0) as file:  # noqa: PTH123 - a descriptor
            file.write(text.encode())
    except OSError as error:
        raise ConfigError(f"{name} names a file that can't be written: {error.strerror}", reference=path) from error
    return True
