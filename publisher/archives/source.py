"""Names of sources, by the containers-transports convention."""

from __future__ import annotations

import re
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import Final

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
STDIN: Final = "-"
"""The path that stands for standard input: an archive of either kind."""
_ARCHIVE: Final = re.compile(r"\.(?:tar|tgz|txz|tbz2?|tzst)(?:\.(?:gz|xz|bz2|zstd?))?$")


def as_file(path: str) -> str:
    """How a path is written as a source: an archive by its ending, or since it is a file, else a layout's folder."""
    is_archive = _ARCHIVE.search(path) or Path(path).is_file()
    return f"{Transport.DOCKER_ARCHIVE if is_archive else Transport.OCI}:{path}"


def likely_source(text: str) -> str | None:
    """What somebody may have meant whose source can't be found: a transport that is misspelt; None for no idea."""
    head, colon, rest = text.partition(":")
    near = get_close_matches(head, [name for name in Transport if name is not Transport.REGISTRY], n=1, cutoff=0.8)
    if colon and near and head != near[0]:
        return f"did you mean {near[0]}:{rest}?"
    return f"write {as_file(text)}" if _ARCHIVE.search(text) else None


class SourceName(Value, frozen=True):
    """A transport and its rest: a name for the engine, a path (and tag) for files, a reference for a registry."""

    transport: Transport
    rest: str
    tag: str = ""

    @classmethod
    def parse(cls, text: str) -> SourceName:
        """Read a source; a bare name is the engine's. Raises BadReference or UsageError with what is right."""
        if text == STDIN:
            return cls(Transport.DOCKER_ARCHIVE, STDIN)
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
            hint = likely_source(text) or f"it knows {known} docker://"
            raise UsageError(f"'{head}:' is not a transport that publish knows", reference=text, hint=hint)
        if text.startswith(("./", "../", "/", "~")):
            raise UsageError(f"'{text}' is a path, and doesn't say what is there", hint=f"write {as_file(text)}")
        name = text.removeprefix(f"{Transport.DAEMON}:")
        try:
            return cls(Transport.DAEMON, _engine_name(name))
        except BadReference as error:
            raise BadReference(error.message, reference=text, hint=likely_source(text) or error.hint) from None

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
