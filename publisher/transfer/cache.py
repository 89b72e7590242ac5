"""The cache: which compressed blobs stand for which uncompressed layers."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from publisher.model import media
from publisher.model.digest import Digest
from publisher.model.errors import PublishError
from publisher.model.manifest import Descriptor, read_document

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from publisher.model.manifest import Manifest
    from publisher.transfer.compression import Compression

_MOST: Final = 4_096
_LARGEST: Final = 4 << 20
_REUSABLE: Final = {
    media.OCI_LAYER_GZIP: media.OCI_LAYER_GZIP,
    media.DOCKER_LAYER_GZIP: media.OCI_LAYER_GZIP,  # the same bytes under docker's name
    media.OCI_LAYER_ZSTD: media.OCI_LAYER_ZSTD,
    media.OCI_LAYER_TAR: media.OCI_LAYER_TAR,
}


class _Row(msgspec.Struct, frozen=True, kw_only=True):
    """One layer at one registry: what it is uncompressed, how it was compressed, what came of it."""

    host: str
    diff_id: str
    compression: str
    digest: str
    size: int


class _File(msgspec.Struct, frozen=True, kw_only=True, tag_field="schema", tag="publish.blobs/1"):
    rows: tuple[_Row, ...]


class BlobCache:
    """A file of guesses, newest last, at most 4,096; deleting it costs time only, and what is torn is ignored.

    A guess is looked up in the registry before it is relied on, so a wrong one costs one request.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def known(self, host: str, compression: Compression, diff_ids: Iterable[Digest]) -> dict[Digest, Descriptor]:
        """What `host` (host[:port]) was sent for `diff_ids`, compressed the same way."""
        wanted = {str(diff_id) for diff_id in diff_ids}
        rows = (row for row in self._read() if row.host == host and row.compression == _kind(compression))
        found: dict[Digest, Descriptor] = {}
        for row in rows:
            if row.diff_id in wanted:
                with suppress(PublishError):
                    blob = Descriptor(compression.media_type, Digest.parse(row.digest), row.size)
                    found[Digest.parse(row.diff_id)] = blob
        return found

    def remember(self, host: str, compression: Compression, layers: Mapping[Digest, Descriptor]) -> None:
        """Add what `host` now holds. A cache that can't be written is none: nothing is raised."""
        new = tuple(
            _Row(host=host, diff_id=str(diff), compression=_kind(compression), digest=str(blob.digest), size=blob.size)
            for diff, blob in layers.items()
            if blob.media_type == compression.media_type
        )
        kept = {(row.host, row.diff_id, row.compression): row for row in self._read()}
        for row in new:
            kept.pop((row.host, row.diff_id, row.compression), None)
            kept[row.host, row.diff_id, row.compression] = row
        with suppress(OSError):
            self._write(_File(rows=tuple(kept.values())[-_MOST:]))

    def _read(self) -> tuple[_Row, ...]:
        try:
            with self._path.open("rb") as file:
                return msgspec.json.decode(file.read(_LARGEST), type=_File).rows
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return ()

    def _write(self, content: _File) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, beside = tempfile.mkstemp(dir=self._path.parent, prefix=f".{self._path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(msgspec.json.encode(content))
            Path(beside).replace(self._path)
        except BaseException:
            Path(beside).unlink(missing_ok=True)
            raise


def _kind(compression: Compression) -> str:
    return f"{compression.name}:{compression.level}"


def layers_of(manifest: Manifest, config: bytes) -> dict[Digest, Descriptor]:
    """The layers of a published image by diffID, as its config lists them; none where the two don't fit together.

    Raises BadManifest or BadReference for a config that is malformed.
    """
    rootfs = read_document(config).get("rootfs")
    listed = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    if not isinstance(listed, list) or len(listed) != len(manifest.layers):
        return {}
    return {
        Digest.parse(str(diff_id)): Descriptor(_REUSABLE[layer.media_type], layer.digest, layer.size)
        for diff_id, layer in zip(listed, manifest.layers, strict=True)
        if layer.media_type in _REUSABLE
    }
