"""Containers of ours: made, looked at, and taken away with all that came with them."""

from __future__ import annotations

import io
import tarfile
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal

from docker.errors import APIError, NotFound
from docker.types import Mount

from publisher.engine.refusal import spoken
from publisher.engine.running import LABEL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import docker

    from publisher.engine.running import Running

_LOG_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class ContainerState:
    """Where a container is. health: "" where the image has no HEALTHCHECK. error: why it could not start."""

    running: bool
    exit_code: int
    oom: bool
    health: str
    error: str
    ports: dict[str, int]


class Containers:
    """The containers of one engine."""

    def __init__(self, api: docker.APIClient) -> None:
        self._api: Any = api

    def create(self, running: Running, name: str) -> str:
        """Make a container, not started yet; returns its id."""
        labels, said = {LABEL: running.run}, running.settings
        with spoken(running.image):
            for volume in running.named:
                self._api.create_volume(volume, labels=labels)
            made = self._api.create_container(
                running.image,
                command=list(said.command) if said.command is not None else None,
                entrypoint=list(said.entrypoint) if said.entrypoint is not None else None,
                environment=dict(running.env),
                ports=[(port.number, port.protocol) for port in running.ports],
                user=said.user,
                working_dir=said.workdir,
                labels=labels,
                name=name,
                host_config=self._host(running),
            )
        return str(made["Id"])

    def _host(self, running: Running) -> Any:
        said = running.settings
        bindings = {str(port): ("127.0.0.1", port.host or None) for port in running.ports}
        return self._api.create_host_config(
            port_bindings=bindings,
            mounts=[_mount(running, at) for at in range(len(running.volumes))],
            network_mode=said.network,
            mem_limit=said.memory,
            nano_cpus=int(said.cpus * 1e9) if said.cpus else None,
            read_only=said.read_only,
        )

    def start(self, container: str) -> str:
        """Start it; returns why it could not, "" where it did."""
        try:
            self._api.start(container)
        except APIError as error:
            return str(error.explanation or error)
        return ""

    def state(self, container: str) -> ContainerState:
        """Look at it."""
        with spoken(container):
            found = self._api.inspect_container(container)
        state = found["State"]
        ports = (found.get("NetworkSettings") or {}).get("Ports") or {}
        return ContainerState(
            running=bool(state.get("Running")),
            exit_code=int(state.get("ExitCode") or 0),
            oom=bool(state.get("OOMKilled")),
            health=str((state.get("Health") or {}).get("Status") or ""),
            error=str(state.get("Error") or ""),
            ports={name: int(where[0]["HostPort"]) for name, where in ports.items() if where},
        )

    def logs(self, container: str) -> str:
        """What it has printed, the last megabyte of it."""
        with spoken(container):
            found: bytes = self._api.logs(container, tail=5000)
        return found[-_LOG_BYTES:].decode("utf-8", "replace")

    def follow(self, container: str) -> Iterator[bytes]:
        """What it prints, as it comes."""
        with spoken(container):
            yield from self._api.logs(container, stream=True, follow=True)

    def execute(self, container: str, command: Sequence[str]) -> tuple[int, str]:
        """Run a command inside; its exit code and output."""
        with spoken(container):
            made = self._api.exec_create(container, list(command))
            output: bytes = self._api.exec_start(made["Id"])
            code = self._api.exec_inspect(made["Id"])["ExitCode"]
        return int(code or 0), output[-_LOG_BYTES:].decode("utf-8", "replace")

    def read(self, container: str, path: str) -> bytes | None:
        """A file's content, at most a megabyte; None if it isn't there."""
        with spoken(container):
            try:
                stream, _about = self._api.get_archive(container, path)
            except NotFound:
                return None
            packed = io.BytesIO(b"".join(stream))
        with tarfile.open(fileobj=packed) as tar:
            member = next(iter(tar), None)
            file = tar.extractfile(member) if member and member.isfile() else None
            return file.read(_LOG_BYTES) if file else b""

    def make_network(self, name: str, run: str) -> bool:
        """Make a network if there is none of that name; whether it was made."""
        with spoken(name):
            if name in {"none", "host", "bridge", "default"} or self._api.networks(names=[name]):
                return False
            self._api.create_network(name, labels={LABEL: run})
        return True

    def clean(self, run: str | None = None) -> dict[str, list[str]]:
        """Take away every container, volume and network with our label (of one run); their names, by kind."""
        found = self._labelled(run)
        for container in found["containers"]:
            self.remove(container)
        for volume in found["volumes"]:
            self._quietly(partial(self._api.remove_volume, volume, force=True))
        for network in found["networks"]:
            self._quietly(partial(self._api.remove_network, network))
        return {kind: list(named.values()) for kind, named in found.items()}

    def found(self) -> dict[str, list[str]]:
        """The names of what carries our label, by kind."""
        return {kind: list(named.values()) for kind, named in self._labelled(None).items()}

    def _labelled(self, run: str | None) -> dict[str, dict[str, str]]:
        """What carries our label (of one run): names by id, by kind."""
        chosen = {"label": f"{LABEL}={run}" if run else LABEL}
        with spoken("containers of publish"):
            containers = self._api.containers(all=True, filters=chosen)
            volumes = self._api.volumes(filters=chosen).get("Volumes") or ()
            networks = self._api.networks(filters=chosen)
        return {
            "containers": {one["Id"]: str(one["Names"][0]).lstrip("/") for one in containers},
            "volumes": {one["Name"]: str(one["Name"]) for one in volumes},
            "networks": {one["Id"]: str(one["Name"]) for one in networks},
        }

    def remove(self, container: str) -> None:
        """Take a container away, running or not, with its anonymous volumes."""
        self._quietly(partial(self._api.remove_container, container, v=True, force=True))

    def _quietly(self, work: Callable[[], object]) -> None:
        """What is gone already is gone."""
        with spoken("containers of publish"), suppress(NotFound):
            work()


def _mount(running: Running, at: int) -> Mount:
    volume = running.volumes[at]
    source = volume.source if volume.is_bind or not volume.source else running.volume_name(volume)
    kind: Literal["bind", "volume"] = "bind" if volume.is_bind else "volume"
    labels = None if volume.is_bind or volume.source else {LABEL: running.run}
    return Mount(volume.target, source or None, type=kind, read_only=volume.read_only, labels=labels)
