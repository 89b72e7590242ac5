"""Environment variables that several rooms read: which hold secrets, and where a user's files are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

SECRET_VARIABLES: Final = (
    "PUBLISH_PASSWORD",
    "DOCKERHUB_TOKEN",
    "DOCKER_AUTH_CONFIG",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
    "SIGSTORE_ID_TOKEN",
    "COSIGN_PASSWORD",
    "COSIGN_PRIVATE_KEY",
)

_KEY: Final = "PRIVATE KEY-----"


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
