"""How a container is run: what `[smoke]` says, read once, and the `docker run` line that means the same."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import msgspec

from publisher.model.errors import ConfigError
from publisher.model.value import Value

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from publisher.model.settings import SmokeSettings

_PORT = re.compile(r"(?:(?P<host>\d{1,5}):)?(?P<port>\d{1,5})(?:/(?P<protocol>tcp|udp))?")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_SECRET: Final = re.compile(r"PASS|SECRET|TOKEN|CREDENTIAL|PRIVATE|AUTH|KEY$|PWD$", re.IGNORECASE)
LABEL = "publish.run"


class Port(Value, frozen=True):
    """A port of the container; `host` 0 takes a free one."""

    number: int
    protocol: str = "tcp"
    host: int = 0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read [HOST:]PORT[/PROTOCOL]; raises ConfigError."""
        match = _PORT.fullmatch(text)
        if match is None or not 0 < int(match["port"]) < 65536:  # noqa: PLR2004 - TCP's ports
            raise ConfigError(f"'{text}' is not a port", hint="as in 80, 53/udp or 8080:80")
        return cls(int(match["port"]), match["protocol"] or "tcp", int(match["host"] or 0))

    def __str__(self) -> str:
        return f"{self.number}/{self.protocol}"


class Volume(Value, frozen=True):
    """A volume: `source` is a folder of this machine, a volume's name, or "" for an anonymous one."""

    source: str
    target: str
    read_only: bool = False
    is_bind: bool = False

    @classmethod
    def parse(cls, text: str, folder: Path) -> Self:
        """Read NAME:PATH[:ro], FOLDER:PATH[:ro] or PATH; raises ConfigError, also for a folder that isn't there."""
        parts = text.split(":")
        mode = parts.pop() if len(parts) > 1 and parts[-1] in {"ro", "rw"} else "rw"
        if len(parts) not in {1, 2} or not parts[-1].startswith("/"):
            raise ConfigError(
                f"'{text}' is not a volume", hint="as in data:/app/data, ./fixtures:/app/fixtures:ro or /app"
            )
        source = parts[0] if len(parts) == 2 else ""  # noqa: PLR2004 - source and target
        if not source.startswith((".", "/", "~")):
            if source and not _NAME.fullmatch(source):
                raise ConfigError(f"'{source}' of '{text}' is no name of a volume", hint="a folder starts with ./ or /")
            return cls(source, parts[-1], mode == "ro")
        bound = (folder / Path(source).expanduser()).resolve()
        if not bound.exists():
            # The engine would make an empty folder there, owned by root.
            raise ConfigError(f"the folder {bound} of the volume '{text}' doesn't exist", reference=bound)
        return cls(str(bound), parts[-1], mode == "ro", is_bind=True)

    @property
    def is_named(self) -> bool:
        """Whether the engine keeps it under a name."""
        return bool(self.source) and not self.is_bind


class RunOptions(Value, frozen=True, kw_only=True):
    """One container, before it is made. `run` names the run: its volumes have it before their names.

    settings: what `[smoke]` says, of which env, ports and volumes stand here as they were read. env_file: where a
    part of env comes from.
    """

    image: str
    run: str
    settings: SmokeSettings
    env: Mapping[str, str] = msgspec.field(default_factory=dict)
    env_file: Path | None = None
    network: str | None = None
    ports: tuple[Port, ...] = ()
    volumes: tuple[Volume, ...] = ()

    @classmethod
    def of(cls, smoke: SmokeSettings, image: str, run: str, folder: Path, environ: Mapping[str, str]) -> Self:
        """What the configuration says; paths are relative to `folder`. Raises ConfigError."""
        file = folder / smoke.env_file if smoke.env_file else None
        return cls(
            image=image,
            run=run,
            settings=smoke,
            env={**(dict(_env_file(file, environ)) if file else {}), **smoke.env},
            env_file=file,
            network=smoke.network,
            ports=tuple(map(Port.parse, smoke.ports)),
            volumes=tuple(Volume.parse(text, folder) for text in smoke.volumes),
        )

    @property
    def claims(self) -> frozenset[str]:
        """What another run can't have at the same time: ports of the machine, and folders that it may write to."""
        ports = {f"port {port.host}/{port.protocol}" for port in self.ports if port.host}
        folders = {volume.source for volume in self.volumes if volume.is_bind and not volume.read_only}
        return frozenset(ports | folders | ({"network host"} if self.network == "host" else set()))

    @property
    def secrets(self) -> tuple[str, ...]:
        """The values of env that must not be shown, by their keys' names."""
        return tuple(value for key, value in self.env.items() if _SECRET.search(key))

    def volume_name(self, volume: Volume) -> str:
        """A named volume's name in the engine."""
        return f"{self.run}-{volume.source}"

    @property
    def named_volumes(self) -> tuple[str, ...]:
        """The named volumes, as the engine calls them."""
        return tuple(dict.fromkeys(self.volume_name(volume) for volume in self.volumes if volume.is_named))

    def line(self) -> str:
        """The `docker run` line that means the same; named volumes are called as `[smoke]` calls them."""
        return shlex.join(["docker", "run", "--rm", *self._options(self.volumes), *self._image_and_words()])

    def terminal(self) -> list[str]:
        """The words that open it on a terminal, under the run's name, label and volumes."""
        ours = ("--name", self.run, "--label", f"{LABEL}={self.run}")
        volumes = (self._as_engine_calls(volume) for volume in self.volumes)
        return ["docker", "run", "--rm", "-it", *ours, *self._options(volumes), *self._image_and_words()]

    def _as_engine_calls(self, volume: Volume) -> Volume:
        if not volume.is_named:
            return volume
        return Volume(self.volume_name(volume), volume.target, volume.read_only)

    def _options(self, volumes: Iterable[Volume]) -> Iterator[str]:
        if self.env_file:
            yield from ("--env-file", str(self.env_file))
        for key, value in self.settings.env.items():
            yield from ("-e", f"{key}={value}")
        for port in self.ports:
            yield from ("-p", f"127.0.0.1:{port.host or ''}:{port}")
        for volume in volumes:
            mode = ":ro" if volume.read_only else ""
            yield from ("-v", f"{volume.source}:{volume.target}{mode}" if volume.source else volume.target)
        settings = self.settings
        cpus = None if settings.cpus is None else f"{settings.cpus:g}"
        single = {
            "--user": settings.user,
            "--workdir": settings.workdir,
            "--network": self.network,
            "--memory": settings.memory,
        }
        for option, setting in {**single, "--cpus": cpus}.items():
            if setting is not None:
                yield from (option, setting)
        if settings.read_only:
            yield "--read-only"
        if settings.entrypoint is not None:
            # An empty one means none, not the image's own.
            yield from ("--entrypoint", settings.entrypoint[0] if settings.entrypoint else "")

    def _image_and_words(self) -> tuple[str, ...]:
        return (self.image, *(self.settings.entrypoint or ())[1:], *(self.settings.command or ()))


def _env_file(path: Path, environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """KEY=VALUE a line; a KEY alone takes the value that it has here."""
    try:
        text = path.read_text()
    except OSError as error:
        raise ConfigError(f"the env-file can't be read: {error.strerror}", reference=path) from error
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        key, equals, value = line.partition("=")
        if equals or key in environ:
            yield key.strip(), value if equals else environ[key]
