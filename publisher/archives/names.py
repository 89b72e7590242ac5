"""The names within an archive: none leads out of it, none stands for two things."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, Final

from publisher.archives.header import LONGEST_NAME, Kind
from publisher.model.errors import BadArchive

if TYPE_CHECKING:
    from publisher.archives.header import Header

_MOST: Final = 50_000
"""Members; an image has at most 127 layers for each of its platforms."""
_DRIVE: Final = re.compile(r"[A-Za-z]:")


class Names:
    """The members that were met so far, and their links."""

    def __init__(self) -> None:
        self._kinds: dict[str, Kind] = {}
        self._folded: dict[str, str] = {}
        self._links: dict[str, str] = {}

    def add(self, header: Header) -> str:
        """Take a member; returns its plain name. Raises BadArchive."""
        name = _plain(header)
        if len(self._kinds) >= _MOST:
            raise BadArchive(f"the archive has more than {_MOST:,} members")
        if name in self._kinds and not header.kind is self._kinds[name] is Kind.FOLDER:
            raise BadArchive(f"the archive holds {name!r} twice")
        other = self._folded.setdefault(name.casefold(), name)
        if other != name:
            raise BadArchive(f"the archive holds {other!r} and {name!r}, which differ only in case")
        self._kinds[name] = header.kind
        if header.kind is Kind.LINK:
            self._links[name] = _within(name, posixpath.join(posixpath.dirname(name), _target(header)))
        elif header.kind is Kind.HARD_LINK:
            self._links[name] = _within(name, _target(header))
        return name

    def file(self, name: str) -> str:
        """The file that a name stands for: its own, or the one that it links to."""
        return self._links.get(name, name)

    def finish(self) -> None:
        """Check the links, once all members are known: each leads to a file of the archive, in one step."""
        for name, target in self._links.items():
            if self._kinds.get(target) is not Kind.FILE:
                raise BadArchive(f"the archive has a link {name!r} to {target!r}, which is none of its files")


def _plain(header: Header) -> str:
    """The name without the dots and slashes that say nothing, so that each file has one name."""
    _check(header.name, header.name)
    parts = [part for part in header.name.split("/") if part not in {"", "."}]
    if ".." in parts or (not parts and header.kind is not Kind.FOLDER):
        raise BadArchive(f"the archive has a member that leads out of it or has no name: {header.name!r}")
    if header.kind is not Kind.FOLDER and header.name.endswith("/"):
        raise BadArchive(f"the archive has a file with the name of a folder: {header.name!r}")
    return "/".join(parts)


def _check(shown: str, name: str) -> None:
    if len(name.encode()) > LONGEST_NAME:
        raise BadArchive(f"the archive has a name of {len(name.encode()):,} bytes, at most {LONGEST_NAME} are read")
    if "\\" in name or "\0" in name or name.startswith("/") or _DRIVE.match(name):
        raise BadArchive(f"the archive has a member that leads out of it: {shown!r}")


def _target(header: Header) -> str:
    _check(header.target, header.target)
    return header.target


def _within(name: str, target: str) -> str:
    found = posixpath.normpath(target)
    if found.startswith("../") or found in {"..", "."}:
        raise BadArchive(f"the archive has a link that leads out of it: {name!r}")
    return found
