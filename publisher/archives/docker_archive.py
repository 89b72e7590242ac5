"""What `docker save` writes: a config, and layers."""

from __future__ import annotations

import re
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from publisher.archives.layer import chain_ids, find_layer, open_layer
from publisher.archives.tar import Tar
from publisher.model.digest import Digest
from publisher.model.errors import BadArchive, BadReference, SourceNotFound
from publisher.model.manifest import LARGEST, Platform, read_document
from publisher.model.printable import printable
from publisher.model.reference import Reference
from publisher.model.value import Value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from publisher.archives.packed import PackedFiles
    from publisher.archives.tar import Member
    from publisher.model.protocols import Layer


class ImageEntry(Value, frozen=True):
    """One image: the names of its config's and its layers' files, the lowest layer first, and its tags."""

    config: str
    layers: tuple[str, ...]
    tags: tuple[str, ...]

    def is_called(self, name: str) -> bool:
        """Whether one of its names is `name`, as docker understands both, or has it as its tag."""
        return any(full_name(name) == full_name(tag) or name == tag.rpartition(":")[2] for tag in self.tags)


def full_name(name: str) -> str:
    """The name with registry, repository and tag, as docker understands it; others stay as they are."""
    try:
        reference = Reference.parse(name)
    except BadReference:
        return name
    return f"{reference.repository}:{reference.target}"


def read_entries(content: bytes) -> tuple[ImageEntry, ...]:
    """Read `manifest.json`; raises BadArchive, or BadManifest for what isn't JSON."""
    document = read_document(b'{"images":' + content + b"}")
    if document.keys() != {"images"} or not isinstance(document["images"], list):
        raise BadArchive("the archive's manifest.json is not a list of images")
    return tuple(_parse_entry(entry) for entry in document["images"])


def _parse_entry(entry: Any) -> ImageEntry:
    if not isinstance(entry, dict) or not isinstance(entry.get("Config"), str):
        raise BadArchive("the archive's manifest.json lists an image without a config")
    return ImageEntry(entry["Config"], _texts(entry.get("Layers")), _texts(entry.get("RepoTags")))


def _texts(value: Any) -> tuple[str, ...]:
    texts = [] if value is None else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise BadArchive("the archive's manifest.json is malformed")
    return tuple(texts)


def choose_entry(images: tuple[ImageEntry, ...], name: str, archive: str) -> ImageEntry:
    """The image called `name`, or the only one; raises SourceNotFound with what there is."""
    fitting = [image for image in images if not name or image.is_called(name)]
    if len({image.config for image in fitting}) == 1:
        return fitting[0]
    names = printable(", ".join(tag for image in images for tag in image.tags or ("one without a name",)))
    if not fitting:
        what = f"no image {name}" if name else "no image"
        raise SourceNotFound(f"{archive} holds {what}", reference=archive, hint=f"it has: {names or 'nothing'}")
    raise SourceNotFound(
        f"{archive} holds {len(fitting)} images that fit",
        reference=archive,
        hint=f"name one, {archive}:NAME:TAG: {names}",
    )


def read_diff_ids(config: dict[str, Any]) -> tuple[Digest, ...]:
    """The layers that a config names, the lowest first; raises BadArchive."""
    try:
        return tuple(Digest.parse(text) for text in config["rootfs"].get("diff_ids") or ())
    except (KeyError, TypeError, AttributeError, BadReference) as error:
        raise BadArchive("the image's config has no list of layers") from error


# Engines before 25 write the first forms, with names of their own; later ones the last. Podman writes DIFFID.tar.
_CONFIG: Final = re.compile(r"(?:([0-9a-f]{64})\.json|blobs/sha256/([0-9a-f]{64}))")
_LEGACY: Final = re.compile(r"([0-9a-f]{64})/layer\.tar")
_LEGACY_DOCUMENT: Final = re.compile(r"([0-9a-f]{64})/json")
_NAMED: Final = re.compile(r"(?:blobs/sha256/)?([0-9a-f]{64})(\.tar)?")
_HEX: Final = re.compile(r"[0-9a-f]{64}")


class DockerArchive:
    """An image in a docker-save stream, where layers come before the config that lists them.

    open_archive: opens it anew, from its start. config_digest, diff_ids: what the image is, known beforehand.
    size: of all its layers. sizes: those of each, the lowest first, asked for only where some are left out.
    `config` may be read after one pass over `layers()`.
    """

    def __init__(
        self,
        open_archive: Callable[[], AbstractContextManager[BinaryIO]],
        config_digest: Digest,
        diff_ids: tuple[Digest, ...],
        platform: Platform,
        size: int = 0,
        sizes: Callable[[], tuple[int, ...]] = tuple,
    ) -> None:
        self._size = size
        self._sizes = sizes
        self._open = open_archive
        self._config: bytes | None = None
        self.config_digest = config_digest
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

    def size_of(self, diff_ids: frozenset[Digest]) -> int:
        """As the engine tells it; where it tells no layer's, an equal share of the whole for each."""
        if diff_ids.issuperset(self.diff_ids):
            return self._size
        sizes = self._sizes()
        if len(sizes) != len(self.diff_ids):
            return self._size * len(diff_ids) // max(len(self.diff_ids), 1)
        return sum(
            {diff_id: size for diff_id, size in zip(self.diff_ids, sizes, strict=True) if diff_id in diff_ids}.values()
        )

    @contextmanager
    def layers(self, diff_ids: frozenset[Digest]) -> Iterator[Iterator[tuple[Digest | None, Layer]]]:
        """The layers in the archive's order, each once; those not in `diff_ids` are left out where they are known."""
        with self._open() as stream:
            yield self._walk(Tar(stream), diff_ids)

    def _walk(self, tar: Tar, diff_ids: frozenset[Digest]) -> Iterator[tuple[Digest | None, Layer]]:
        chain = chain_ids(self.diff_ids)
        legacy_names: dict[str, Digest] = {}
        for member in tar:
            self._keep_config(tar, member)
            if document := _LEGACY_DOCUMENT.fullmatch(member.name):
                index = find_layer(tar.read_whole(member), chain)
                legacy_names |= {} if index is None else {document[1]: self.diff_ids[index]}
            diff_id, is_layer = self._layer(member.name, legacy_names)
            if is_layer and (diff_id is None or diff_id in diff_ids):
                yield diff_id, open_layer(partial(tar.read, member), member.size)

    def _layer(self, name: str, legacy_names: dict[str, Digest]) -> tuple[Digest | None, bool]:
        """A layer's diffID, as far as its name tells it, and whether it is a layer at all."""
        if legacy := _LEGACY.fullmatch(name):
            return legacy_names.get(legacy[1]), True
        match = _NAMED.fullmatch(name)
        diff_id = Digest("sha256", match[1]) if match else None
        if diff_id in self.diff_ids:
            return diff_id, True
        return None, bool(match and match[2])

    def _keep_config(self, tar: Tar, member: Member) -> None:
        match = _CONFIG.fullmatch(member.name)
        if self._config is None and match and self.config_digest.hex in match.groups():
            config = tar.read_whole(member)
            if not self.config_digest.matches(config):
                raise BadArchive(f"the config in the archive is not what its name {self.config_digest} says")
            self._config = config


class SavedImageFile:
    """An image in a file that `docker save` wrote: its layers are known beforehand, and read in place."""

    def __init__(self, files: PackedFiles, entry: ImageEntry, config: bytes) -> None:
        self._files = files
        self.config = config
        self.config_digest = Digest.of(config)
        document = read_document(config)
        self.diff_ids = read_diff_ids(document)
        self.platform = Platform.of_config(document)
        self._members = _layer_members(files, entry, self.diff_ids)

    def size_of(self, diff_ids: frozenset[Digest]) -> int:
        """Their bytes as they stand in the file."""
        return sum(member.size for diff_id, member in self._members.items() if diff_id in diff_ids)

    @contextmanager
    def layers(self, diff_ids: frozenset[Digest]) -> Iterator[Iterator[tuple[Digest | None, Layer]]]:
        """The layers of `diff_ids`, each once, the lowest first."""
        with ExitStack() as stack:
            yield self._walk(diff_ids, stack)

    def _walk(self, diff_ids: frozenset[Digest], stack: ExitStack) -> Iterator[tuple[Digest | None, Layer]]:
        for diff_id, member in self._members.items():
            if diff_id in diff_ids:
                stack.close()
                stream = stack.enter_context(self._files.open(member.name))
                yield diff_id, open_layer(stream.read, member.size)


def _layer_members(files: PackedFiles, entry: ImageEntry, diff_ids: tuple[Digest, ...]) -> dict[Digest, Member]:
    if len(diff_ids) != len(entry.layers):
        raise BadArchive("the archive lists other layers than the image's config", reference=files.source)
    members: dict[Digest, Member] = {}
    for diff_id, name in zip(diff_ids, entry.layers, strict=True):
        member = files.find(name)
        if member is None:
            raise BadArchive(f"the archive lacks the layer {name} that it lists", reference=files.source)
        members[diff_id] = member
    return members


def read_entry(files: PackedFiles, name: str) -> tuple[ImageEntry, bytes]:
    """What manifest.json says of the image called `name`, and its config."""
    if files.find("manifest.json") is None:
        raise BadArchive(
            "the archive has no manifest.json: 'docker save' didn't write it",
            reference=files.source,
            hint="if it is an OCI archive, write oci-archive:FILE",
        )
    entry = choose_entry(read_entries(_document(files, "manifest.json")), name, files.source)
    config = _document(files, entry.config)
    digits = _HEX.search(entry.config)
    if digits and digits[0] != Digest.of(config).hex:
        raise BadArchive(f"the config {entry.config} is not what its name says", reference=files.source)
    return entry, config


def _document(files: PackedFiles, name: str) -> bytes:
    with files.open(name) as stream:
        return stream.read(LARGEST + 1)
