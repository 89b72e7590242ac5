"""Containers of ours: made, looked at, and taken away with all that came with them."""

from __future__ import annotations

import io
import resource
import tarfile
import time
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal

from docker.errors import APIError, NotFound
from docker.types import Mount, Ulimit

from publisher.engine.errors import spoken
from publisher.engine.run_options import LABEL
from publisher.model.errors import ConfigError, PublishError
from publisher.model.value import Value
from publisher.threads import run_to_end, run_within

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from publisher.engine.connection import Engine
    from publisher.engine.run_options import Running


_ROUNDS: Final = 20
_PAUSE: Final = 0.25
_WHAT: Final = "what runs of publish have left"


class Leftovers:
    """Containers, volumes, networks and images with our label: of one run, or of all."""

    def __init__(self, engine: Engine, run: str | None = None) -> None:
        self._api: Any = engine.api
        self._engine = engine
        self._label = f"{LABEL}={run}" if run else LABEL

    def found(self) -> dict[str, list[str]]:
        """Their names, by kind."""
        return {kind: list(named.values()) for kind, named in self._labelled().items()}

    def clean(self) -> dict[str, list[str]]:
        """Take them away, and nothing else; their names, by kind. An interrupt waits for the end of it."""
        return run_to_end(self._clean)

    def _clean(self) -> dict[str, list[str]]:
        """Again where something is still there: an engine may be busy with what it is asked to remove."""
        first = found = self._labelled()
        for again in range(_ROUNDS):
            problem = self._remove(found)
            found = self._labelled()
            if not any(found.values()):
                break
            if again == _ROUNDS - 1 and problem:
                raise problem
            time.sleep(_PAUSE)
        return {kind: list(named.values()) for kind, named in first.items()}

    def _remove(self, found: dict[str, dict[str, str]]) -> PublishError | None:
        """One round; the first thing that could not be removed doesn't keep the others."""
        works: list[Callable[[], object]] = []
        works += [partial(_remove_container, self._engine, one) for one in found["containers"]]
        works += [partial(self._api.remove_volume, one, force=True) for one in found["volumes"]]
        works += [partial(self._api.remove_network, one) for one in found["networks"]]
        works += [partial(self._api.remove_image, one, force=True) for one in found["images"]]
        problem: PublishError | None = None
        for work in works:
            try:
                with spoken(_WHAT), suppress(NotFound):
                    work()
            except PublishError as error:
                problem = problem or error
        return problem

    def _labelled(self) -> dict[str, dict[str, str]]:
        """Names by id, by kind."""
        chosen = {"label": self._label}
        with spoken(_WHAT):
            containers = self._api.containers(all=True, filters=chosen)
            volumes = self._api.volumes(filters=chosen).get("Volumes") or ()
            networks = self._api.networks(filters=chosen)
            images = self._api.images(filters=chosen)
        return {
            "containers": {one["Id"]: str(one["Names"][0]).lstrip("/") for one in containers},
            "volumes": {one["Name"]: str(one["Name"]) for one in volumes},
            "networks": {one["Id"]: str(one["Name"]) for one in networks},
            "images": {one["Id"]: str((one.get("RepoTags") or [one["Id"]])[0]) for one in images},
        }


def _remove_container(engine: Engine, container: str) -> None:
    """Running or not, with its anonymous volumes. podman's own removal waits 10 seconds for one to heed SIGTERM."""
    if engine.is_podman:
        with suppress(APIError):  # it isn't running
            engine.api.kill(container)
    engine.api.remove_container(container, v=True, force=True)


_LOG_BYTES: Final = 1 << 20
_MOMENT: Final = 0.5
_BAD_REQUEST: Final = 400
_PODMAN_FILES: Final = 1_048_576
_KERNEL_PROCESSES: Final = 32_768
_BUILT_IN: Final = frozenset({"none", "host", "bridge", "default"})


class ContainerState(Value, frozen=True):
    """Where a container is. health: "" where the image has no HEALTHCHECK. probe: what that printed last."""

    running: bool
    exit_code: int
    oom: bool
    health: str
    probe: str
    ports: dict[str, int]


class Containers:
    """The containers of one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._api: Any = engine.api

    def create(self, running: Running) -> str:
        """Make the run's container, not started yet, and its named volumes; returns its id."""
        return run_to_end(partial(self._create, running))

    def _create(self, running: Running) -> str:
        self._make_volumes(running)
        labels, said = {LABEL: running.run}, running.settings
        with spoken(running.image), _as_configured():
            made = self._api.create_container(
                running.image,
                command=list(said.command) if said.command is not None else None,
                entrypoint=list(said.entrypoint) if said.entrypoint is not None else None,
                environment=dict(running.env),
                ports=[(port.number, port.protocol) for port in running.ports],
                user=said.user,
                working_dir=said.workdir,
                labels=labels,
                name=running.run,
                host_config=self._host(running),
            )
        return str(made["Id"])

    def make_volumes(self, running: Running) -> None:
        """Make the named volumes alone, with our label."""
        run_to_end(partial(self._make_volumes, running))

    def _make_volumes(self, running: Running) -> None:
        with spoken(running.image):
            held = {volume["Name"] for volume in self._api.volumes().get("Volumes") or ()} if running.named else ()
            for volume in running.named:
                # podman answers with an error where docker gives what is there.
                if volume not in held:
                    self._api.create_volume(volume, labels={LABEL: running.run})

    def _host(self, running: Running) -> Any:
        said = running.settings
        bindings = {str(port): ("127.0.0.1", port.host or None) for port in running.ports}
        return self._api.create_host_config(
            port_bindings=bindings,
            mounts=[_mount(running, at) for at in range(len(running.volumes))],
            network_mode=running.network,
            mem_limit=said.memory,
            nano_cpus=int(said.cpus * 1e9) if said.cpus else None,
            read_only=said.read_only,
            ulimits=_own_limits() if self._engine.is_podman and self._engine.is_near else None,
        )

    def start(self, container: str) -> str:
        """Start it; returns why it could not, "" where it did."""

        def begin() -> str:
            try:
                self._api.start(container)
            except APIError as error:
                return str(error.explanation or error)
            return ""

        with spoken(container):
            return run_to_end(begin)

    def state(self, container: str) -> ContainerState:
        """Look at it."""
        with spoken(container):
            found = self._api.inspect_container(container)
        state = found["State"]
        health = state.get("Health") or {}
        probes = health.get("Log") or ()
        ports = (found.get("NetworkSettings") or {}).get("Ports") or {}
        return ContainerState(
            running=bool(state.get("Running")),
            exit_code=int(state.get("ExitCode") or 0),
            oom=bool(state.get("OOMKilled")),
            health=str(health.get("Status") or ""),
            probe=str(probes[-1].get("Output") or "") if probes else "",
            ports={name: int(where[0]["HostPort"]) for name, where in ports.items() if where},
        )

    def health(self, container: str, state: ContainerState) -> str:
        """What its HEALTHCHECK says: starting, healthy or unhealthy; "" where it has none."""
        if state.health and state.running and self._engine.is_podman:
            return "healthy" if self._engine.podman_health(container) else "starting"
        return state.health

    def logs(self, container: str) -> str:
        """What it has printed, the last megabyte of it."""
        with spoken(container):
            found: bytes = self._api.logs(container, tail=5000)
        return found[-_LOG_BYTES:].decode("utf-8", "replace")

    def follow(self, container: str) -> Iterator[bytes]:
        """What it prints, as it comes."""
        with spoken(container):
            yield from self._api.logs(container, stream=True, follow=True)

    def execute(self, container: str, command: Sequence[str], seconds: float) -> tuple[int, str] | None:
        """Run a command inside; its exit code and output, None where it hasn't ended within that time."""
        return run_within(partial(self._execute, container, command), seconds)

    def _execute(self, container: str, command: Sequence[str]) -> tuple[int, str]:
        with spoken(container):
            made = self._api.exec_create(container, list(command))
            output: bytes = self._api.exec_start(made["Id"])
            code = self._api.exec_inspect(made["Id"])["ExitCode"]
        return int(code or 0), output[-_LOG_BYTES:].decode("utf-8", "replace")

    def read(self, container: str, path: str) -> bytes | None:
        """A file's content, at most a megabyte; None if it isn't there."""
        with spoken(container):
            try:
                stream, _about = self._archive(container, path)
            except NotFound:
                return None
            packed = io.BytesIO(b"".join(stream))
        with tarfile.open(fileobj=packed) as tar:
            member = next(iter(tar), None)
            file = tar.extractfile(member) if member and member.isfile() else None
            return file.read(_LOG_BYTES) if file else b""

    def _archive(self, container: str, path: str) -> Any:
        """Once more where it fails: podman looks into a running container, which may end just then."""
        try:
            return self._api.get_archive(container, path)
        except NotFound:
            raise
        except APIError:
            time.sleep(_MOMENT)
            return self._api.get_archive(container, path)

    def network(self, running: Running) -> str | None:
        """The network that the run joins: one that is there, else one of its own, made with our label."""
        name = running.settings.network
        if name is None or name in _BUILT_IN or name.startswith("container:"):
            return name
        with spoken(name):
            if any(name in {network["Name"], network["Id"]} for network in self._api.networks()):
                return name
            own = f"{running.run}-{name}"
            run_to_end(partial(self._api.create_network, own, labels={LABEL: running.run}))
        return own

    def remove(self, container: str) -> None:
        """Take a container away, running or not, with its anonymous volumes."""
        with spoken(container), suppress(NotFound):
            run_to_end(partial(_remove_container, self._engine, container))


@contextmanager
def _as_configured() -> Iterator[None]:
    """What the engine calls a bad request is what `[smoke]` says."""
    try:
        yield
    except APIError as error:
        if error.status_code != _BAD_REQUEST:
            raise
        hint = "[smoke] in publish.toml says how it is run"
        raise ConfigError(f"the engine can't run the image so: {error.explanation}", hint=hint) from error


def _own_limits() -> list[Ulimit]:
    """Limits for podman, which gives containers ones that it may not set where its own are lower: nothing starts then.

    Its own are not told; they are this user's, as ours are, and its processes no more than the kernel's default.
    """
    hard = {
        "nofile": resource.getrlimit(resource.RLIMIT_NOFILE)[1],
        "nproc": min(resource.getrlimit(resource.RLIMIT_NPROC)[1], _KERNEL_PROCESSES),
    }
    if hard["nofile"] == resource.RLIM_INFINITY or hard["nofile"] >= _PODMAN_FILES:
        return []
    return [Ulimit(name=name, soft=most, hard=most) for name, most in hard.items()]


def _mount(running: Running, at: int) -> Mount:
    volume = running.volumes[at]
    source = volume.source if volume.is_bind or not volume.source else running.volume_name(volume)
    kind: Literal["bind", "volume"] = "bind" if volume.is_bind else "volume"
    labels = None if volume.is_bind or volume.source else {LABEL: running.run}
    return Mount(volume.target, source or None, type=kind, read_only=volume.read_only, labels=labels)
