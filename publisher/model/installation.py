"""How this copy of publish was installed, so that a hint can name the command that does it once more."""

from __future__ import annotations

import json
import shlex
import sys
from importlib import metadata
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

DISTRIBUTION: Final = "publish-images"
_UNKNOWN: Final = "install publish once more, from where it was installed"


def reinstall_hint(extra: str = "") -> str:
    """A command that installs this same copy again, with an extra; a sentence where nothing tells where it is from."""
    return install_command(_direct_url(), extra, Path(sys.prefix)) or _unknown(extra)


def installed_commit() -> tuple[str, str]:
    """The git repository's address and the commit that this copy was installed from; both empty for any other copy."""
    origin: dict[str, Any] = json.loads(_direct_url() or "{}")
    commit = str(origin.get("vcs_info", {}).get("commit_id", ""))
    return (str(origin["url"]), commit) if commit else ("", "")


def install_command(direct_url: str | None, extra: str, prefix: Path) -> str:
    """From the record that installers leave (PEP 610); "" without one.

    prefix: the environment, whose own files tell whether pipx or uv made it.
    """
    origin: dict[str, Any] = json.loads(direct_url or "{}")
    if not origin.get("url"):
        return ""
    words = [*_installer(prefix), *_requirement(origin, f"[{extra}]" if extra else "")]
    return shlex.join(words)


def _direct_url() -> str | None:
    try:
        return metadata.distribution(DISTRIBUTION).read_text("direct_url.json")
    except metadata.PackageNotFoundError:
        return None


def _unknown(extra: str) -> str:
    return f"{_UNKNOWN}, with its extra '{extra}'" if extra else _UNKNOWN


def _installer(prefix: Path) -> list[str]:
    if (prefix / "pipx_metadata.json").exists():
        return ["pipx", "install", "--force"]
    if (prefix / "uv-receipt.toml").exists():
        return ["uv", "tool", "install", "--force"]
    return [str(prefix / "bin" / "python"), "-m", "pip", "install", "--force-reinstall"]


def _requirement(origin: dict[str, Any], extra: str) -> list[str]:
    url = str(origin["url"])
    if origin.get("dir_info", {}).get("editable"):
        return ["--editable", f"{unquote(urlsplit(url).path)}{extra}"]
    if commit := origin.get("vcs_info", {}).get("commit_id"):
        url = f"{origin['vcs_info'].get('vcs', 'git')}+{url}@{commit}"
    fragments = [f"{name}={value}" for name, value in _fragments(origin)]
    return [f"{DISTRIBUTION}{extra} @ {url}{'#' if fragments else ''}{'&'.join(fragments)}"]


def _fragments(origin: dict[str, Any]) -> list[tuple[str, str]]:
    """What pip reads behind the address: an archive's hash, a folder within a repository."""
    hashes = origin.get("archive_info", {}).get("hashes", {})
    parts = [(name, value) for name, value in hashes.items() if name == "sha256"]
    return parts + ([("subdirectory", origin["subdirectory"])] if origin.get("subdirectory") else [])
