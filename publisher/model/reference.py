"""Image references: registry/repository:tag@digest."""

from __future__ import annotations

import re
from typing import Final, Self

from publisher.model.digest import Digest
from publisher.model.errors import BadReference
from publisher.model.value import TextValue

DOCKER_HUB = "docker.io"
HUB_REGISTRY = "registry-1.docker.io"
"""The host that answers for Docker Hub."""
HUB_NAMES = frozenset({DOCKER_HUB, "index.docker.io", HUB_REGISTRY})

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_HOST = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:]+\])(?::[0-9]{{1,5}})?")
_PART = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_LONGEST_NAME = 255


class Tag(str):
    """A tag that follows the distribution-spec's grammar; compares and hashes as its text."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Check `text`; raises BadReference with the reason."""
        if _TAG.fullmatch(text):
            return cls(text)
        raise BadReference(f"'{text}' is not a tag: {_why_no_tag(text)}")


_DOCKERS_TAG: Final = Tag("latest")
"""What docker reads where a reference names nothing else; nothing is ever written by it."""


def _why_no_tag(text: str) -> str:
    if not text:
        return "it is empty"
    if len(text) > 128:  # noqa: PLR2004 - the grammar's own number
        return f"it has {len(text)} characters, at most 128 are allowed"
    if text[0] in ".-":
        return f"it starts with '{text[0]}'"
    return "it may hold only A-Z a-z 0-9 . _ -"


class Repository(TextValue):
    """A repository, normalised as docker does: `registry` is host[:port], `name` the path within it."""

    __slots__ = ("name", "registry")

    def __init__(self, registry: str, name: str) -> None:
        self.registry: Final = registry
        self.name: Final = name

    @property
    def parts(self) -> tuple[str, ...]:
        """The registry and the name."""
        return (self.registry, self.name)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read [HOST[:PORT]/]NAME; raises BadReference. Upper case is refused, never changed silently."""
        if not text.isascii():
            raise BadReference(f"'{text}' is not a repository: only ASCII characters are allowed")
        registry, name = _split_registry(text)
        _check_name(text, name)
        if registry == DOCKER_HUB and "/" not in name:
            name = f"library/{name}"
        if len(f"{registry}/{name}") > _LONGEST_NAME:
            raise BadReference(f"'{text[:40]}…' is not a repository: it is longer than {_LONGEST_NAME} characters")
        return cls(registry, name)

    @property
    def familiar(self) -> str:
        """The short name that docker shows: no docker.io, no library/."""
        if self.registry != DOCKER_HUB:
            return str(self)
        return self.name.removeprefix("library/")

    @property
    def on_hub(self) -> bool:
        """Whether it lives on Docker Hub."""
        return self.registry == DOCKER_HUB

    def tag(self, tag: str) -> TagReference:
        """The reference `repository:tag`."""
        return TagReference(self, tag if isinstance(tag, Tag) else Tag.parse(tag))

    def at(self, digest: Digest) -> Reference:
        """The reference `repository@digest`."""
        return Reference(self, digest=digest)

    def __str__(self) -> str:
        return f"{self.registry}/{self.name}"


def _split_registry(text: str) -> tuple[str, str]:
    """Docker's rule: the first part is a host if it has a dot or a colon, is localhost, or isn't lower case."""
    first, slash, rest = text.partition("/")
    if not slash or not (set(first) & set(".:[") or first == "localhost" or first != first.lower()):
        return DOCKER_HUB, text
    if not _HOST.fullmatch(first):
        raise BadReference(f"'{text}' is not a repository: '{first}' is not a registry host")
    host, colon, port = first.rpartition(":")
    if colon and "]" not in port and not 0 < int(port) < 65536:  # noqa: PLR2004 - TCP's ports
        raise BadReference(f"'{text}' is not a repository: {port} is not a port of '{host}'")
    host_name = first.lower()
    return (DOCKER_HUB if host_name in HUB_NAMES else host_name), rest


def _check_name(text: str, name: str) -> None:
    if not name:
        raise BadReference(f"'{text}' is not a repository: it has no name")
    for part in name.split("/"):
        if _PART.fullmatch(part):
            continue
        if part != part.lower():
            raise BadReference(f"'{text}' is not a repository: '{part}' must be in lower case")
        raise BadReference(f"'{text}' is not a repository: '{part}' may hold a-z 0-9 and single . _ - between them")


class Reference(TextValue):
    """One image in a registry, by tag, by digest, or both; with neither it means the whole repository."""

    __slots__ = ("_digest", "_tag", "repository")

    def __init__(self, repository: Repository, tag: Tag | None = None, digest: Digest | None = None) -> None:
        self.repository: Final = repository
        self._tag = tag
        self._digest = digest

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read REPOSITORY[:TAG][@DIGEST]; raises BadReference with the precise reason. No tag is made up."""
        rest, at, digest = text.partition("@")
        slash = rest.rfind("/")
        colon = rest.find(":", slash + 1)
        name, tag = (rest, None) if colon < 0 else (rest[:colon], rest[colon + 1 :])
        return Reference(
            Repository.parse(name),
            None if tag is None else Tag.parse(tag),
            Digest.parse(digest) if at else None,
        )

    @property
    def tag(self) -> Tag | None:
        """The tag, where one is named."""
        return self._tag

    @property
    def digest(self) -> Digest | None:
        """The digest, where one is named."""
        return self._digest

    @property
    def parts(self) -> tuple[str, ...]:
        """All of it, flat."""
        return (*self.repository.parts, self._tag or "", str(self._digest or ""))

    @property
    def target(self) -> Tag | Digest:
        """What to ask the registry for: the digest if there is one, else the tag, else `latest` as docker does."""
        return self._digest or self._tag or _DOCKERS_TAG

    @property
    def familiar(self) -> str:
        """As docker shows it."""
        return self.repository.familiar + self._suffix

    @property
    def _suffix(self) -> str:
        tag = f":{self._tag}" if self._tag else ""
        return f"{tag}@{self._digest}" if self._digest else tag

    def __str__(self) -> str:
        return f"{self.repository}{self._suffix}"


class TagReference(Reference):
    """A reference that has a tag, and no digest: what can be written."""

    __slots__ = ()

    def __init__(self, repository: Repository, tag: Tag) -> None:
        super().__init__(repository, tag)

    @classmethod
    def parse(cls, text: str) -> TagReference:
        """Read REPOSITORY:TAG; raises BadReference for anything else."""
        reference = Reference.parse(text)
        if reference.tag is None or reference.digest is not None:
            raise BadReference(f"'{text}' is not a tag: expected REPOSITORY:TAG")
        return cls(reference.repository, reference.tag)

    @property
    def tag(self) -> Tag:
        """The tag."""
        tag = super().tag
        assert tag is not None  # noqa: S101 - its constructor takes no other
        return tag


_DESCRIBED = re.compile(r"sha256-([0-9a-f]{64})(?:\..+)?")


def described_digest(tag: str) -> str | None:
    """The image that a tag of the kind `sha256-HEX` or `sha256-HEX.sig` speaks of; None for any other tag."""
    match = _DESCRIBED.fullmatch(tag)
    return f"sha256:{match[1]}" if match else None
