"""Environment variables that hold secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

SECRET_VARIABLES: Final = (
    "PUBLISH_PASSWORD",
    "DOCKERHUB_TOKEN",
    "DOCKER_AUTH_CONFIG",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
)


def clean_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment for a child process: without secrets."""
    return {name: value for name, value in environ.items() if name not in SECRET_VARIABLES}
