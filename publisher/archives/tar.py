"""A tar archive, read in one pass, in place: nothing is ever extracted."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, BinaryIO, Final

from publisher.archives.header import (
    BLOCK,
    EXTENSIONS,
    LARGEST_EXTENSION,
    LONGEST_NAME,
    Extension,
    Header,
    MemberType,
    read_extension,
    read_header,
)
from publisher.model.errors import BadArchive
from publisher.model.manifest import LARGEST
from publisher.model.value import Value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from publisher.archives.header import Header


_MOST: Final = 50_000
"""Members; an image has at most 127 layers for each of its platforms."""
_DRIVE: Final = re.compile(r"[A-Za-z]:")


class Names:
    """The members that were met so far, and their links."""

    def __init__(self) -> None:
        self._kinds: dict[str, MemberType] = {}
        self._names_by_casefold: dict[str, str] = {}
        self._links: dict[str, str] = {}

    def add(self, header: Header) -> str:
        """Take a member; returns its plain name. Raises BadArchive."""
        name = _plain(header)
        if len(self._kinds) >= _MOST:
            raise BadArchive(f"the archive has more than {_MOST:,} members")
        if name in self._kinds and not header.kind is self._kinds[name] is MemberType.FOLDER:
            raise BadArchive(f"the archive holds {name!r} twice")
        other = self._names_by_casefold.setdefault(name.casefold(), name)
        if other != name:
            raise BadArchive(f"the archive holds {other!r} and {name!r}, which differ only in case")
        self._kinds[name] = header.kind
        if header.kind is MemberType.LINK:
            self._links[name] = _within(name, posixpath.join(posixpath.dirname(name), _target(header)))
        elif header.kind is MemberType.HARD_LINK:
            self._links[name] = _within(name, _target(header))
        return name

    def file(self, name: str) -> str:
        """The file that a name stands for: its own, or the one that it links to."""
        return self._links.get(name, name)

    def finish(self) -> None:
        """Check the links, once all members are known: each leads to a file of the archive, in one step."""
        for name, target in self._links.items():
            if self._kinds.get(target) is not MemberType.FILE:
                raise BadArchive(f"the archive has a link {name!r} to {target!r}, which is none of its files")


def _plain(header: Header) -> str:
    """The name without the dots and slashes that say nothing, so that each file has one name."""
    _check(header.name, header.name)
    parts = [part for part in header.name.split("/") if part not in {"", "."}]
    if ".." in parts or (not parts and header.kind is not MemberType.FOLDER):
        raise BadArchive(f"the archive has a member that leads out of it or has no name: {header.name!r}")
    if header.kind is not MemberType.FOLDER and header.name.endswith("/"):
        raise BadArchive(f"the archive has a file with the name of a folder: {header.name!r}")
    return "/".join(parts)


def _check(label: str, name: str) -> None:
    if len(name.encode()) > LONGEST_NAME:
        raise BadArchive(f"the archive has a name of {len(name.encode()):,} bytes, at most {LONGEST_NAME} are read")
    if "\\" in name or "\0" in name or name.startswith("/") or _DRIVE.match(name):
        raise BadArchive(f"the archive has a member that leads out of it: {label!r}")


def _target(header: Header) -> str:
    _check(header.target, header.target)
    return header.target


def _within(name: str, target: str) -> str:
    path = posixpath.normpath(target)
    if path.startswith("../") or path in {"..", "."}:
        raise BadArchive(f"the archive has a link that leads out of it: {name!r}")
    return path


_PIECE: Final = 1 << 20
_LONGEST_END: Final = 16 << 20
"""Zero bytes after the last member; tar programs write up to one record of them."""


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
            if header.kind is not MemberType.FILE:
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
        length = min(size, self._end - self._position)
        piece = self._stream.read(length) if length else b""
        if length and not piece:
            raise BadArchive(f"the archive is cut off within {member.name!r}")
        self._position += len(piece)
        return piece

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
        is_extended = False
        while (block := self._exactly(BLOCK)).strip(b"\0"):
            header = read_header(block)
            if header.kind not in EXTENSIONS:
                return extension.apply(header)
            extension = extension.merge(self._extension(header))
            is_extended = is_extended or header.kind is not MemberType.GLOBAL_EXTENSION
        if is_extended:
            raise BadArchive("the archive ends after a header that announces a member")
        return None

    def _extension(self, header: Header) -> Extension:
        if header.size > LARGEST_EXTENSION:
            raise BadArchive(f"the archive has an extended header of {header.size:,} bytes")
        content = self._exactly(header.size)
        self._skip(-header.size % BLOCK)
        return read_extension(header.kind, content)

    def _exactly(self, size: int) -> bytes:
        content = b""
        while len(content) < size:
            piece = self._stream.read(size - len(content))
            if not piece:
                raise BadArchive("the archive is cut off")
            content += piece
        self._position += size
        return content

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
