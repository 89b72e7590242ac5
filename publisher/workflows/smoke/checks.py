"""The checks of a smoke run; each looks at the container once, and is asked again until it passes or can't any more."""

from __future__ import annotations

import re
import socket
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import urlsplit

import msgspec
import requests

from publisher.model.errors import ConfigError
from publisher.model.settings import HttpCheck
from publisher.model.value import Value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from publisher.engine.connection import Engine
    from publisher.engine.containers import Containers, ContainerState
    from publisher.engine.run_options import RunOptions
    from publisher.model.settings import SmokeSettings

_SECONDS: Final = 2.0
_BODY: Final = 1 << 20
_SAID: Final = 300
_LEAST: Final = 1.0
"""Seconds that a command inside always gets: what it says is worth more than that time was up."""


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """What one check found. final: it can't pass any more, so that nothing need be waited for."""

    name: str
    passed: bool
    detail: str = ""
    final: bool = False


class ContainerSnapshot(Value, frozen=True):
    """A container at one moment. host: where its ports are. seconds: what is left of the run's time."""

    containers: Containers
    container: str
    state: ContainerState
    host: str
    seconds: float


class Evaluate(Protocol):
    """One check."""

    def evaluate(self, snapshot: ContainerSnapshot) -> Check:
        """Look at the container as it is now."""


def checks_of(smoke: SmokeSettings, running: RunOptions) -> tuple[Evaluate, ...]:
    """All that `[smoke]` asks for; where it asks for nothing the container must end with 0. Raises ConfigError."""
    return tuple(_checks(smoke, running))


def _checks(smoke: SmokeSettings, running: RunOptions) -> Iterator[Evaluate]:
    https = (smoke.http,) if isinstance(smoke.http, HttpCheck) else smoke.http or ()
    tcps = (smoke.tcp,) if isinstance(smoke.tcp, str) else smoke.tcp or ()
    stays = bool(https or tcps or smoke.healthcheck or smoke.exec)
    for http in https:
        yield _Http(http, f"{http.port or _first_port(running)}/tcp")
    for port in tcps:
        yield _Tcp(f"{port}/tcp")
    if smoke.healthcheck:
        yield _Health()
    if smoke.output is not None:
        yield _Output(re.compile(smoke.output, re.MULTILINE))
    if smoke.exit_code is not None or not (stays or smoke.output is not None):
        yield _Exit(smoke.exit_code or 0)
    elif stays:
        yield _Stays()
    for command in smoke.exec:
        yield _Exec(command)
    for path in smoke.persist:
        yield _Left(path)


def host_of(engine: Engine) -> str:
    """Where the ports of containers are: on this machine, or on the engine's."""
    return urlsplit(engine.address).hostname or "127.0.0.1" if engine.address.startswith("tcp") else "127.0.0.1"


def _first_port(running: RunOptions) -> int:
    if not running.ports:
        raise ConfigError("[smoke] http needs a port", hint='write ports = ["80"], or http = { port = 80 }')
    return running.ports[0].number


def _shut(name: str, state: ContainerState, port: str) -> Check | None:
    """Why a port can't be asked, and never will be; None where it can."""
    if not state.running:
        return Check(name=name, passed=False, detail=_ended(state), final=True)
    if port not in state.ports:
        return Check(name=name, passed=False, detail=f"port {port} is not published; add it to ports", final=True)
    return None


class _Http(Value, frozen=True):
    wanted: HttpCheck
    port: str

    def evaluate(self, snapshot: ContainerSnapshot) -> Check:
        """Ask once; a connection that is refused may be taken later."""
        name = f"http {self.wanted.path}"
        if shut := _shut(name, snapshot.state, self.port):
            return shut
        try:
            with requests.Session() as session:
                session.trust_env = False
                url = f"http://{snapshot.host}:{snapshot.state.ports[self.port]}{self.wanted.path}"
                answer = session.get(url, timeout=_SECONDS, allow_redirects=False, stream=True)
                body = answer.raw.read(_BODY, decode_content=True).decode("utf-8", "replace")
        except (requests.RequestException, OSError) as error:
            return Check(name=name, passed=False, detail=type(error).__name__)
        if answer.status_code != self.wanted.status:
            return Check(name=name, passed=False, detail=f"status {answer.status_code}, not {self.wanted.status}")
        if self.wanted.contains is not None and self.wanted.contains not in body:
            return Check(name=name, passed=False, detail=f"the body doesn't contain '{self.wanted.contains}'")
        return Check(name=name, passed=True, detail=f"status {answer.status_code}")


class _Tcp(Value, frozen=True):
    port: str

    def evaluate(self, snapshot: ContainerSnapshot) -> Check:
        """Connect once."""
        name = f"tcp {self.port.removesuffix('/tcp')}"
        if shut := _shut(name, snapshot.state, self.port):
            return shut
        try:
            with socket.create_connection((snapshot.host, snapshot.state.ports[self.port]), _SECONDS) as connection:
                # The engine's own proxy takes every connection, and closes it where nobody listens behind.
                connection.settimeout(0.2)
                closed = connection.recv(1) == b""
        except TimeoutError:
            closed = False
        except OSError as error:
            return Check(name=name, passed=False, detail=type(error).__name__)
        return Check(name=name, passed=not closed, detail="closed at once" if closed else "")


class _Health(Value, frozen=True):
    def evaluate(self, snapshot: ContainerSnapshot) -> Check:
        """The image's own HEALTHCHECK."""
        found = snapshot.containers.health(snapshot.container, snapshot.state)
        if not found:
            return Check(name="healthcheck", passed=False, detail="the image has no HEALTHCHECK", final=True)
        final = found == "unhealthy" or not snapshot.state.running
        said = snapshot.state.probe.strip()[-_SAID:]
        detail = f"{found}: {said}" if said and found != "healthy" else found
        return Check(name="healthcheck", passed=found == "healthy", detail=detail, final=final)


class _Output(Value, frozen=True):
    pattern: re.Pattern[str]

    def evaluate(self, snapshot: ContainerSnapshot) -> Check:
        """What it printed so far."""
        found = self.pattern.search(snapshot.containers.logs(snapshot.container)) is not None
        detail = "" if found else f"nothing that it printed matches '{self.pattern.pattern}'"
        return Check(name="output", passed=found, detail=detail, final=not found and not snapshot.state.running)


class _Exit(Value, frozen=True):
    code: int

    def evaluate(self, snapshot: ContainerSnapshot) -> Check:
        """Whether it has ended, and how."""
        if snapshot.state.running:
            return Check(name="exit code", passed=False, detail="it is still running")
        return Check(
            name="exit code",
            passed=snapshot.state.exit_code == self.code,
            detail=f"{_ended(snapshot.state)}, wanted {self.code}",
            final=True,
        )


class _Stays(Value, frozen=True):
    def evaluate(self, snapshot: ContainerSnapshot) -> Check:
        """What is asked something has to go on running."""
        detail = "" if snapshot.state.running else _ended(snapshot.state)
        return Check(
            name="keeps running", passed=snapshot.state.running, detail=detail, final=not snapshot.state.running
        )


class _Exec(Value, frozen=True):
    command: tuple[str, ...]

    def evaluate(self, snapshot: ContainerSnapshot) -> Check:
        """A command inside has to end with 0."""
        name = f"exec {' '.join(self.command)}"
        if not snapshot.state.running:
            return Check(name=name, passed=False, detail=_ended(snapshot.state), final=True)
        ended = snapshot.containers.execute(snapshot.container, self.command, max(snapshot.seconds, _LEAST))
        if ended is None:
            return Check(name=name, passed=False, detail="it is still running")
        code, output = ended
        said = ": ".join(filter(None, (f"exit code {code}", output.strip()[-_SAID:])))
        return Check(name=name, passed=code == 0, detail="" if code == 0 else said)


class _Left(Value, frozen=True):
    path: str

    def evaluate(self, snapshot: ContainerSnapshot) -> Check:
        """A file that the first run has to leave."""
        there = snapshot.containers.read(snapshot.container, self.path) is not None
        detail = "" if there else "absent"
        return Check(
            name=f"persist {self.path}", passed=there, detail=detail, final=not there and not snapshot.state.running
        )


def _ended(state: ContainerState) -> str:
    killed = ", out of memory" if state.oom else ""
    return f"it ended with exit code {state.exit_code}{killed}"
