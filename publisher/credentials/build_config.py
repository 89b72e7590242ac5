"""docker's configuration for one build: the logins that it needs, and no others.

It stands alone beside what reads and what changes docker's own file: this one is written for another program.
"""

from __future__ import annotations

import base64
import json
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from publisher.credentials.docker_config import config_file, key_of
from publisher.model.errors import BrokenCredential

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from publisher.model.credential import Credential

# How engines and builders are reached, and what they add to a build; logins and helpers are left out.
_KEPT: Final = ("currentContext", "proxies", "HttpHeaders", "cliPluginsExtraDirs", "plugins", "features")


@contextmanager
def build_config(environ: Mapping[str, str], credentials: Mapping[str, Credential]) -> Iterator[dict[str, str]]:
    """The variables that make buildx use it; the folder goes at the end. credentials: by registry."""
    own = config_file(environ)
    document = _kept(own)
    document["auths"] = {key_of(host): _entry(credential) for host, credential in credentials.items()}
    with tempfile.TemporaryDirectory(prefix="publish-docker-") as name:
        folder = Path(name)
        if (own.parent / "contexts").is_dir():
            (folder / "contexts").symlink_to((own.parent / "contexts").resolve())
        handle = os.open(folder / "config.json", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as file:
            json.dump(document, file)
        # The builders that the user has made are known by the folder beside docker's own configuration.
        builders = environ.get("BUILDX_CONFIG") or str(own.parent.absolute() / "buildx")
        yield {"DOCKER_CONFIG": str(folder), "BUILDX_CONFIG": builders}


def _kept(file: Path) -> dict[str, Any]:
    try:
        document = json.loads(file.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise BrokenCredential(f"{file} can't be read: {error}", reference=file) from error
    return {key: document[key] for key in _KEPT if key in document} if isinstance(document, dict) else {}


def _entry(credential: Credential) -> dict[str, str]:
    if credential.is_identity_token:
        return {"identitytoken": credential.secret}
    return {"auth": base64.b64encode(f"{credential.username}:{credential.secret}".encode()).decode()}
