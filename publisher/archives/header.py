"""One header of a tar archive, read strictly: what two readers could understand in two ways is refused."""

from __future__ import annotations

from enum import Enum
from typing import Final

from msgspec.structs import replace

from publisher.model.errors import BadArchive
from publisher.model.value import Value

_DIGITS: Final = frozenset(b"0123456789")
_LONGEST_NUMBER: Final = 19
_OURS: Final = frozenset({"path", "linkpath", "size"})


class Extension(Value, frozen=True):
    """What is said of the next member; None where nothing is."""

    path: str | None = None
    linkpath: str | None = None
    size: int | None = None

    def apply(self, header: Header) -> Header:
        """The header as it is meant."""
        return replace(
            header,
            name=header.name if self.path is None else self.path,
            target=header.target if self.linkpath is None else self.linkpath,
            size=header.size if self.size is None else self.size,
        )

    def merge(self, other: Extension) -> Extension:
        """Both together; raises BadArchive where both name the same thing: one reader takes this, another that."""
        pairs = [(getattr(self, name), getattr(other, name)) for name in ("path", "linkpath", "size")]
        if any(first is not None and second is not None for first, second in pairs):
            raise BadArchive("the archive names one member twice over")
        return Extension(*(first if second is None else second for first, second in pairs))


def read_extension(kind: MemberType, content: bytes) -> Extension:
    """Read the bytes of an extended header; raises BadArchive.

    Source: POSIX.1-2017, pax, "pax Extended Header"; GNU tar manual, "Basic Tar Format".
    """
    if kind is MemberType.LONG_NAME:
        return Extension(path=_long(content))
    if kind is MemberType.LONG_TARGET:
        return Extension(linkpath=_long(content))
    records = _records(content)
    if kind is MemberType.GLOBAL_EXTENSION:
        if _OURS & records.keys():
            raise BadArchive("the archive renames all its members at once")
        return Extension()
    size = records.get("size")
    return Extension(
        _record_text(records, "path"), _record_text(records, "linkpath"), None if size is None else _size(size)
    )


def _long(content: bytes) -> str:
    name, nul, rest = content.partition(b"\0")
    if not nul or rest.strip(b"\0"):
        raise BadArchive("a long name in the archive doesn't end where it should")
    return text(name)


def _records(content: bytes) -> dict[str, bytes]:
    """Lines of LENGTH KEYWORD=VALUE, where LENGTH counts its whole line."""
    records: dict[str, bytes] = {}
    while content:
        record, content = _record(content)
        keyword, equals, value = record.partition(b"=")
        name = text(keyword)
        if not equals or not name or name in records:
            raise BadArchive(f"the archive has an extended header with a bad record {name!r}")
        if name.startswith("GNU.sparse."):
            raise BadArchive("the archive has a sparse file, which no image needs")
        records[name] = value
    return records


def _record(content: bytes) -> tuple[bytes, bytes]:
    digits, space, _ = content[: _LONGEST_NUMBER + 1].partition(b" ")
    length = _size(digits) if space else 0
    if not len(digits) + 2 < length <= len(content) or content[length - 1 : length] != b"\n":
        raise BadArchive("the archive has an extended header whose records don't fit")
    return content[len(digits) + 1 : length - 1], content[length:]


def _size(digits: bytes) -> int:
    if not digits or len(digits) > _LONGEST_NUMBER or not _DIGITS.issuperset(digits):
        raise BadArchive(f"the archive has an extended header with {digits!r} where a number belongs")
    return int(digits)


def _record_text(records: dict[str, bytes], keyword: str) -> str | None:
    return text(records[keyword]) if keyword in records else None


BLOCK: Final = 512
LONGEST_NAME: Final = 512
"""Bytes of a member's name; image archives need 141 (blobs/sha512/…)."""
LARGEST_EXTENSION: Final = 64 * 1024
"""Bytes of an extended header; real ones have a few hundred."""

_MAGICS: Final = (b"ustar\x0000", b"ustar  \x00")
_CHECKSUM: Final = slice(148, 156)


class MemberType(Enum):
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
EXTENSIONS: Final = frozenset(
    {MemberType.EXTENSION, MemberType.GLOBAL_EXTENSION, MemberType.LONG_NAME, MemberType.LONG_TARGET}
)


class Header(Value, frozen=True):
    """One block: `size` is that of the bytes that follow, `target` where a link points."""

    kind: MemberType
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
    checksum = _number(block[_CHECKSUM])
    if checksum != sum(block) - sum(block[_CHECKSUM]) + 8 * 0x20:
        raise BadArchive("a header of the archive doesn't have the checksum that it states")


def _kind(flag: bytes) -> MemberType:
    if flag == b"\0":
        return MemberType.FILE
    try:
        return MemberType(flag)
    except ValueError:
        what = _REFUSED.get(flag, f"a member of the unknown type {flag!r}")
        raise BadArchive(f"the archive has {what}, which no image needs") from None


def _field(raw: bytes) -> bytes:
    """A text up to its first NUL; after it there may be only more of them."""
    value, _, rest = raw.partition(b"\0")
    if rest.strip(b"\0"):
        raise BadArchive("a header of the archive hides text behind a NUL")
    return value


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
