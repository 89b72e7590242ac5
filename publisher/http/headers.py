"""Header values that are numbers or links: one strict reader each."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

# Python also reads digits of other alphabets, underscores and signs, and takes thousands of digits for an error.
_NUMBER: Final = re.compile(r"[0-9]{1,18}")
_RANGE: Final = re.compile(r"(?:bytes=)?[0-9]{1,18}-([0-9]{1,18})")
_RELATION: Final = re.compile(r"""\s*rel\s*=\s*["']?([^"']*)["']?\s*""", re.IGNORECASE)


def read_number(text: str) -> int | None:
    """A number of bytes or seconds, in ASCII digits; None for anything else."""
    return int(text) if _NUMBER.fullmatch(text) else None


def content_length(headers: Mapping[str, str]) -> int | None:
    """How long the answer says that its content is."""
    return read_number(headers.get("Content-Length", ""))


def last_byte(headers: Mapping[str, str]) -> int | None:
    """The last byte of an upload's Range, as in 0-1023."""
    match = _RANGE.fullmatch(headers.get("Range", ""))
    return int(match[1]) if match else None


def next_link(header: str) -> str | None:
    """The target of the Link with rel="next", which may be empty; None where there is none.

    RFC 8288, as registries nearly write it: without quotes, in any case, without angle brackets. Where no link says
    how it is related the first one counts, as it does for crane, which never looks. Raises ValueError for a header
    that is none of these: a list that goes on must not pass for a whole one.
    """
    links = [link.split(";") for link in re.split(r",\s*(?=<)", header) if link.strip()]
    relations = [_relations(parameters) for _target, *parameters in links]
    if links and not any(relations):
        return _bracketed(links[0][0])
    nexts = (target for (target, *_parameters), names in zip(links, relations, strict=True) if "next" in names)
    target = next(nexts, None)
    return None if target is None else target.strip("<> '\"")


def _relations(parameters: list[str]) -> list[str]:
    matches = map(_RELATION.fullmatch, parameters)
    return [name.lower() for match in matches if match for name in match[1].split()]


def _bracketed(target: str) -> str:
    match = re.match(r"\s*<([^>]*)>", target)
    if match is None:
        raise ValueError("a Link without <>")
    return match[1].strip()
