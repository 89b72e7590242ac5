"""Names of sources, by the containers-transports convention."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from publisher.model.errors import BadReference, UsageError
from publisher.model.reference import Reference


class Transport(StrEnum):
    """Where an image comes from."""

    DAEMON = "docker-daemon"
    DOCKER_ARCHIVE = "docker-archive"
    OCI = "oci"
    OCI_ARCHIVE = "oci-archive"
    REGISTRY = "docker"


_OTHERS = ("containers-storage", "dir", "docker-tar", "ostree", "sif", "tarball", "containerd", "http", "https")


@dataclass(frozen=True, slots=True)
class SourceName:
    """A transport and its rest: a name for the engine, a path (and tag) for files, a reference for a registry."""

    transport: Transport
    rest: str
    tag: str = ""

    @classmethod
    def parse(cls, text: str) -> SourceName:
        """Read a source; a bare name is the engine's. Raises BadReference or UsageError with what is right."""
        head, colon, rest = text.partition(":")
        if not text or text.startswith("-"):
            raise UsageError(f"'{text}' is not a source", hint="name an image, as in docker-daemon:app:dev")
        if text.startswith("docker://"):
            return cls(Transport.REGISTRY, str(Reference.parse(text.removeprefix("docker://"))))
        if colon and head in _OTHERS:
            known = ", ".join(f"{name}:" for name in Transport)
            raise UsageError(
                f"'{head}:' is not a transport that publish knows", reference=text, hint=f"it knows {known}"
            )
        if colon and head in {Transport.OCI, Transport.OCI_ARCHIVE, Transport.DOCKER_ARCHIVE}:
            return cls._file(Transport(head), rest, text)
        name = rest if head == Transport.DAEMON else text
        if head == Transport.REGISTRY:
            raise BadReference(f"'{text}' is not a source: a registry's image is written docker://NAME")
        return cls(Transport.DAEMON, _engine_name(name))

    @classmethod
    def _file(cls, transport: Transport, rest: str, text: str) -> SourceName:
        path, _, tag = rest.partition(":")
        if not path:
            raise UsageError(f"'{text}' names no path", hint=f"as in {transport}:PATH")
        return cls(transport, path, tag)

    def __str__(self) -> str:
        mark = "//" if self.transport is Transport.REGISTRY else ""
        return f"{self.transport}:{mark}{self.rest}{':' + self.tag if self.tag else ''}"


def _engine_name(name: str) -> str:
    """A name, or an image id, which the engine takes too."""
    if not name.removeprefix("sha256:").strip("0123456789abcdef") and len(name) >= 12:  # noqa: PLR2004 - a short id
        return name
    Reference.parse(name)
    return name
