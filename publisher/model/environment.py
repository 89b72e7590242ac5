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
    "SIGSTORE_ID_TOKEN",
    "COSIGN_PASSWORD",
    "COSIGN_PRIVATE_KEY",
)

_KEY: Final = "PRIVATE KEY-----"


def clean_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment for a child process: without secrets. A private key is one whatever its variable is called."""
    return {name: text for name, text in environ.items() if name not in SECRET_VARIABLES and _KEY not in text}
