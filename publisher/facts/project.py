"""What the project says about itself: its own metadata, and where its git repository comes from."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from publisher.model.facts import Project

if TYPE_CHECKING:
    from pathlib import Path

_LARGEST = 1 << 20


def read_project(directory: Path, remote: str) -> Project:
    """Read pyproject.toml or package.json beside the source; a file that can't be read says nothing.

    remote: a git URL; a user and a token in it are dropped.
    """
    page = web_page(remote)
    metadata = _pyproject(directory) or _package(directory)
    return Project(
        title=_text(metadata.get("name")) or page.rpartition("/")[2],
        description=_text(metadata.get("description")),
        url=page,
        source=page,
        licenses=_license(metadata.get("license")),
    )


def web_page(remote: str) -> str:
    """The page of a git URL, in any of git's forms; "" for a path on this machine."""
    if "://" not in remote:
        host, colon, path = remote.partition(":")
        # git's rule for user@host:path: no slash stands before the first colon.
        if not colon or "/" in host or not path:
            return ""
        remote = f"ssh://{host}/{path}"
    try:
        parts = urlsplit(remote)
        web = parts.scheme in {"http", "https"}
        port = f":{parts.port}" if web and parts.port else ""
    except ValueError:
        return ""
    if not parts.hostname or not (web or parts.scheme in {"ssh", "git", "git+ssh"}):
        return ""
    scheme = parts.scheme if web else "https"
    return f"{scheme}://{parts.hostname}{port}/{parts.path.strip('/').removesuffix('.git')}"


def _pyproject(directory: Path) -> dict[str, Any]:
    file = directory / "pyproject.toml"
    if not file.is_file():
        return {}
    import tomllib

    try:
        document = tomllib.loads(_read(file))
    except (OSError, ValueError):
        return {}
    return _table(document.get("project"))


def _package(directory: Path) -> dict[str, Any]:
    try:
        return _table(json.loads(_read(directory / "package.json")))
    except (OSError, ValueError, RecursionError):
        return {}


def _read(file: Path) -> str:
    with file.open("rb") as stream:
        return stream.read(_LARGEST).decode()


def _table(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""


def _license(value: object) -> str:
    """An SPDX expression; the older table form names it under `text` (PEP 621) or `type` (npm)."""
    expression = _text(value) or _text(_table(value).get("text")) or _text(_table(value).get("type"))
    return "" if "\n" in expression else expression
