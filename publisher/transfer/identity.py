"""What makes two manifests the same image."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from publisher.model.errors import BadManifest, UsageError
from publisher.model.manifest import LARGEST, Content, Manifest, Platform, read_document

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from publisher.model.manifest import Descriptor

    BlobOpener = Callable[[Descriptor], AbstractContextManager[BinaryIO]]

_DEEPEST = 8
Identity = frozenset[tuple[str, str]]


def identity(content: Content, load: Callable[[Descriptor], Content]) -> Identity:
    """Platforms and config digests, attestations left out; a single image's platform is left open.

    load: reads a manifest that an index lists. Raises BadManifest for more than 8 levels.
    """
    return _identity(content, load, 0)


def _identity(content: Content, load: Callable[[Descriptor], Content], depth: int) -> Identity:
    if isinstance(content, Manifest):
        return single(str(content.config.digest))
    if depth >= _DEEPEST:
        raise BadManifest(f"the index is nested deeper than {_DEEPEST} levels")
    pairs = set[tuple[str, str]]()
    for entry in content.images:
        nested = _identity(load(entry), load, depth + 1)
        pairs |= {(str(entry.platform or name), config) for name, config in nested}
    # An index of one image is that image: engines with a containerd store make one even for a single platform.
    return single(next(iter(pairs))[1]) if len(pairs) == 1 else frozenset(pairs)


def single(config: str) -> Identity:
    """The identity of one image by its config's digest."""
    return frozenset({("", config)})


def platform_of(manifest: Manifest, open_blob: BlobOpener) -> Platform:
    """The platform of a single image; its config is read by `open_blob`."""
    with open_blob(manifest.config) as stream:
        return platform_of_config(stream.read(LARGEST + 1))


def platform_reader(open_blob: BlobOpener) -> Callable[[Content], Platform]:
    """As platform_of, of whatever content there is; what it gives raises UsageError for an index."""

    def read(content: Content) -> Platform:
        if not isinstance(content, Manifest):
            raise UsageError("an index has no platform of its own")
        return platform_of(content, open_blob)

    return read


def platform_of_config(config: bytes) -> Platform:
    """The platform that config bytes state."""
    return Platform.of_config(read_document(config))
