"""An installed syft or trivy, which makes an SBOM of what was pushed.

It stands alone: the only program that signing starts, with the only secret that it hands on.
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Final

from publisher.model.environment import clean_environment, find_program
from publisher.model.errors import ConfigError

if TYPE_CHECKING:
    from publisher.model.reference import Repository
    from publisher.workflows.session import Session

_LONGEST: Final = 900.0
_SHOWN: Final = 300


def make_sbom(session: Session, maker: str, repository: Repository, name: str) -> bytes:
    """The SBOM in SPDX's JSON; raises ConfigError where the program can't make it. name: the image, by its digest."""
    words = {
        "syft": ("scan", f"registry:{name}", "-q", "-o", "spdx-json"),
        "trivy": ("image", "--quiet", "--image-src", "remote", "--format", "spdx-json", name),
    }[maker]
    program, environ = find_program(maker, session.environ) or maker, _environment(session, maker, repository)
    try:
        result = subprocess.run(  # noqa: S603 - words without a shell; the image is named by its digest
            (program, *words), capture_output=True, env=environ, timeout=_LONGEST, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigError(f"{maker} could not make the SBOM: {error}", reference=name) from error
    if result.returncode:
        text = session.redact(" ".join(result.stderr.decode("utf-8", "replace").split()))[-_SHOWN:]
        raise ConfigError(f"{maker} could not make the SBOM: {text}", reference=name)
    return result.stdout


def _environment(session: Session, maker: str, repository: Repository) -> dict[str, str]:
    """This one's, without its secrets, and with what the program may read this registry with."""
    environ = clean_environment(session.environ)
    host = session.remote(repository).endpoint.host
    credential = session.engine_credential(repository)
    plain = session.client.base_url(host).startswith("http://")
    if maker == "syft":
        environ["SYFT_CHECK_FOR_APP_UPDATE"] = "false"
        if plain:
            environ["SYFT_REGISTRY_INSECURE_USE_HTTP"] = "true"
    elif plain:
        environ["TRIVY_INSECURE"], environ["TRIVY_NON_SSL"] = "true", "true"
    if credential:
        prefix = "SYFT_REGISTRY_AUTH" if maker == "syft" else "TRIVY"
        environ |= {f"{prefix}_USERNAME": credential.username, f"{prefix}_PASSWORD": credential.secret}
        if maker == "syft":
            environ["SYFT_REGISTRY_AUTH_AUTHORITY"] = "index.docker.io" if repository.on_hub else host
    return environ
