"""Environment variables that several rooms read: which hold secrets, and where a user's files are."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

SECRET_VARIABLES: Final = (
    "PUBLISH_PASSWORD",
    "PUBLISH_CREDENTIALS",
    "DOCKERHUB_TOKEN",
    "DOCKER_AUTH_CONFIG",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
    "SIGSTORE_ID_TOKEN",
    "COSIGN_PASSWORD",
    "COSIGN_PRIVATE_KEY",
)

_KEY: Final = "PRIVATE KEY-----"


def secrets_in(environ: Mapping[str, str]) -> list[str]:
    """The secrets as they may come up elsewhere: of PUBLISH_CREDENTIALS what stands behind host and user too."""
    values = [environ.get(name, "") for name in SECRET_VARIABLES]
    lines = environ.get("PUBLISH_CREDENTIALS", "").splitlines()
    return [*filter(None, values), *(part[2] for line in lines if len(part := split_credential(line)) == 3)]  # noqa: PLR2004 - host, user, secret


def split_credential(line: str) -> list[str]:
    """A line of PUBLISH_CREDENTIALS: HOST USERNAME SECRET, split at the first two blanks."""
    return re.split(r"[ \t]", line.lstrip(), maxsplit=2)


def clean_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment for a child process: without secrets. A private key is one whatever its variable is called."""
    return {name: value for name, value in environ.items() if name not in SECRET_VARIABLES and _KEY not in value}


def home_folder(environ: Mapping[str, str]) -> Path:
    """$HOME, else what the system says."""
    return Path(environ.get("HOME") or Path.home())


def config_folder(environ: Mapping[str, str]) -> Path:
    """$XDG_CONFIG_HOME/publish."""
    return Path(environ.get("XDG_CONFIG_HOME") or home_folder(environ) / ".config") / "publish"


def state_folder(environ: Mapping[str, str]) -> Path:
    """$XDG_STATE_HOME/publish."""
    return Path(environ.get("XDG_STATE_HOME") or home_folder(environ) / ".local" / "state") / "publish"


def cache_folder(environ: Mapping[str, str]) -> Path:
    """$XDG_CACHE_HOME/publish: what may be deleted at any time."""
    return Path(environ.get("XDG_CACHE_HOME") or home_folder(environ) / ".cache") / "publish"


def find_program(name: str, environ: Mapping[str, str]) -> str | None:
    """Where a program is: in the folders of PATH that are named from the root on.

    Others are below the working directory, which may be a checkout: what lies there is not the user's program (Go and
    docker refuse it too).
    """
    import shutil

    folders = [folder for folder in (environ.get("PATH") or os.defpath).split(os.pathsep) if Path(folder).is_absolute()]
    return shutil.which(name, path=os.pathsep.join(folders))
