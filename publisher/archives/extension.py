"""What stands before a tar member whose name or size doesn't fit its header: pax records and GNU's long names."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from publisher.archives.header import Header, Kind, text
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

    def joined(self, other: Extension) -> Extension:
        """Both together; raises BadArchive where both name the same thing: one reader takes this, another that."""
        pairs = [(getattr(self, name), getattr(other, name)) for name in ("path", "linkpath", "size")]
        if any(one is not None and two is not None for one, two in pairs):
            raise BadArchive("the archive names one member twice over")
        return Extension(*(one if two is None else two for one, two in pairs))


def read_extension(kind: Kind, content: bytes) -> Extension:
    """Read the bytes of an extended header; raises BadArchive.

    Source: POSIX.1-2017, pax, "pax Extended Header"; GNU tar manual, "Basic Tar Format".
    """
    if kind is Kind.LONG_NAME:
        return Extension(path=_long(content))
    if kind is Kind.LONG_TARGET:
        return Extension(linkpath=_long(content))
    records = _records(content)
    if kind is Kind.GLOBAL_EXTENSION:
        if _OURS & records.keys():
            raise BadArchive("the archive renames all its members at once")
        return Extension()
    size = records.get("size")
    return Extension(_named(records, "path"), _named(records, "linkpath"), None if size is None else _size(size))


def _long(content: bytes) -> str:
    name, nul, rest = content.partition(b"\0")
    if not nul or rest.strip(b"\0"):
        raise BadArchive("a long name in the archive doesn't end where it should")
    return text(name)


def _records(content: bytes) -> dict[str, bytes]:
    """Lines of LENGTH KEYWORD=VALUE, where LENGTH counts its whole line."""
    found: dict[str, bytes] = {}
    while content:
        record, content = _record(content)
        keyword, equals, value = record.partition(b"=")
        name = text(keyword)
        if not equals or not name or name in found:
            raise BadArchive(f"the archive has an extended header with a bad record {name!r}")
        if name.startswith("GNU.sparse."):
            raise BadArchive("the archive has a sparse file, which no image needs")
        found[name] = value
    return found


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


def _named(records: dict[str, bytes], keyword: str) -> str | None:
    return text(records[keyword]) if keyword in records else None
