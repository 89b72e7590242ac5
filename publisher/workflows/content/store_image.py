"""An image of an engine with a containerd store: its manifests without its blobs, and its blobs as they stream by."""

from __future__ import annotations

import io
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, BinaryIO, Final

from publisher.archives.engine_export import EngineExport
from publisher.model.digest import Digest
from publisher.model.errors import BadManifest, Unreachable
from publisher.model.manifest import LARGEST, Content, Index, Manifest, parse_manifest
from publisher.workflows.content.engine_push import EnginePush
from publisher.workflows.content.origins import Origins, complete, pulled_from

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    from publisher.archives.engine_export import ExportedBlob
    from publisher.engine.image import EngineImage
    from publisher.model.manifest import Descriptor, Platform
    from publisher.model.protocols import StreamedBlob
    from publisher.workflows.session import Session

_DOCUMENTS: Final = 64 << 20
"""Bytes of JSON that are kept of an export, in all."""


class StoreImage:
    """A model.protocols.StoredImage whose id is its root's digest, and a model.protocols.BlobStream.

    Its manifests are read when they are asked for: by a push to a listener of ours that calls every blob present,
    else from the engine's export. What the engine lacks comes from where it pulled the image from.
    """

    def __init__(self, session: Session, named: object, held: EngineImage) -> None:
        self.held = held
        self.digest = Digest.parse(held.id)
        self.bar = _bar(session, held)
        """Why the engine can't push this image to us; "" where it can."""
        self._session = session
        self._named = named
        self.origins = Origins(session, named, self.digest, pulled_from(held.repo_digests, self.digest))
        self._contents: dict[Digest, Content] = {}
        self._documents: dict[Digest, bytes] = {}
        self._root: Content | None = None
        self._export = EngineExport(lambda: session.engine.open_export(held.id))

    @cached_property
    def _push(self) -> EnginePush:
        from publisher.registry.relay.listener import PushListener

        return EnginePush(self._session, self.held, PushListener(root=self.digest))

    def begin(self) -> None:
        """Let the engine push the manifests while something else is done."""
        if not self.bar:
            self._push.start()

    # As a StoredImage.

    @property
    def is_read(self) -> bool:
        """Whether its root is known."""
        return self._root is not None

    def root(self) -> Content:
        """The manifest or index that the engine has; raises Refused or Unreachable where it can't be had."""
        if self._root is None:
            lacks = self._read_by_push() if not self.bar else False
            self._root = self._contents.get(self.digest) or (self.origins.find(self.digest) if lacks else None)
        if self._root is None:
            with self.blobs() as blobs:
                for _blob in blobs:
                    pass
            self.settle()
        assert self._root is not None  # noqa: S101 - settle raises
        return self._root

    def settle(self) -> None:
        """Take the root from what an export brought; raises Unreachable where it isn't there."""
        if self._export.listing:
            for entry in self._export.listing.manifests:
                self.origins.add(entry.annotations)
        self._root = self._root or self._parsed(self.digest) or self.origins.find(self.digest)
        if self._root is None:
            raise Unreachable(f"the engine gives no manifest of {self._named}", reference=self._named)

    def whole(self, platforms: Sequence[Platform] = ()) -> Content:
        """The root, or its part for `platforms`, whose manifests can all be had; raises Refused."""
        return complete(self.root(), self.find, self.origins, platforms, self._session.progress.warn)

    def find(self, descriptor: Descriptor) -> Content | None:
        """A manifest, wherever it is."""
        if descriptor.digest not in self._contents:
            found = self._parsed(descriptor.digest, descriptor.media_type) or self.origins.find(descriptor.digest)
            if found is None:
                return None
            self._contents[descriptor.digest] = found
        return self._contents[descriptor.digest]

    def platform_of(self, manifest: Manifest) -> Platform:
        """What one of its images runs on."""
        root = self.root()
        entries = root.images if isinstance(root, Index) else ()
        listed = (entry.platform for entry in entries if entry.digest == manifest.digest and entry.platform)
        return next(listed, self.held.platform)

    def manifest(self, descriptor: Descriptor) -> Content:
        """A manifest that the root lists; raises Refused."""
        found, root = self.find(descriptor), self.root()
        if found is None:
            raise (
                self.origins.refusal(root, [descriptor])
                if isinstance(root, Index)
                else Unreachable(f"the engine gives no manifest {descriptor.digest}", reference=self._named)
            )
        return found

    def open_blob(self, descriptor: Descriptor) -> AbstractContextManager[BinaryIO]:
        """What the engine's own ways have not brought: a document of its export, or a blob from where it came from."""
        document = self._documents.get(descriptor.digest)
        return io.BytesIO(document) if document is not None else self.origins.open_blob(descriptor)

    @property
    def is_unpacked(self) -> bool:
        """Whether it is one image whose layers are not compressed: `docker load` of an old archive leaves such."""
        root = self.root()
        layers = {layer.digest for layer in root.layers} if isinstance(root, Manifest) else set()
        return bool(layers) and layers <= set(self.held.diff_ids)

    # As a BlobStream.

    @contextmanager
    def blobs(self) -> Iterator[Iterator[StreamedBlob]]:
        """The blobs of an export, once more from its start; what may be manifests is kept and doesn't come by."""
        with self._export.blobs() as blobs:
            yield self._kept(blobs)

    def _kept(self, blobs: Iterator[ExportedBlob]) -> Iterator[StreamedBlob]:
        """Until the root is known any JSON may be a manifest."""
        for blob in blobs:
            start = b"" if self.is_read or blob.size > LARGEST else blob.read(1)
            if not start:
                yield blob
            elif start != b"{" or self._kept_size + blob.size > _DOCUMENTS:
                yield _Begun(blob, start)
            else:
                self._keep(blob, start)

    @property
    def _kept_size(self) -> int:
        return sum(map(len, self._documents.values()))

    def _keep(self, blob: ExportedBlob, start: bytes) -> None:
        content = start + b"".join(iter(lambda: blob.read(LARGEST), b""))
        if not blob.digest.matches(content):
            raise BadManifest(f"{blob.digest} of the engine's export isn't what its name says", reference=self._named)
        self._documents[blob.digest] = content

    def _parsed(self, digest: Digest, media_type: str | None = None) -> Content | None:
        content = self._documents.get(digest)
        return None if content is None else parse_manifest(content, media_type)

    def _read_by_push(self) -> bool:
        """Let the engine push the manifests alone; returns whether it says that it lacks some of the image."""
        error, listener = self._push.wait(), self._push.listener
        self._contents |= {content.digest: content for content in listener.manifests.values()}
        if error is None:
            # Engines since 27 push the one platform that they have instead.
            return not listener.has_all
        self._session.tell(f"source: the engine pushes no whole image: {error.message}")
        return "not found" in error.message or "missing content" in error.message


class _Begun:
    """A blob whose first byte was read."""

    def __init__(self, blob: ExportedBlob, start: bytes) -> None:
        self.digest = blob.digest
        self.size = blob.size
        self._blob = blob
        self._start = start

    def read(self, size: int, /) -> bytes:
        """The next bytes, at most `size`; empty at the end."""
        start, self._start = self._start, b""
        return start or self._blob.read(size)


def _bar(session: Session, held: EngineImage) -> str:
    if not session.engine.loopback_is_ours:
        return f"the engine at {session.engine.address} does not share our loopback"
    if not held.references:
        return "the image has no name, which the engine needs to keep it"
    return ""
