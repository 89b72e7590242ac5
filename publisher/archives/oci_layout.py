"""OCI image layouts, in a folder or in a tar archive."""

from __future__ import annotations

import codecs
import os
import stat
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, BinaryIO, Final, Protocol

from publisher.archives.docker_archive import full_name
from publisher.archives.packed import PackedFiles
from publisher.model import media
from publisher.model.errors import BadArchive, BadManifest, SourceNotFound
from publisher.model.manifest import (
    LARGEST,
    Content,
    Index,
    Manifest,
    Platform,
    compose_index,
    parse_manifest,
    read_document,
)
from publisher.model.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from publisher.model.digest import Digest
    from publisher.model.manifest import Descriptor

_NAME: Final = "org.opencontainers.image.ref.name"
# Engines with a containerd store write this beside the other, which has only the tag then.
_FULL_NAME: Final = "io.containerd.image.name"
_IN_FOLDER: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW


class Files(Protocol):
    """The files of a layout, by their paths within it."""

    source: str

    def holds(self, name: str, size: int) -> bool:
        """Whether there is a file of that name and size."""

    def open(self, name: str) -> AbstractContextManager[BinaryIO]:
        """The bytes of one file; raises BadArchive where it is missing."""


class Folder:
    """A folder; no link in it is followed."""

    def __init__(self, path: Path, source: str) -> None:
        self._path = path
        self.source = source

    def holds(self, name: str, size: int) -> bool:
        """Whether there is a regular file of that name and size."""
        with suppress(BadArchive), self.open(name) as file:
            return os.fstat(file.fileno()).st_size == size
        return False

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        """The bytes of one file; raises BadArchive where it is missing or not a file."""
        try:
            handle = self._open(name)
        except OSError as error:
            raise BadArchive(f"the layout lacks {name}: {error.strerror}", reference=self.source) from error
        with os.fdopen(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise BadArchive(f"{name} in the layout is not a file", reference=self.source)
            yield file

    def _open(self, name: str) -> int:
        """Go down folder by folder, so that none of them is a link; a pipe doesn't block."""
        *folders, last = name.split("/")
        handle = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
        try:
            for folder in folders:
                below = os.open(folder, _IN_FOLDER | os.O_DIRECTORY, dir_fd=handle)
                os.close(handle)
                handle = below
            return os.open(last, _IN_FOLDER | os.O_NONBLOCK, dir_fd=handle)
        finally:
            os.close(handle)


class OciLayout:
    """One image of a layout: its bytes pass as they are.

    joined: the index of those entries of index.json that are one image together, of which no file is there.
    """

    def __init__(self, files: Files, descriptor: Descriptor, joined: Index | None = None) -> None:
        self._files = files
        self._descriptor = descriptor
        self._joined = joined
        self.annotations: Mapping[str, str] = descriptor.annotations
        """What index.json says of the image."""

    @property
    def is_index(self) -> bool:
        """Whether an index was chosen, by its media type."""
        return self._descriptor.media_type in media.INDEXES

    def root(self) -> Content:
        """The manifest or index that was chosen."""
        return self._joined or self.manifest(self._descriptor)

    def manifest(self, descriptor: Descriptor) -> Content:
        """A manifest of the layout, checked against its digest."""
        with self._files.open(blob_path(descriptor.digest)) as file:
            content = file.read(LARGEST + 1)
        if len(content) != descriptor.size or not descriptor.digest.matches(content):
            raise BadArchive(
                f"the manifest {descriptor.digest} isn't what its digest says", reference=self._files.source
            )
        try:
            return parse_manifest(content, descriptor.media_type)
        except BadManifest as error:
            error.reference = f"{self._files.source}, {blob_path(descriptor.digest)}"
            raise

    def open_blob(self, descriptor: Descriptor) -> AbstractContextManager[BinaryIO]:
        """A stream of a blob's bytes."""
        return self._files.open(blob_path(descriptor.digest))

    def holds(self, descriptor: Descriptor) -> bool:
        """Whether a manifest or blob is here, with the size that it should have."""
        return self._files.holds(blob_path(descriptor.digest), descriptor.size)


def blob_path(digest: Digest) -> str:
    """Where a layout keeps a blob; a Digest holds nothing that leads elsewhere."""
    return f"blobs/{digest.algorithm}/{digest.hex}"


def open_oci_layout(path: Path, tag: str = "") -> OciLayout:
    """The image `tag` of a folder, or its only one; raises SourceNotFound, BadArchive."""
    source = f"oci:{path}"
    if not path.is_dir():
        hint = f"write oci-archive:{path}" if path.is_file() else None
        raise SourceNotFound(f"there is no folder {path}", reference=source, hint=hint)
    if not (path / "index.json").exists():
        raise SourceNotFound(f"{path} is not an OCI layout: it has no index.json", reference=source)
    return choose_image(Folder(path, source), tag)


def open_oci_archive(path: Path, tag: str = "", source: str = "") -> OciLayout:
    """The image `tag` of a tar file, or its only one; raises SourceNotFound, BadArchive. source: for messages."""
    source = source or f"oci-archive:{path}"
    files = PackedFiles.open_file(path, source)
    if files.find("index.json") is None:
        hint = f"write docker-archive:{path}" if files.find("manifest.json") else None
        raise BadArchive(f"{path} is not an OCI archive: it has no index.json", reference=source, hint=hint)
    return choose_image(files, tag)


def choose_image(files: Files, tag: str) -> OciLayout:
    """The image that index.json calls `tag`, or the only one; raises SourceNotFound with what there is."""
    index = _read_listing(files)
    fitting = {entry.digest: entry for entry in index.manifests if not tag or _has_name(entry, tag)}
    if len(fitting) == 1:
        return OciLayout(files, next(iter(fitting.values())))
    if joined := _joined(files, tuple(fitting.values())):
        return OciLayout(files, joined.descriptor, joined)
    names = printable(", ".join(_names_of(entry)[0] for entry in index.manifests)) or "nothing"
    if not fitting:
        what = f"no image {tag}" if tag else "no image"
        raise SourceNotFound(f"{files.source} holds {what}", reference=files.source, hint=f"it has: {names}")
    raise SourceNotFound(
        f"{files.source} holds {len(fitting)} images",
        reference=files.source,
        hint=f"name one, {files.source}:TAG: {names}",
    )


def _read_listing(files: Files) -> Index:
    with files.open("index.json") as file:
        content = file.read(LARGEST + 1)
    if content.startswith(codecs.BOM_UTF8):
        raise BadArchive(
            "index.json of the layout begins with a byte order mark, which JSON forbids",
            reference=files.source,
            hint="take its first three bytes away: sed -i '1s/^\\xef\\xbb\\xbf//' index.json",
        )
    try:
        index = parse_manifest(content, media.OCI_INDEX)
    except BadManifest as error:
        hint = "write the layout again, with 'skopeo copy' or buildx's '--output type=oci'"
        raise BadArchive(f"index.json of the layout: {error.message}", reference=files.source, hint=hint) from error
    if not isinstance(index, Index):
        raise BadArchive("the layout's index.json is not an index", reference=files.source)
    return index


def _joined(files: Files, entries: Sequence[Descriptor]) -> Index | None:
    """The index of entries that are one image, each for a platform of its own; None where they are several images."""
    images = [entry for entry in entries if not entry.is_attestation]
    if len({frozenset(_names_of(entry)[:-1]) for entry in images}) != 1:
        return None
    if any(entry.media_type not in media.MANIFESTS for entry in images):
        return None
    placed = [entry if entry.platform else replace(entry, platform=_stated_platform(files, entry)) for entry in images]
    platforms = {entry.platform for entry in placed}
    if None in platforms or len(platforms) != len(placed):
        return None
    attestations = [entry for entry in entries if entry.is_attestation]
    return compose_index(tuple(replace(entry, annotations=_own(entry)) for entry in (*placed, *attestations)))


def _stated_platform(files: Files, entry: Descriptor) -> Platform | None:
    layout = OciLayout(files, entry)
    manifest = layout.root()
    if not isinstance(manifest, Manifest) or manifest.config.media_type not in media.CONFIGS:
        return None
    with layout.open_blob(manifest.config) as file:
        return Platform.of_config(read_document(file.read(LARGEST + 1)))


def _own(entry: Descriptor) -> dict[str, str]:
    """What an entry says of the image, not of its place in the layout."""
    return {key: text for key, text in entry.annotations.items() if key not in {_NAME, _FULL_NAME}}


def _has_name(entry: Descriptor, tag: str) -> bool:
    return tag in _names_of(entry) or full_name(tag) == full_name(entry.annotations.get(_FULL_NAME, ""))


def _names_of(entry: Descriptor) -> tuple[str, ...]:
    names = (entry.annotations.get(key) for key in (_FULL_NAME, _NAME))
    return (*(name for name in names if name), str(entry.digest))
