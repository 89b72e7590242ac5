"""A connection that can be hung up."""

from __future__ import annotations

import struct
from socket import SO_LINGER, SOL_SOCKET
from typing import TYPE_CHECKING

from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    import asyncio

    from starlette.requests import Request


class Connection(H11Protocol):
    """HTTP/1.1 that hands its transport to the application: uvicorn itself knows no way to end without an answer."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """Keep the transport where each request's scope has it."""
        self.app_state = {**self.app_state, "transport": transport}
        super().connection_made(transport)


async def hang_up(request: Request) -> None:
    """Reset the connection, and wait until uvicorn knows: then it asks for no answer any more."""
    transport: asyncio.Transport = request.scope["state"]["transport"]
    transport.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
    while (await request.receive())["type"] != "http.disconnect":
        pass
