"""The names of a local engine's images, asked for as quickly as a Tab wants them.

It stands alone since the rest of the engine's room imports docker-py, which takes longer than that.
"""

from __future__ import annotations

import json
import socket
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, Final

from publisher.engine.address import Address
from publisher.model.errors import PublishError

if TYPE_CHECKING:
    from collections.abc import Mapping

_SECONDS: Final = 1.0
_LARGEST: Final = 64 << 20
_SCHEME: Final = "unix://"


def image_names(environ: Mapping[str, str]) -> list[str]:
    """Sorted; none of an engine elsewhere, of one that doesn't answer within a second, and of what it doesn't name."""
    with suppress(PublishError, OSError, HTTPException, ValueError, TypeError, AttributeError):
        url = Address.find(environ).url
        if url.startswith(_SCHEME):
            names = (name for image in _listed(url.removeprefix(_SCHEME)) for name in image.get("RepoTags") or ())
            return sorted(name for name in names if not name.startswith("<none>"))
    return []


def _listed(path: str) -> list[dict[str, list[str] | None]]:
    with closing(_LocalConnection("localhost", timeout=_SECONDS)) as connection:
        connection.path = path
        connection.request("GET", "/images/json")
        with connection.getresponse() as response:
            images: list[dict[str, list[str] | None]] = json.loads(response.read(_LARGEST))
    return images


class _LocalConnection(HTTPConnection):
    """To the socket at `path`: docker-py takes longer to import than a Tab may."""

    path: str

    def connect(self) -> None:
        """Open the socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_SECONDS)
        self.sock.connect(self.path)
