"""Environment variables that several rooms read: which hold secrets, and where a user's files are."""

from __future__ import annotations

import os
import pwd
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


NOWHERE: Final = Path("/proc/none")
"""The folder of a user who has none: nothing is found in it, and nothing can be written."""


def home_folder(environ: Mapping[str, str]) -> Path:
    """$HOME, else what the system says; NOWHERE for a user whom the system doesn't know."""
    if home := environ.get("HOME"):
        return Path(home)
    try:
        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        return NOWHERE


def config_folder(environ: Mapping[str, str]) -> Path:
    """$XDG_CONFIG_HOME/publish."""
    return _folder(environ, "XDG_CONFIG_HOME", ".config")


def state_folder(environ: Mapping[str, str]) -> Path:
    """$XDG_STATE_HOME/publish; NOWHERE in a home that isn't ours to write, such as the / of a container's user."""
    folder = _folder(environ, "XDG_STATE_HOME", ".local/state")
    is_stated = _stated(environ, "XDG_STATE_HOME") is not None
    return folder if is_stated or _can_be_made(folder) else NOWHERE


def cache_folder(environ: Mapping[str, str]) -> Path:
    """$XDG_CACHE_HOME/publish: what may be deleted at any time."""
    return _folder(environ, "XDG_CACHE_HOME", ".cache")


def _folder(environ: Mapping[str, str], variable: str, within_home: str) -> Path:
    folder = _stated(environ, variable)
    return (Path(folder) if folder else home_folder(environ) / within_home) / "publish"


def _stated(environ: Mapping[str, str], variable: str) -> str | None:
    """What the variable says; the specification has relative paths ignored."""
    value = environ.get(variable, "")
    return value if value.startswith("/") else None


def _can_be_made(folder: Path) -> bool:
    """Whether it can be written, or made where nothing of it is there yet."""
    if folder.is_relative_to(NOWHERE):
        return False
    there = next((path for path in (folder, *folder.parents) if os.path.lexists(path)), Path("/"))
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)


def find_program(name: str, environ: Mapping[str, str]) -> str | None:
    """Where a program is: in the folders of PATH that are named from the root on.

    Others are below the working directory, which may be a checkout: what lies there is not the user's program (Go and
    docker refuse it too).
    """
    import shutil

    folders = [folder for folder in (environ.get("PATH") or os.defpath).split(os.pathsep) if Path(folder).is_absolute()]
    return shutil.which(name, path=os.pathsep.join(folders))
