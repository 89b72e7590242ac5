"""Commands to GitHub's runner within a log: what it shows beside a file, folds, or blanks.

Source: docs.github.com, "Workflow commands for GitHub Actions". Nothing of what others say reaches them unescaped: a
line break would end one, and begin another.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from publisher.model.printable import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from publisher.model.value import Place

_OF_DATA: Final = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_OF_PROPERTIES: Final = {**_OF_DATA, ":": "%3A", ",": "%2C"}


def workflow_command(name: str, data: str = "", **properties: str) -> str:
    """A line that the runner obeys."""
    pairs = ",".join(f"{key}={_escape(value, _OF_PROPERTIES)}" for key, value in properties.items() if value)
    return f"::{name}{' ' if pairs else ''}{pairs}::{_escape(data, _OF_DATA)}"


def annotation(level: str, text: str, place: Place | None = None, environ: Mapping[str, str] = os.environ) -> str:
    """An error, a warning or a notice; GitHub shows it beside the file's line, where it is in the checkout."""
    file = _within_workspace(place.file, environ) if place else ""
    line = str(place.line) if file and place and place.line else ""
    # In a line that the runner doesn't take for ours it would be a command of its older kind, wherever it stands.
    return workflow_command(level, printable(text).replace("##[", "# #["), file=file, line=line)


def is_in_actions(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether a step of the Action is to be told: PUBLISH_REPORT asks for it, and a runner reads the log."""
    return environ.get("PUBLISH_REPORT") == "github" and bool(environ.get("GITHUB_ACTIONS"))


def _escape(text: str, signs: Mapping[str, str]) -> str:
    return "".join(signs.get(sign, sign) for sign in text)


def _within_workspace(file: str, environ: Mapping[str, str]) -> str:
    """The path as GitHub knows it; "" for a file elsewhere."""
    workspace = environ.get("GITHUB_WORKSPACE", "")
    try:
        return Path(file).absolute().relative_to(workspace).as_posix() if workspace else ""
    except ValueError:
        return ""
