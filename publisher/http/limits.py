"""How much is read and how long is waited for one answer."""

from __future__ import annotations

from typing import Final

ERROR_CAP: Final = 64 * 1024
"""Bytes of an error's or a token's body that are read."""
DOCUMENT_CAP: Final = 16 * 1024 * 1024
"""Bytes of any other body that is read whole."""

HEADER_CAP: Final = 64 * 1024
"""Bytes of an answer's header, interim answers before it included; and of the trailer after its last chunk."""
CHUNK_LINE_CAP: Final = 4 * 1024
"""Bytes of the line that says how large a chunk is."""
MOST_INTERIM: Final = 10
"""Answers of the kind 1xx before the answer."""
MOST_PAGES: Final = 10_000
"""Of one list."""
MOST_EMPTY_PAGES: Final = 3
"""In a row."""

CONNECT_SECONDS: Final = 10.0
"""For the connection, TLS included."""
IDLE_SECONDS: Final = 60.0
"""Between two bytes, sent or received."""
HEAD_SECONDS: Final = 120.0
"""From the end of a request to the end of the answer's header, however slowly it drips; also for a trailer."""
DOCUMENT_SECONDS: Final = 120.0
"""For a body that is read whole; a streamed one may take as long as bytes keep coming."""

CONNECTIONS: Final = 64
"""Kept open to one host."""
MOST_REDIRECTS: Final = 5
LONGEST_LOCATION: Final = 8 * 1024
"""Bytes of a Location."""
