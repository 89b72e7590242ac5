"""Fixtures: each server, started once, and a client for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.contracts.client import Client
from tests.contracts.servers import FEATURES, Server, run_server

if TYPE_CHECKING:
    from collections.abc import Iterator


# Today's registry is set up with today's engines.
SERVERS = [pytest.param(kind, marks=pytest.mark.engine if kind == "distribution-today" else ()) for kind in FEATURES]


@pytest.fixture(scope="session", params=SERVERS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Each of the servers."""
    with run_server(request.param, tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    """A client of the server."""
    with Client(server.url) as connected:
        yield connected
