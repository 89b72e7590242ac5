"""One header of a tar archive, read strictly: what two readers could understand in two ways is refused."""

from __future__ import annotations

from enum import Enum
from typing import Final

from publisher.model.errors import BadArchive
from publisher.model.value import Value

BLOCK: Final = 512
LONGEST_NAME: Final = 512
"""Bytes of a member's name; image archives need 141 (blobs/sha512/…)."""
LARGEST_EXTENSION: Final = 64 * 1024
"""Bytes of an extended header; real ones have a few hundred."""

_MAGICS: Final = (b"ustar\x0000", b"ustar  \x00")
_CHECKSUM: Final = slice(148, 156)


class Kind(Enum):
    """What a header announces; the last four belong to the member that follows."""

    FILE = b"0"
    HARD_LINK = b"1"
    LINK = b"2"
    FOLDER = b"5"
    EXTENSION = b"x"
    GLOBAL_EXTENSION = b"g"
    LONG_NAME = b"L"
    LONG_TARGET = b"K"


_REFUSED: Final = {
    b"3": "a character device",
    b"4": "a block device",
    b"6": "a pipe",
    b"7": "a contiguous file",
    b"S": "a sparse file",
    b"D": "a GNU dump folder",
    b"M": "a part of a file on another volume",
    b"V": "a volume's label",
}
EXTENSIONS: Final = frozenset({Kind.EXTENSION, Kind.GLOBAL_EXTENSION, Kind.LONG_NAME, Kind.LONG_TARGET})


class Header(Value, frozen=True):
    """One block: `size` is that of the bytes that follow, `target` where a link points."""

    kind: Kind
    name: str
    target: str
    size: int


def read_header(block: bytes) -> Header:
    """Read 512 bytes; raises BadArchive for everything that images don't need.

    Source: POSIX.1-2017, pax, "ustar Interchange Format"; GNU tar manual, "Basic Tar Format".
    """
    _check_sum(block)
    if block[257:265] not in _MAGICS:
        raise BadArchive("the archive is not a tar archive in the ustar, pax or GNU format")
    kind = _kind(block[156:157])
    name = text(_field(block[0:100]))
    # GNU's format has other things in the place of the prefix.
    prefix = text(_field(block[345:500])) if block[257:265] == _MAGICS[0] else ""
    return Header(kind, f"{prefix}/{name}" if prefix else name, text(_field(block[157:257])), _number(block[124:136]))


def _check_sum(block: bytes) -> None:
    stated = _number(block[_CHECKSUM])
    if stated != sum(block) - sum(block[_CHECKSUM]) + 8 * 0x20:
        raise BadArchive("a header of the archive doesn't have the checksum that it states")


def _kind(flag: bytes) -> Kind:
    if flag == b"\0":
        return Kind.FILE
    try:
        return Kind(flag)
    except ValueError:
        what = _REFUSED.get(flag, f"a member of the unknown type {flag!r}")
        raise BadArchive(f"the archive has {what}, which no image needs") from None


def _field(raw: bytes) -> bytes:
    """A text up to its first NUL; after it there may be only more of them."""
    found, _, rest = raw.partition(b"\0")
    if rest.strip(b"\0"):
        raise BadArchive("a header of the archive hides text behind a NUL")
    return found


def text(raw: bytes) -> str:
    """A name as UTF-8; raises BadArchive."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise BadArchive(f"a name in the archive is not UTF-8: {raw!r}") from None


def _number(raw: bytes) -> int:
    """Octal digits, or GNU's base 256 for what doesn't fit them."""
    if raw[0] == 0x80:  # noqa: PLR2004 - the mark of a positive number in base 256
        number = int.from_bytes(raw[1:])
        if number >= 1 << 63:
            raise BadArchive("a header of the archive states an impossible size")
        return number
    digits = raw.strip(b" \0")
    if digits.strip(b"01234567"):
        raise BadArchive(f"a header of the archive has {raw!r} where a number belongs")
    return int(digits or b"0", 8)
