"""Names of sources, by the containers-transports convention."""

from __future__ import annotations

from enum import StrEnum

from publisher.model.errors import BadReference, UsageError
from publisher.model.reference import Reference
from publisher.model.value import Value


class Transport(StrEnum):
    """Where an image comes from."""

    DAEMON = "docker-daemon"
    DOCKER_ARCHIVE = "docker-archive"
    OCI = "oci"
    OCI_ARCHIVE = "oci-archive"
    REGISTRY = "docker"


_OTHERS = ("containers-storage", "containerd", "dir", "docker-tar", "http", "https", "ostree", "sif", "tarball")
_SHORTEST_ID = 12


class SourceName(Value, frozen=True):
    """A transport and its rest: a name for the engine, a path (and tag) for files, a reference for a registry."""

    transport: Transport
    rest: str
    tag: str = ""

    @classmethod
    def parse(cls, text: str) -> SourceName:
        """Read a source; a bare name is the engine's. Raises BadReference or UsageError with what is right."""
        if not text or text.startswith("-"):
            raise UsageError(f"'{text}' is not a source", hint="name an image, as in docker-daemon:app:dev")
        head, colon, rest = text.partition(":")
        if text.startswith("docker://"):
            return cls(Transport.REGISTRY, str(Reference.parse(text.removeprefix("docker://"))))
        if head == Transport.REGISTRY and colon:
            raise BadReference(
                f"'{text}' is not a source: a registry's image is written docker://NAME",
                hint=f"the engine's own is docker-daemon:{text}",
            )
        if head in {Transport.OCI, Transport.OCI_ARCHIVE, Transport.DOCKER_ARCHIVE} and colon:
            return cls._file(Transport(head), rest, text)
        if rest and (head in _OTHERS or rest.startswith(("/", "./", "../"))):
            known = ", ".join(f"{name}:" for name in Transport if name is not Transport.REGISTRY)
            raise UsageError(
                f"'{head}:' is not a transport that publish knows", reference=text, hint=f"it knows {known} docker://"
            )
        name = text.removeprefix(f"{Transport.DAEMON}:")
        return cls(Transport.DAEMON, _engine_name(name))

    @classmethod
    def _file(cls, transport: Transport, rest: str, text: str) -> SourceName:
        path, colon, tag = rest.partition(":")
        if not path:
            raise UsageError(f"'{text}' names no path", hint=f"as in {transport}:PATH")
        if colon and not tag:
            raise BadReference(f"'{text}' ends in a colon without a tag", hint=f"write {transport}:{path}")
        return cls(transport, path, tag)

    def __str__(self) -> str:
        mark = "//" if self.transport is Transport.REGISTRY else ""
        return f"{self.transport}:{mark}{self.rest}{':' + self.tag if self.tag else ''}"


def _engine_name(name: str) -> str:
    """A name, or an image id, which the engine takes too."""
    digits = name.removeprefix("sha256:")
    if not digits.strip("0123456789abcdef") and len(digits) >= _SHORTEST_ID:
        return name
    Reference.parse(name)
    return name
