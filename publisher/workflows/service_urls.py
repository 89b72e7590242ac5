"""Where Docker Hub's API and a sandbox are, as variables name them: no secret goes anywhere else.

It stands alone, since the session is long enough without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from publisher.http.origin import is_loopback
from publisher.model.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping


def hub_base(environ: Mapping[str, str], sandbox: str | None) -> str:
    """Where Docker Hub's API is: a secret goes there, so that nothing else than it, or this machine, can be named."""
    url = environ.get("PUBLISH_HUB_URL", "")
    if sandbox or not url:
        return sandbox or "https://hub.docker.com"
    parts = urlsplit(url)
    is_hub = parts.scheme == "https" and parts.netloc == "hub.docker.com"
    is_near = parts.scheme in {"http", "https"} and is_loopback(parts.hostname or "")
    if not (is_hub or is_near) or parts.username or parts.query:
        hint = "it must be https://hub.docker.com, or an address of this machine"
        raise ConfigError(f"PUBLISH_HUB_URL is '{url}', which is not Docker Hub's", hint=hint)
    return url.rstrip("/")


def sandbox_url(url: str) -> str | None:
    """PUBLISH_SANDBOX, checked: rehearsals stay on this machine."""
    if not url:
        return None
    parts = urlsplit(url)
    if parts.scheme != "http" or not is_loopback(parts.hostname or "") or not parts.port or parts.path not in {"", "/"}:
        raise ConfigError(
            f"PUBLISH_SANDBOX is '{url}', which is not a loopback address",
            hint="it must look like http://127.0.0.1:PORT, as 'publish sandbox serve' prints it",
        )
    return f"http://{parts.netloc}"
