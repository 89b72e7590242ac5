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

from publisher.engine.errors import translated_errors
from publisher.engine.run_options import LABEL
from publisher.model.errors import ConfigError, PublishError
from publisher.model.value import Value
from publisher.threads import run_to_end, run_within

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from publisher.engine.connection import Engine
    from publisher.engine.run_options import RunOptions


_ROUNDS: Final = 20
_PAUSE: Final = 0.25
_WHAT: Final = "what runs of publish have left"


class Leftovers:
    """Containers, volumes, networks and images with our label: of one run, or of all."""

    def __init__(self, engine: Engine, run: str | None = None) -> None:
        self._api: Any = engine.api
        self._engine = engine
        self._label = f"{LABEL}={run}" if run else LABEL

    def names(self) -> dict[str, list[str]]:
        """Their names, by kind."""
        return {kind: list(names_by_id.values()) for kind, names_by_id in self._names_by_id().items()}

    def clean(self) -> dict[str, list[str]]:
        """Take them away, and nothing else; their names, by kind. An interrupt waits for the end of it."""
        return run_to_end(self._clean)

    def _clean(self) -> dict[str, list[str]]:
        """Again where something is still there: an engine may be busy with what it is asked to remove."""
        first = remaining = self._names_by_id()
        for again in range(_ROUNDS):
            problem = self._remove(remaining)
            remaining = self._names_by_id()
            if not any(remaining.values()):
                break
            if again == _ROUNDS - 1 and problem:
                raise problem
            time.sleep(_PAUSE)
        return {kind: list(names_by_id.values()) for kind, names_by_id in first.items()}

    def _remove(self, leftovers: dict[str, dict[str, str]]) -> PublishError | None:
        """One round; the first thing that could not be removed doesn't keep the others."""
        removals: list[Callable[[], object]] = []
        removals += [partial(_remove_container, self._engine, key) for key in leftovers["containers"]]
        removals += [partial(self._api.remove_volume, key, force=True) for key in leftovers["volumes"]]
        removals += [partial(self._api.remove_network, key) for key in leftovers["networks"]]
        removals += [partial(self._api.remove_image, key, force=True) for key in leftovers["images"]]
        problem: PublishError | None = None
        for remove in removals:
            try:
                with translated_errors(_WHAT), suppress(NotFound):
                    remove()
            except PublishError as error:
                problem = problem or error
        return problem

    def _names_by_id(self) -> dict[str, dict[str, str]]:
        """Names by id, by kind."""
        filters = {"label": self._label}
        with translated_errors(_WHAT):
            containers = self._api.containers(all=True, filters=filters)
            volumes = self._api.volumes(filters=filters).get("Volumes") or ()
            networks = self._api.networks(filters=filters)
            images = self._api.images(filters=filters)
        return {
            "containers": {entry["Id"]: str(entry["Names"][0]).lstrip("/") for entry in containers},
            "volumes": {entry["Name"]: str(entry["Name"]) for entry in volumes},
            "networks": {entry["Id"]: str(entry["Name"]) for entry in networks},
            "images": {entry["Id"]: str((entry.get("RepoTags") or [entry["Id"]])[0]) for entry in images},
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

    def create(self, options: RunOptions) -> str:
        """Make the run's container, not started yet, and its named volumes; returns its id."""
        return run_to_end(partial(self._create, options))

    def _create(self, options: RunOptions) -> str:
        self._make_volumes(options)
        labels, settings = {LABEL: options.run}, options.settings
        with translated_errors(options.image), _as_configured():
            container = self._api.create_container(
                options.image,
                command=list(settings.command) if settings.command is not None else None,
                entrypoint=list(settings.entrypoint) if settings.entrypoint is not None else None,
                environment=dict(options.env),
                ports=[(port.number, port.protocol) for port in options.ports],
                user=settings.user,
                working_dir=settings.workdir,
                labels=labels,
                name=options.run,
                host_config=self._host(options),
            )
        return str(container["Id"])

    def make_volumes(self, options: RunOptions) -> None:
        """Make the named volumes alone, with our label."""
        run_to_end(partial(self._make_volumes, options))

    def _make_volumes(self, options: RunOptions) -> None:
        with translated_errors(options.image):
            existing = (
                {volume["Name"] for volume in self._api.volumes().get("Volumes") or ()} if options.named_volumes else ()
            )
            for volume in options.named_volumes:
                # podman answers with an error where docker gives what is there.
                if volume not in existing:
                    self._api.create_volume(volume, labels={LABEL: options.run})

    def _host(self, options: RunOptions) -> Any:
        settings = options.settings
        bindings = {str(port): ("127.0.0.1", port.host or None) for port in options.ports}
        return self._api.create_host_config(
            port_bindings=bindings,
            mounts=[_mount(options, index) for index in range(len(options.volumes))],
            network_mode=options.network,
            mem_limit=settings.memory,
            nano_cpus=int(settings.cpus * 1e9) if settings.cpus else None,
            read_only=settings.read_only,
            ulimits=_own_limits() if self._engine.is_podman and self._engine.is_near else None,
        )

    def start(self, container: str) -> str:
        """Start it; returns why it could not, "" where it did."""

        def start() -> str:
            try:
                self._api.start(container)
            except APIError as error:
                return str(error.explanation or error)
            return ""

        with translated_errors(container):
            return run_to_end(start)

    def state(self, container: str) -> ContainerState:
        """Look at it."""
        with translated_errors(container):
            document = self._api.inspect_container(container)
        state = document["State"]
        health = state.get("Health") or {}
        probes = health.get("Log") or ()
        ports = (document.get("NetworkSettings") or {}).get("Ports") or {}
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
        with translated_errors(container):
            output: bytes = self._api.logs(container, tail=5000)
        return output[-_LOG_BYTES:].decode("utf-8", "replace")

    def follow(self, container: str) -> Iterator[bytes]:
        """What it prints, as it comes."""
        with translated_errors(container):
            yield from self._api.logs(container, stream=True, follow=True)

    def execute(self, container: str, command: Sequence[str], seconds: float) -> tuple[int, str] | None:
        """Run a command inside; its exit code and output, None where it hasn't ended within that time."""
        return run_within(partial(self._execute, container, command), seconds)

    def _execute(self, container: str, command: Sequence[str]) -> tuple[int, str]:
        with translated_errors(container):
            execution = self._api.exec_create(container, list(command))
            output: bytes = self._api.exec_start(execution["Id"])
            code = self._api.exec_inspect(execution["Id"])["ExitCode"]
        return int(code or 0), output[-_LOG_BYTES:].decode("utf-8", "replace")

    def read(self, container: str, path: str) -> bytes | None:
        """A file's content, at most a megabyte; None if it isn't there."""
        with translated_errors(container):
            try:
                stream, _about = self._archive(container, path)
            except NotFound:
                return None
            archive = io.BytesIO(b"".join(stream))
        with tarfile.open(fileobj=archive) as tar:
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

    def network(self, options: RunOptions) -> str | None:
        """The network that the run joins: one that is there, else one of its own, made with our label."""
        name = options.settings.network
        if name is None or name in _BUILT_IN or name.startswith("container:"):
            return name
        with translated_errors(name):
            if any(name in {network["Name"], network["Id"]} for network in self._api.networks()):
                return name
            own_name = f"{options.run}-{name}"
            run_to_end(partial(self._api.create_network, own_name, labels={LABEL: options.run}))
        return own_name

    def remove(self, container: str) -> None:
        """Take a container away, running or not, with its anonymous volumes."""
        with translated_errors(container), suppress(NotFound):
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


def _mount(options: RunOptions, index: int) -> Mount:
    volume = options.volumes[index]
    source = volume.source if volume.is_bind or not volume.source else options.volume_name(volume)
    kind: Literal["bind", "volume"] = "bind" if volume.is_bind else "volume"
    labels = None if volume.is_bind or volume.source else {LABEL: options.run}
    return Mount(volume.target, source or None, type=kind, read_only=volume.read_only, labels=labels)
