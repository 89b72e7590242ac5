"""A layer within an archive."""

from __future__ import annotations

import hashlib
import zlib
from itertools import product
from typing import TYPE_CHECKING, Final

import msgspec

from publisher.model.errors import BadArchive

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from publisher.model.digest import Digest


_DOCUMENT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_MADE_LATER = ("id", "parent")


def chain_ids(diff_ids: Sequence[Digest]) -> tuple[str, ...]:
    """The chainID of each layer with all below it. Source: OCI image-spec, "Layer ChainID"."""
    chain: list[str] = []
    for diff_id in diff_ids:
        below = chain[-1] if chain else None
        text = f"{below} {diff_id}"
        chain.append(f"sha256:{hashlib.sha256(text.encode()).hexdigest()}" if below else str(diff_id))
    return tuple(chain)


def find_layer(document: bytes, chain: Sequence[str]) -> int | None:
    """The place in `chain` of the layer whose `json` file in an archive this is; None where it can't be told.

    The layer's name there is the hash of that file's fields with the layer's chainID and its parent's name among
    them, so the right place is the one whose hash is the name: nothing is taken on trust.
    Source: moby 20.10, image/v1/imagev1.go, CreateID; and image/tarexport/save.go, which sets `os` after hashing,
    but for the topmost layer.
    """
    try:
        fields = _DOCUMENT.decode(document)
        name = msgspec.json.decode(fields["id"], type=str)
        parent = msgspec.json.decode(fields["parent"], type=str) if "parent" in fields else ""
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, KeyError):
        return None
    hashed_fields = {key: bytes(value) for key, value in fields.items() if key not in _MADE_LATER}
    if parent:
        hashed_fields["parent"] = b'"sha256:%s"' % parent.encode()
    for index, with_os in product(range(len(chain)), (False, True)):
        if _name(hashed_fields, chain[index], with_os=with_os) == name:
            return index
    return None


def _name(values: dict[str, bytes], chain_id: str, *, with_os: bool) -> str:
    """Go writes a map's keys sorted, and raw values as they are."""
    fields = {**values, "layer_id": b'"%s"' % chain_id.encode()}
    if not with_os:
        fields.pop("os", None)
    content = b",".join(b'"%s":%s' % (key.encode(), fields[key]) for key in sorted(fields))
    return hashlib.sha256(b"{%s}" % content).hexdigest()


_PIECE: Final = 1 << 18
_GZIP: Final = b"\x1f\x8b"
_GZIP_WINDOW: Final = 31
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
LARGEST_RATIO: Final = 1_000
"""More than that no layer shrinks, but for bombs."""
HARMLESS: Final = 1 << 30
"""So many bytes are never a bomb, whatever they came from."""


class PlainLayer:
    """Bytes as they stand. start: those that were read to tell what they are."""

    def __init__(self, read: Callable[[int], bytes], size: int, start: bytes) -> None:
        self.size = size
        self._read = read
        self._start = start

    def read(self, size: int, /) -> bytes:
        """The next bytes, at most `size`; empty at the end."""
        if not self._start:
            return self._read(size)
        head, self._start = self._start[:size], self._start[size:]
        return head + self._read(size - len(head)) if size > len(head) else head


class GzipLayer:
    """Bytes that stand compressed, as crane and kaniko write them. `size` is that of the compressed ones."""

    def __init__(self, layer: PlainLayer) -> None:
        self.size = layer.size
        self._layer = layer
        self._inflate = zlib.decompressobj(wbits=_GZIP_WINDOW)
        self._piece = b""
        self._total = 0

    def read(self, size: int, /) -> bytes:
        """The next bytes, at most `size`; empty at the end. Raises BadArchive for a bomb and for broken data."""
        while True:
            self._piece = self._piece or self._layer.read(_PIECE)
            if self._inflate.eof:
                if not self._piece:
                    return b""
                # Gzip files may be written one behind the other.
                self._inflate = zlib.decompressobj(wbits=_GZIP_WINDOW)
            if output := self._inflate_piece(size):
                return output

    def _inflate_piece(self, size: int) -> bytes:
        # All of the input may be taken and some of the output still to come.
        at_end = not self._piece
        try:
            output = self._inflate.decompress(self._piece, size)
        except zlib.error as error:
            raise BadArchive(f"a compressed layer of the archive is broken: {error}") from error
        if at_end and not output and not self._inflate.eof:
            raise BadArchive("a compressed layer of the archive is cut off")
        self._piece = self._inflate.unused_data if self._inflate.eof else self._inflate.unconsumed_tail
        self._total += len(output)
        if self._total > max(HARMLESS, self.size * LARGEST_RATIO):
            raise BadArchive("a layer of the archive grows more than a thousandfold: it is a decompression bomb")
        return output


def open_layer(read: Callable[[int], bytes], size: int) -> PlainLayer | GzipLayer:
    """The uncompressed bytes of a layer, whose file of `size` bytes `read` reads."""
    start = read(len(_ZSTD))
    layer = PlainLayer(read, size, start)
    if start.startswith(_GZIP):
        return GzipLayer(layer)
    if start.startswith(_ZSTD):
        raise BadArchive("a layer of the archive is compressed with zstd", hint="write oci-archive:FILE")
    return layer
