"""What `docker save` writes: a config, and uncompressed layers."""

from __future__ import annotations

import re
import tarfile
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, BinaryIO, cast

from publisher.model.digest import Digest
from publisher.model.errors import BadArchive, SourceNotFound
from publisher.model.manifest import Platform, read_document

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


class DockerArchive:
    """An image in a docker-save archive, read as a stream: layers come before the config that lists them.

    open_archive: opens it anew, from its start. config_digest, diff_ids: what the image is, known beforehand.
    `config` may be read after one pass over `layers()`.
    """

    def __init__(
        self,
        open_archive: Callable[[], AbstractContextManager[BinaryIO]],
        config_digest: Digest,
        diff_ids: tuple[Digest, ...],
        platform: Platform,
    ) -> None:
        self._open = open_archive
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
        try:
            with self._open() as stream, tarfile.open(fileobj=stream, mode="r|", bufsize=_BUFFER) as archive:
                yield self._walk(archive)
        except tarfile.TarError as error:
            raise BadArchive(f"the archive is malformed: {error}") from error

    def _walk(self, archive: tarfile.TarFile) -> Iterator[tuple[Digest | None, Layer]]:
        seen = set[str]()
        for member in archive:
            check_member(member, seen)
            if not member.isreg():
                continue
            content = cast("IO[bytes]", archive.extractfile(member))
            if (blob := _BLOB.fullmatch(member.name)) and Digest("sha256", blob[1]) in self.diff_ids:
                yield Digest("sha256", blob[1]), _Member(content, member.size)
            elif _LAYER.fullmatch(member.name):
                yield None, _Member(content, member.size)
            elif (config := _CONFIG.fullmatch(member.name)) and config[1] == self.config_digest.hex:
                self._config = self._checked(content, member.size)

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
        return self._content.read(size)


def check_member(member: tarfile.TarInfo, seen: set[str]) -> None:
    """Refuse what no image needs: names that lead elsewhere, devices, names that stand twice."""
    name = member.name
    parts = name.split("/")
    if name.startswith("/") or ".." in parts or "\\" in name or "\0" in name or re.match(r"[A-Za-z]:", name):
        raise BadArchive(f"the archive has a member that leads out of it: {name!r}")
    if member.issym() or member.islnk():
        target = [part for part in member.linkname.split("/") if part != "."]
        depth = len(parts) - 1 - target.count("..")
        if member.linkname.startswith("/") or depth < 0:
            raise BadArchive(f"the archive has a link that leads out of it: {name!r}")
    elif member.issparse() or not (member.isreg() or member.isdir()):
        raise BadArchive(f"the archive has a member that is neither file nor folder: {name!r}")
    if name in seen and not member.isdir():
        raise BadArchive(f"the archive holds {name!r} twice")
    seen.add(name)


def open_docker_archive(path: Path, wanted: str = "") -> DockerArchive:
    """An image in a file that `docker save` wrote; `wanted` picks one of several by name."""
    if not path.is_file():
        raise SourceNotFound(f"there is no archive {path}", reference=f"docker-archive:{path}")
    config_name = _choose(_read_member(path, "manifest.json"), wanted, path)
    config = _read_member(path, config_name)
    document = read_document(config)
    diff_ids = tuple(Digest.parse(text) for text in document.get("rootfs", {}).get("diff_ids") or ())
    return DockerArchive(lambda: path.open("rb"), Digest.of(config), diff_ids, Platform.of_config(document))


def _read_member(path: Path, name: str) -> bytes:
    try:
        with tarfile.open(path, mode="r:") as archive:
            seen = set[str]()
            for member in archive:
                check_member(member, seen)
            found = archive.getmember(name)
            if not found.isreg() or found.size > _LARGEST_CONFIG:
                raise BadArchive(f"{name} in {path} is not a small file")
            return cast("IO[bytes]", archive.extractfile(found)).read()
    except KeyError as error:
        raise BadArchive(f"{path} has no {name}: it is not an archive of 'docker save'") from error
    except tarfile.TarError as error:
        raise BadArchive(f"{path} is malformed: {error}") from error


def _choose(listing: bytes, wanted: str, path: Path) -> str:
    entries = _entries(listing)
    fitting = [entry for entry in entries if not wanted or wanted in (entry.get("RepoTags") or ())]
    if len(fitting) != 1:
        names = ", ".join(tag for entry in entries for tag in entry.get("RepoTags") or ("unnamed",))
        raise SourceNotFound(
            f"{path} holds {len(fitting)} images that fit",
            hint=f"it has {names}; name one: docker-archive:FILE:NAME:TAG",
        )
    return str(fitting[0]["Config"])


def _entries(listing: bytes) -> list[dict[str, Any]]:
    wrapped = read_document(b'{"images":' + listing + b"}")["images"]
    if not isinstance(wrapped, list) or not all(isinstance(entry, dict) and "Config" in entry for entry in wrapped):
        raise BadArchive("manifest.json is not a list of images")
    return wrapped
