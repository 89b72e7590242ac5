"""What `docker save` writes: a config, and uncompressed layers."""

from __future__ import annotations

import re
import tarfile
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, BinaryIO, cast

from publisher.model.digest import Digest
from publisher.model.errors import BadArchive, BadReference, SourceNotFound
from publisher.model.manifest import Platform, read_document
from publisher.model.printable import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from publisher.model.protocols import Layer

_CONFIG = re.compile(r"(?:blobs/sha256/)?([0-9a-f]{64})(?:\.json)?")
_LAYER = re.compile(r"(?:[0-9a-f]{64}/layer\.tar|[0-9a-f]{64}\.tar)")
_BLOB = re.compile(r"blobs/sha256/([0-9a-f]{64})")
_LARGEST_CONFIG = 16 * 1024 * 1024
_BUFFER = 1 << 20
_MOST_LINKS = 64

# What tarfile raises for malformed archives: ValueError for numbers in sparse maps, RecursionError for chained headers.
MALFORMED = (tarfile.TarError, ValueError, OverflowError, EOFError, RecursionError)


class DockerArchive:
    """An image in a docker-save archive, read as a stream: layers come before the config that lists them.

    open_archive: opens it anew, from its start. config_digest, diff_ids: what the image is, known beforehand.
    listed: the members that are its layers, where a listing says so; without it, whatever is named like a layer.
    `config` may be read after one pass over `layers()`.
    """

    def __init__(
        self,
        open_archive: Callable[[], AbstractContextManager[BinaryIO]],
        config_digest: Digest,
        diff_ids: tuple[Digest, ...],
        platform: Platform,
        listed: frozenset[str] | None = None,
    ) -> None:
        self._open = open_archive
        self._listed = listed
        self.config_digest = config_digest
        self._config: bytes | None = None
        self.diff_ids = diff_ids
        self.platform = platform

    @property
    def config(self) -> bytes:
        """The config's exact bytes; reads the archive to its end if they haven't passed yet."""
        if self._config is None:
            with self.layers(frozenset()) as layers:
                for _layer in layers:
                    pass
        if self._config is None:
            raise BadArchive(f"the archive holds no config {self.config_digest}")
        return self._config

    @contextmanager
    def layers(self, wanted: frozenset[Digest]) -> Iterator[Iterator[tuple[Digest | None, Layer]]]:
        """The layers in the archive's order; their diffIDs are known ahead only where the archive names them so."""
        del wanted  # passing over bytes of a stream takes as long as reading them
        with self._open() as stream:
            yield self._walk(stream)

    def _walk(self, stream: BinaryIO) -> Iterator[tuple[Digest | None, Layer]]:
        try:
            with tarfile.open(fileobj=stream, mode="r|", bufsize=_BUFFER) as archive:
                yield from self._layers_in(archive)
        except MALFORMED as error:
            raise BadArchive(f"the archive is malformed: {error}") from error

    def _layers_in(self, archive: tarfile.TarFile) -> Iterator[tuple[Digest | None, Layer]]:
        seen = set[str]()
        for member in archive:
            check_member(member, seen)
            if not member.isreg():
                continue
            content = cast("IO[bytes]", archive.extractfile(member))
            name = plain_name(member.name)
            if (blob := _BLOB.fullmatch(name)) and Digest("sha256", blob[1]) in self.diff_ids:
                yield Digest("sha256", blob[1]), _Member(content, member.size)
            elif self._is_layer(name):
                yield None, _Member(content, member.size)
            elif (config := _CONFIG.fullmatch(name)) and config[1] == self.config_digest.hex:
                self._config = self._checked(content, member.size)

    def _is_layer(self, name: str) -> bool:
        return bool(_LAYER.fullmatch(name)) if self._listed is None else name in self._listed

    def _checked(self, content: IO[bytes], size: int) -> bytes:
        if size > _LARGEST_CONFIG:
            raise BadArchive(f"the config has {size:,} bytes")
        config = content.read(size)
        if not self.config_digest.matches(config):
            raise BadArchive(f"the config is not what its name {self.config_digest} says")
        return config


class _Member:
    """One layer within the archive."""

    def __init__(self, content: IO[bytes], size: int) -> None:
        self._content = content
        self.size = size

    def read(self, size: int, /) -> bytes:
        try:
            return self._content.read(size)
        except tarfile.TarError as error:
            raise BadArchive(f"the archive is malformed: {error}") from error


def plain_name(name: str) -> str:
    """A member's name without the dots and slashes that say nothing, so that each file has one name."""
    return "/".join(part for part in name.split("/") if part not in {"", "."})


def check_member(member: tarfile.TarInfo, seen: set[str]) -> None:
    """Refuse what no image needs: names that lead elsewhere, devices, names that stand twice."""
    name = member.name
    if name.startswith("/") or ".." in name.split("/") or _is_foreign(name):
        raise BadArchive(f"the archive has a member that leads out of it: {name!r}")
    if member.issym() or member.islnk():
        _check_link(member)
    elif member.issparse() or member.size < 0 or not (member.isreg() or member.isdir()):
        raise BadArchive(f"the archive has a member that is neither file nor folder: {name!r}")
    plain = plain_name(name)
    if plain in seen and not member.isdir():
        raise BadArchive(f"the archive holds {name!r} twice")
    seen.add(plain)


def _is_foreign(name: str) -> bool:
    return "\\" in name or "\0" in name or bool(re.match(r"[A-Za-z]:", name))


def _check_link(member: tarfile.TarInfo) -> None:
    if member.linkname.startswith("/") or _is_foreign(member.linkname) or _target(member) is None:
        raise BadArchive(f"the archive has a link that leads out of it: {member.name!r}")


def _target(member: tarfile.TarInfo) -> str | None:
    """Where a link leads within the archive; None if it leads out. A hard link counts from the archive's root."""
    parts = plain_name(member.name).split("/")[:-1] if member.issym() else []
    for part in plain_name(member.linkname).split("/"):
        if part != "..":
            parts.append(part)
        elif not parts:
            return None
        else:
            parts.pop()
    return "/".join(parts)


def open_docker_archive(path: Path, wanted: str = "") -> DockerArchive:
    """An image in a file that `docker save` wrote; `wanted` picks one of several by name."""
    if not path.is_file():
        raise SourceNotFound(f"there is no archive {path}", reference=f"docker-archive:{path}")
    members = read_members(path)
    entry = _choose(_read_small(path, members, "manifest.json"), wanted, path)
    config = _read_small(path, members, entry["Config"])
    document = read_document(config)
    diff_ids = _diff_ids(document)
    if len(entry["Layers"]) != len(diff_ids):
        raise BadArchive(f"{path} lists {len(entry['Layers'])} layers, and the image's config {len(diff_ids)}")
    listed = frozenset(_resolve(members, name, path) for name in entry["Layers"])
    return DockerArchive(lambda: path.open("rb"), Digest.of(config), diff_ids, Platform.of_config(document), listed)


def _diff_ids(config: dict[str, Any]) -> tuple[Digest, ...]:
    try:
        return tuple(Digest.parse(text) for text in config["rootfs"]["diff_ids"] or ())
    except (KeyError, TypeError, AttributeError, BadReference) as error:
        raise BadArchive(f"the image's config does not list its layers: {error}") from error


def read_members(path: Path) -> dict[str, tarfile.TarInfo]:
    """All members of a tar file by their plain names; raises BadArchive for one that no image needs."""
    try:
        with tarfile.open(path, mode="r:") as archive:
            seen = set[str]()
            found = {}
            for member in archive:
                check_member(member, seen)
                found[plain_name(member.name)] = member
            return found
    except MALFORMED as error:
        raise BadArchive(f"{path} is malformed: {error}") from error


@contextmanager
def open_member(path: Path, member: tarfile.TarInfo) -> Iterator[BinaryIO]:
    """Read one member in place; raises BadArchive where the file ends too early."""
    try:
        with tarfile.open(path, mode="r:") as archive:
            yield cast("BinaryIO", cast("IO[bytes]", archive.extractfile(member)))
    except tarfile.TarError as error:
        raise BadArchive(f"{path} is malformed: {error}") from error


def _resolve(members: dict[str, tarfile.TarInfo], name: str, path: Path) -> str:
    """The file that holds a layer: engines write a repeated one as a link to where it came first."""
    found = plain_name(name)
    for _ in range(_MOST_LINKS):
        member = members.get(found)
        if member is None:
            break
        if member.isreg():
            return found
        found = _target(member) or "" if member.issym() or member.islnk() else ""
    raise BadArchive(f"{path} lacks the layer {name}")


def _read_small(path: Path, members: dict[str, tarfile.TarInfo], name: str) -> bytes:
    found = members.get(plain_name(name))
    if found is None:
        raise BadArchive(f"{path} has no {name}: it is not an archive of 'docker save'")
    if not found.isreg() or found.size > _LARGEST_CONFIG:
        raise BadArchive(f"{name} in {path} is not a small file")
    with open_member(path, found) as file:
        return file.read()


def _choose(listing: bytes, wanted: str, path: Path) -> dict[str, Any]:
    entries = _entries(listing)
    fitting = [entry for entry in entries if not wanted or wanted in (entry.get("RepoTags") or ())]
    if len(fitting) != 1:
        names = ", ".join(tag for entry in entries for tag in entry.get("RepoTags") or ("unnamed",))
        raise SourceNotFound(
            f"{path} holds {len(fitting)} images that fit",
            hint=f"it has {printable(names)}; name one: docker-archive:FILE:NAME:TAG",
        )
    return fitting[0]


def _entries(listing: bytes) -> list[dict[str, Any]]:
    wrapped = read_document(b'{"images":' + listing + b"}")["images"]
    if not isinstance(wrapped, list) or not all(isinstance(entry, dict) and _is_entry(entry) for entry in wrapped):
        raise BadArchive("manifest.json is not a list of images")
    return wrapped


def _is_entry(entry: dict[str, Any]) -> bool:
    lists = (entry.get("Layers"), entry.get("RepoTags") or [])
    texts = all(isinstance(found, list) and all(isinstance(text, str) for text in found) for found in lists)
    return texts and isinstance(entry.get("Config"), str)
