"""A record of fields, `key=value` after a comma each, as docker's actions write rules and images."""

from __future__ import annotations

import csv
import re
from typing import Final

# What stands between two commas: quoted, with "" for a quote, or without any quote.
_FIELD: Final = r'\s*(?:"(?:[^"]|"")*"|[^",]*)\s*'
_RECORD: Final = re.compile(rf"{_FIELD}(?:,{_FIELD})*")


def fields(text: str) -> list[tuple[str, str]]:
    """The keys, in lower case, and values of one record, trimmed; a bare field has the key "".

    Raises ValueError, with the reason, for quotes that stand wrong.
    """
    if not _RECORD.fullmatch(text):
        raise ValueError('a quote (") may only stand around a whole field, and is written twice within it')
    row = next(csv.reader([text.strip()], skipinitialspace=True), [])
    return [_pair(field.strip()) for field in row]


def _pair(field: str) -> tuple[str, str]:
    key, equals, value = field.partition("=")
    return (key.strip().lower(), value.strip()) if equals and key else ("", field)


def lines(texts: tuple[str, ...]) -> tuple[str, ...]:
    """The records of blocks: one a line, without empty lines and those that start with #."""
    records = (line.strip() for text in texts for line in text.splitlines())
    return tuple(line for line in records if line and not line.startswith("#"))
