"""Expressions within rules: `{{branch}}`, `{{date 'YYYYMMDD' tz='UTC'}}`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from publisher.planning.moment import format_moment
from publisher.planning.origin import RefKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime, tzinfo

    from publisher.planning.origin import Origin

# GitHub starts these for the newest commit of the default branch.
_ON_DEFAULT: Final = ("create", "discussion", "issues", "schedule")

_EXPRESSION = re.compile(r"\{\{\s*(.*?)\s*\}\}")
_QUOTED = r"'([^']*)'|\"([^\"]*)\""
_WORD = re.compile(rf"\s*(?:(\w+)\s*=\s*)?(?:{_QUOTED}|([^\s'\"=]+))")

DATES: Final = ("date", "commit_date")


class BadExpression(ValueError):
    """What is wrong with an expression; the caller knows in which rule it stands."""


def expand(text: str, origin: Origin) -> str:
    """Put in what the expressions stand for; raises BadExpression."""
    return substitute(text, lambda expression: _value(expression, origin))


def expand_dates(text: str, origin: Origin) -> str:
    """As expand, for a schedule's pattern, which knows dates only."""

    def value(expression: str) -> str:
        name = expression.partition(" ")[0]
        if name not in DATES:
            raise _unknown(name, DATES)
        return _value(expression, origin)

    return substitute(text, value)


def substitute(text: str, value: Callable[[str], str]) -> str:
    """Replace what stands between braces; raises BadExpression for braces that don't close."""
    made = _EXPRESSION.sub(lambda found: value(found[1]), text)
    rest = _EXPRESSION.sub("", text)
    if "{{" in rest or "}}" in rest:
        raise BadExpression(f"the braces of '{text}' don't pair up; an expression is written {{{{branch}}}}")
    return made


def default_branch(origin: Origin) -> str:
    """The repository's default branch; where nobody says, that of an event which only happens there."""
    if origin.default_branch:
        return origin.default_branch
    return origin.name if origin.kind is RefKind.BRANCH and _happens_on_default(origin) else ""


def _happens_on_default(origin: Origin) -> bool:
    return any(event in origin.event for event in _ON_DEFAULT)


def _is_default(origin: Origin) -> bool:
    if origin.kind is RefKind.NONE:
        return False
    is_it = origin.kind is RefKind.BRANCH and origin.name == origin.default_branch
    return is_it or _happens_on_default(origin)


_VALUES: Final[dict[str, Callable[[Origin], str]]] = {
    "branch": lambda origin: origin.name if origin.kind is RefKind.BRANCH else "",
    "tag": lambda origin: origin.name if origin.kind is RefKind.TAG else "",
    "sha": lambda origin: origin.short,
    "base_ref": lambda origin: origin.base_ref,
    "is_default_branch": lambda origin: str(_is_default(origin)).lower(),
    "is_not_default_branch": lambda origin: str(not _is_default(origin)).lower(),
}


def _value(expression: str, origin: Origin) -> str:
    name, _, rest = expression.partition(" ")
    if name in DATES:
        moment = origin.now if name == "date" else origin.committed or origin.now
        return _date(rest, moment)
    if name not in _VALUES:
        raise _unknown(name, (*_VALUES, *DATES))
    if rest.strip():
        raise BadExpression(f"{{{{{name}}}}} takes nothing, found '{rest.strip()}'")
    return _VALUES[name](origin)


def _unknown(name: str, known: Iterable[str]) -> BadExpression:
    return BadExpression(f"'{{{{{name}}}}}' is no expression here; known are {', '.join(known)}")


def _date(arguments: str, moment: datetime) -> str:
    pattern: str | None = None
    zone = "UTC"
    for key, value in _arguments(arguments):
        if key not in {"", "tz"}:
            raise BadExpression(f"'{key}' is no attribute of a date; it takes a format and tz='ZONE'")
        if key:
            zone = value or zone
        else:
            pattern = value
    return format_moment(moment.astimezone(_zone(zone)), pattern)


def _arguments(text: str) -> list[tuple[str, str | None]]:
    found: list[tuple[str, str | None]] = []
    at = 0
    while text[at:].strip():
        word = _WORD.match(text, at)
        if word is None:
            raise BadExpression(f"'{text.strip()}' can't be read; a date is written {{{{date 'YYYYMMDD' tz='UTC'}}}}")
        key, single, double, bare = word.groups()
        # A format without quotes is the name of nothing to Handlebars, so docker/metadata-action takes it for none.
        quoted = single if single is not None else double
        found.append((key or "", quoted if quoted is not None else bare if key else None))
        at = word.end()
    return found


def _zone(name: str) -> tzinfo:
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise BadExpression(f"'{name}' is no time zone that this machine knows, as in Europe/Berlin") from error
