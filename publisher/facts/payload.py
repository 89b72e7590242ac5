"""The event's payload that GitHub leaves in a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from publisher.model.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping


class Payload:
    """A JSON document that is asked for texts by path; what isn't there, or isn't of that type, is empty."""

    def __init__(self, document: object = None) -> None:
        self._document = document

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Payload:
        """Read GITHUB_EVENT_PATH; a file that isn't there is an empty payload, one that is no JSON a ConfigError."""
        path = environ.get("GITHUB_EVENT_PATH", "")
        try:
            return cls(json.loads(Path(path).read_bytes())) if path else cls()
        except FileNotFoundError:
            return cls()
        except (OSError, ValueError, RecursionError) as error:
            raise ConfigError(
                f"the event's payload can't be read: {error}",
                reference=path,
                hint="GITHUB_EVENT_PATH names it; GitHub's runner writes it, nobody else should",
            ) from error

    def text(self, *path: str) -> str:
        """The text at `path`, a number as its digits."""
        found = self._document
        for key in path:
            found = found.get(key) if isinstance(found, dict) else None
        return str(found) if isinstance(found, str | int) and not isinstance(found, bool) else ""
