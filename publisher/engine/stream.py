"""An engine's export as a stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

import urllib3

from publisher.model.errors import Unreachable

if TYPE_CHECKING:
    import requests


class ExportStream:
    """Reads an answer of the engine as a file; a break in the middle raises Unreachable."""

    def __init__(self, response: requests.Response) -> None:
        self._raw = response.raw
        self._pieces = self._raw.stream(1 << 20, decode_content=False)
        self._rest = memoryview(b"")

    def read(self, size: int, /) -> bytes:
        """The next bytes, at most `size`; empty at the end."""
        if not self._rest:
            try:
                self._rest = memoryview(next(self._pieces, b""))
            except (urllib3.exceptions.HTTPError, OSError) as error:
                raise Unreachable("the engine's export broke off", hint="is the engine's disk full?") from error
        given, self._rest = self._rest[:size], self._rest[size:]
        return bytes(given)
