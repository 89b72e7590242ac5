"""A tar archive, read in one pass, in place: nothing is ever extracted."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, Final

from publisher.archives.extension import Extension, read_extension
from publisher.archives.header import BLOCK, EXTENSIONS, LARGEST_EXTENSION, Header, Kind, read_header
from publisher.archives.names import Names
from publisher.model.errors import BadArchive
from publisher.model.manifest import LARGEST
from publisher.model.value import Value

if TYPE_CHECKING:
    from collections.abc import Iterator

_PIECE: Final = 1 << 20
_LONGEST_END: Final = 16 << 20
"""Zero bytes after the last member; tar programs write up to one record of them."""
_GZIP: Final = b"\x1f\x8b"


class Member(Value, frozen=True):
    """A regular file of the archive; its bytes start at `offset`."""

    name: str
    offset: int
    size: int


class Tar:
    """Goes through an archive once; between two members the bytes of the current one can be read.

    stream: the archive from its start. What isn't read is passed over, by seeking where the stream can.
    Raises BadArchive for whatever is malformed, cut off, or has no place in an image.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self.names = Names()
        self._stream = stream
        self._seekable = stream.seekable()
        self._position = 0
        self._current: Member | None = None
        self._end = 0

    def __iter__(self) -> Iterator[Member]:
        while (header := self._next()) is not None:
            name = self.names.add(header)
            if header.kind is not Kind.FILE:
                if header.size:
                    raise BadArchive(f"the archive has bytes in {name!r}, which isn't a file")
                continue
            self._current = Member(name, self._position, header.size)
            self._end = self._position + header.size
            yield self._current
            self._current = None
            self._skip(self._end + -header.size % BLOCK - self._position)
        self._finish()

    def read(self, member: Member, size: int) -> bytes:
        """The next bytes of the current member, at most `size`; empty at its end."""
        if member is not self._current:
            raise ValueError(f"{member.name} is not the member that is being read")
        wanted = min(size, self._end - self._position)
        found = self._stream.read(wanted) if wanted else b""
        if wanted and not found:
            raise BadArchive(f"the archive is cut off within {member.name!r}")
        self._position += len(found)
        return found

    def read_whole(self, member: Member) -> bytes:
        """All bytes of the current member, which must be a document; raises BadArchive for more than 16 MiB."""
        if member.size > LARGEST:
            raise BadArchive(f"the archive has a {member.name} of {member.size:,} bytes, at most {LARGEST:,} are read")
        pieces = []
        while piece := self.read(member, LARGEST):
            pieces.append(piece)
        return b"".join(pieces)

    def _next(self) -> Header | None:
        """The next member's header with what extends it; None at the end."""
        extension = Extension()
        extended = False
        while (block := self._exactly(BLOCK)).strip(b"\0"):
            self._recognise(block)
            header = read_header(block)
            if header.kind not in EXTENSIONS:
                return extension.apply(header)
            extension = extension.joined(self._extension(header))
            extended = extended or header.kind is not Kind.GLOBAL_EXTENSION
        if extended:
            raise BadArchive("the archive ends after a header that announces a member")
        return None

    def _recognise(self, block: bytes) -> None:
        if self._position == BLOCK and block.startswith(_GZIP):
            raise BadArchive("the archive is compressed", hint="decompress it first: gunzip -k FILE")

    def _extension(self, header: Header) -> Extension:
        if header.size > LARGEST_EXTENSION:
            raise BadArchive(f"the archive has an extended header of {header.size:,} bytes")
        content = self._exactly(header.size)
        self._skip(-header.size % BLOCK)
        return read_extension(header.kind, content)

    def _exactly(self, size: int) -> bytes:
        found = b""
        while len(found) < size:
            piece = self._stream.read(size - len(found))
            if not piece:
                raise BadArchive("the archive is cut off")
            found += piece
        self._position += size
        return found

    def _skip(self, amount: int) -> None:
        if self._seekable:
            self._position += amount
            self._stream.seek(self._position)
            return
        while amount > 0:
            amount -= len(self._exactly(min(amount, _PIECE)))

    def _finish(self) -> None:
        """Two blocks of zeros are the end; a second archive behind it would be for other readers only."""
        if self._exactly(BLOCK).strip(b"\0"):
            raise BadArchive("the archive's end is not marked as one")
        while piece := self._stream.read(_PIECE):
            self._position += len(piece)
            if piece.strip(b"\0") or self._position - self._end > _LONGEST_END:
                raise BadArchive("the archive has something behind its end")
        self.names.finish()
