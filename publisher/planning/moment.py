"""Dates by moment's format tokens, which docker/metadata-action's users write in their rules.

Source: momentjs.com/docs, "Format"; English names and the week that starts on Sunday, as its default locale has them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

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
    return escaped if token is None else _value(moment, token)


def _value(moment: datetime, token: str) -> str:
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
