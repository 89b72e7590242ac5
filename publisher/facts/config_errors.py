"""An invalid setting, and where its key stands in the file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from publisher.model.errors import ConfigError
from publisher.model.fields import lines
from publisher.model.printable import printable
from publisher.model.value import Place

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from publisher.model.errors import BadRule
    from publisher.model.settings import TagSettings

Key = tuple[str, ...]

_PART = r"""(?:"(?:[^"\\]|\\.)*"|'[^']*'|[A-Za-z0-9_-]+)"""
_DOTTED = rf"{_PART}(?:\s*\.\s*{_PART})*"
_HEADER = re.compile(rf"\s*\[\[?\s*({_DOTTED})\s*\]\]?")
_ENTRY = re.compile(rf"\s*({_DOTTED})\s*=")


@dataclass(eq=False)
class InvalidSetting(Exception):
    """What is wrong with a key: `value` is what stands there, `allowed` what may.

    It becomes a ConfigError once the file is known. Not frozen: Python itself writes to exceptions in flight.
    """

    key: Key
    value: str
    allowed: str
    hint: str | None = None

    def error(self, file: Path, text: str, table: Key) -> ConfigError:
        """The error that the user sees; `table` is where the configuration starts in the file."""
        line = find_line(text, table + self.key)
        where = f"{file}, line {line}" if line else str(file)
        key = f"{dotted_key(table + self.key)}: " if self.key else ""
        hint = None if self.hint is None else printable(self.hint)
        place = Place(str(file), line or 0)
        message = f"{where}: {key}found {self.value}, allowed is {self.allowed}"
        return ConfigError(message, reference=file, hint=hint, place=place)


def unknown_key(key: Key, keys: Iterable[str]) -> InvalidSetting:
    """An error about a key that means nothing; guesses which one was meant."""
    from difflib import get_close_matches

    allowed = sorted(keys)
    matches = get_close_matches(key[-1], allowed, n=1)
    hint = f"did you mean '{matches[0]}'?" if matches else None
    return InvalidSetting(key, f"the unknown key '{key[-1]}'", "one of " + ", ".join(allowed), hint)


def show(value: object) -> str:
    """A value as the user would recognise it, cut short."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            return f"'{value[:60]}'"
        case dict():
            return "a table"
        case list() | tuple():
            return "a list"
        case _:
            return str(value)[:60]


def dotted_key(key: Key) -> str:
    """A key as it is written in TOML; list items by their number."""
    parts = (part if re.fullmatch(r"[A-Za-z0-9_-]+|\[\d+\]", part) else f'"{part}"' for part in key)
    return ".".join(parts).replace(".[", "[")


def find_line(text: str, key: Key) -> int | None:
    """The line where a key stands, else the one of the nearest table around it; None if neither is found."""
    best, line = 0, None
    for number, stands in _keys(text):
        common = len(stands) if key[: len(stands)] == stands else 0
        if common > best:
            best, line = common, number
    return line


def locate_rule(error: BadRule, file: Path, text: str, table: Key, tags: Mapping[Key, TagSettings]) -> ConfigError:
    """The error about a rule or a flavor, with the line that it stands in; as it is where it stands in no file.

    tags: the tables `[tags]` by their keys.
    """
    for key, settings in tags.items():
        for name, records in (("rules", settings.rules), ("flavor", settings.flavor)):
            # Of a flavor only the prefix or suffix may be known to be wrong.
            candidates = [record for record in lines(records or ()) if error.rule == record or name == "flavor"]
            if not any(error.rule in record for record in candidates):
                continue
            path = (*table, *key, name)
            line = _line_of_item(text, find_line(text, path) or 0, error.rule)
            where = f"{file}, line {line}" if line else str(file)
            message = f"{where}: {dotted_key(path)}: {error.message}"
            return ConfigError(message, reference=file, hint=error.hint, place=Place(str(file), line))
    return error


def _line_of_item(text: str, start: int, item: str) -> int:
    """The first line from `start` on that has the item as it is; `start` where it is written in another way."""
    numbered = enumerate(text.splitlines(), 1)
    return next((number for number, line in numbered if number >= start and item in line), start)


def _keys(text: str) -> Iterator[tuple[int, Key]]:
    table: Key = ()
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            table = _parts(header[1])
            yield number, table
        elif entry := _ENTRY.match(line):
            yield number, table + _parts(entry[1])


def _parts(text: str) -> Key:
    return tuple(part.strip("\"'") for part in re.findall(_PART, text))
