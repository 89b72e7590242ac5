"""Expressions within rules: `{{branch}}`, `{{date 'YYYYMMDD' tz='UTC'}}`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from publisher.planning.build_ref import RefKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime, tzinfo

    from publisher.planning.build_ref import BuildRef


_MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_DAYS: Final = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_LONG: Final = {
    "LTS": "h:mm:ss A",
    "LT": "h:mm A",
    "L": "MM/DD/YYYY",
    "LL": "MMMM D, YYYY",
    "LLL": "MMMM D, YYYY h:mm A",
    "LLLL": "dddd, MMMM D, YYYY h:mm A",
    "l": "M/D/YYYY",
    "ll": "MMM D, YYYY",
    "lll": "MMM D, YYYY h:mm A",
    "llll": "ddd, MMM D, YYYY h:mm A",
}
_TOKEN: Final = re.compile(
    r"\[([^\[\]]*)\]"
    r"|(LTS|LT|LL?L?L?|ll?l?l?)"
    r"|(Mo|MM?M?M?|Do|DDDo|DD?D?D?|ddd?d?|do?|w[ow]?|W[oW]?|Qo?|YYYYYY|YYYY|YY|Y|gggg|gg|GGGG|GG"
    r"|e|E|a|A|hh?|HH?|kk?|mm?|ss?|S{1,9}|x|X|zz?|ZZ?)"
)


def format_moment(moment: datetime, pattern: str | None) -> str:
    """Write a moment, which has a time zone, by a pattern; without one as ISO 8601, `Z` for UTC."""
    if pattern is None:
        return moment.strftime("%Y-%m-%dT%H:%M:%S") + _iso_offset(moment)
    return _TOKEN.sub(lambda found: _written(moment, found), pattern)


def _written(moment: datetime, found: re.Match[str]) -> str:
    escaped, long, token = found.groups()
    if long:
        return format_moment(moment, _LONG[long])
    return escaped if token is None else _date_part(moment, token)


def _date_part(moment: datetime, token: str) -> str:
    if token.startswith("S"):
        return f"{moment.microsecond:06d}000"[: len(token)]
    if token.endswith("o"):
        return _ordinal(int(_TOKENS[token[:-1]](moment)))
    return _TOKENS[token](moment)


def _ordinal(number: int) -> str:
    teens = 10 < number % 100 < 14  # noqa: PLR2004 - eleventh to thirteenth
    return f"{number}{'th' if teens else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"


def _weekday(moment: datetime) -> int:
    return moment.isoweekday() % 7


def _week(moment: datetime) -> tuple[int, int]:
    """Year and number of the week that starts on Sunday; the first one is that of January 1."""
    year, day = moment.year, moment.timetuple().tm_yday
    if (moment.month, moment.day + 6 - _weekday(moment)) > (12, 31):
        return year + 1, 1
    first = (_weekday(moment) - day + 1) % 7
    return year, (day - 1 + first) // 7 + 1


def _offset(moment: datetime, colon: str) -> str:
    offset = moment.utcoffset()
    minutes = int(offset.total_seconds()) // 60 if offset else 0
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}{colon}{abs(minutes) % 60:02d}"


def _iso_offset(moment: datetime) -> str:
    return _offset(moment, ":") if moment.utcoffset() else "Z"


def _twelve(moment: datetime) -> int:
    return moment.hour % 12 or 12


_TOKENS: Final[dict[str, Callable[[datetime], str]]] = {
    "M": lambda at: str(at.month),
    "MM": lambda at: f"{at.month:02d}",
    "MMM": lambda at: _MONTHS[at.month - 1][:3],
    "MMMM": lambda at: _MONTHS[at.month - 1],
    "Q": lambda at: str((at.month + 2) // 3),
    "D": lambda at: str(at.day),
    "DD": lambda at: f"{at.day:02d}",
    "DDD": lambda at: str(at.timetuple().tm_yday),
    "DDDD": lambda at: f"{at.timetuple().tm_yday:03d}",
    "d": lambda at: str(_weekday(at)),
    "dd": lambda at: _DAYS[_weekday(at)][:2],
    "ddd": lambda at: _DAYS[_weekday(at)][:3],
    "dddd": lambda at: _DAYS[_weekday(at)],
    "e": lambda at: str(_weekday(at)),
    "E": lambda at: str(at.isoweekday()),
    "w": lambda at: str(_week(at)[1]),
    "ww": lambda at: f"{_week(at)[1]:02d}",
    "W": lambda at: str(at.isocalendar().week),
    "WW": lambda at: f"{at.isocalendar().week:02d}",
    "YY": lambda at: f"{at.year % 100:02d}",
    "YYYY": lambda at: f"{at.year:04d}",
    "YYYYYY": lambda at: f"+{at.year:06d}",
    "Y": lambda at: str(at.year),
    "gg": lambda at: f"{_week(at)[0] % 100:02d}",
    "gggg": lambda at: f"{_week(at)[0]:04d}",
    "GG": lambda at: f"{at.isocalendar().year % 100:02d}",
    "GGGG": lambda at: f"{at.isocalendar().year:04d}",
    "A": lambda at: "AM" if at.hour < 12 else "PM",  # noqa: PLR2004 - noon
    "a": lambda at: "am" if at.hour < 12 else "pm",  # noqa: PLR2004 - noon
    "H": lambda at: str(at.hour),
    "HH": lambda at: f"{at.hour:02d}",
    "h": lambda at: str(_twelve(at)),
    "hh": lambda at: f"{_twelve(at):02d}",
    "k": lambda at: str(at.hour or 24),
    "kk": lambda at: f"{at.hour or 24:02d}",
    "m": lambda at: str(at.minute),
    "mm": lambda at: f"{at.minute:02d}",
    "s": lambda at: str(at.second),
    "ss": lambda at: f"{at.second:02d}",
    "X": lambda at: str(int(at.timestamp())),
    "x": lambda at: str(int(at.timestamp() * 1000)),
    "z": lambda at: at.tzname() or "",
    "zz": lambda at: at.tzname() or "",
    "Z": lambda at: _offset(at, ":"),
    "ZZ": lambda at: _offset(at, ""),
}


# GitHub starts these for the newest commit of the default branch.
_ON_DEFAULT: Final = ("create", "discussion", "issues", "schedule")

_EXPRESSION = re.compile(r"\{\{\s*(.*?)\s*\}\}")
_QUOTED = r"'([^']*)'|\"([^\"]*)\""
_WORD = re.compile(rf"\s*(?:(\w+)\s*=\s*)?(?:{_QUOTED}|([^\s'\"=]+))")

DATES: Final = ("date", "commit_date")


class BadExpression(ValueError):
    """What is wrong with an expression; the caller knows in which rule it stands."""


def expand(text: str, origin: BuildRef) -> str:
    """Put in what the expressions stand for; raises BadExpression."""
    return substitute(text, lambda expression: _value(expression, origin))


def expand_dates(text: str, origin: BuildRef) -> str:
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


def default_branch(origin: BuildRef) -> str:
    """The repository's default branch; where nobody says, that of an event which only happens there."""
    if origin.default_branch:
        return origin.default_branch
    return origin.name if origin.kind is RefKind.BRANCH and _happens_on_default(origin) else ""


def _happens_on_default(origin: BuildRef) -> bool:
    return any(event in origin.event for event in _ON_DEFAULT)


def _is_default(origin: BuildRef) -> bool:
    if origin.kind is RefKind.NONE:
        return False
    is_it = origin.kind is RefKind.BRANCH and origin.name == origin.default_branch
    return is_it or _happens_on_default(origin)


_VALUES: Final[dict[str, Callable[[BuildRef], str]]] = {
    "branch": lambda origin: origin.name if origin.kind is RefKind.BRANCH else "",
    "tag": lambda origin: origin.name if origin.kind is RefKind.TAG else "",
    "sha": lambda origin: origin.short,
    "base_ref": lambda origin: origin.base_ref,
    "is_default_branch": lambda origin: str(_is_default(origin)).lower(),
    "is_not_default_branch": lambda origin: str(not _is_default(origin)).lower(),
}


def _value(expression: str, origin: BuildRef) -> str:
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
