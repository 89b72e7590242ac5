"""publish itself, run as users run it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_FOREIGN = (
    "DOCKER_",
    "PUBLISH_",
    "DOCKERHUB_",
    "GITHUB_",
    "CI",
    "GITLAB_",
    "XDG_",
    "GIT_",
    "SOURCE_DATE_EPOCH",
    "COLUMNS",
)
_PROXIES = {"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"}


@dataclass(frozen=True)
class Result:
    """How a run ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def document(self) -> dict[str, Any]:
        """The JSON on stdout, which must be one document."""
        decoded = json.loads(self.stdout)
        assert isinstance(decoded, dict)
        return decoded


class Publish:
    """Runs `publish` in a home of its own; `environ` is added to each run."""

    def __init__(self, home: Path, environ: Mapping[str, str]) -> None:
        self.home = home
        self.program = str(Path(sys.executable).with_name("publish"))
        self.environ = {
            **{name: value for name, value in os.environ.items() if not _is_foreign(name)},
            "HOME": str(home),
            "DOCKER_CONFIG": str(home / "docker"),
            "XDG_STATE_HOME": str(home / "state"),
            "XDG_CACHE_HOME": str(home / "cache"),
            "XDG_CONFIG_HOME": str(home / "config"),
            "GIT_CONFIG_GLOBAL": os.devnull,
            **environ,
        }

    def __call__(
        self, *words: str, cwd: Path | None = None, stdin: str = "", environ: Mapping[str, str] | None = None
    ) -> Result:
        """Run one command."""
        done = subprocess.run(
            [self.program, *words],
            env={**self.environ, **(environ or {})},
            cwd=cwd or self.home,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    def git(self, *words: str, cwd: Path) -> str:
        """Run git without anybody's configuration."""
        who = {f"GIT_{role}_{part}": "test@localhost" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}
        done = subprocess.run(
            ["git", *words], env={**self.environ, **who}, cwd=cwd, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()


def _is_foreign(name: str) -> bool:
    return name.startswith(_FOREIGN) or name.upper() in _PROXIES
