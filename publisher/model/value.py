"""The base of values that live in memory only."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec


def read_time(text: str) -> datetime | None:
    """An ISO 8601 time, UTC where it names no zone; None for any other text."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class Value(msgspec.Struct, frozen=True):
    """An immutable value with equality by content.

    Made by msgspec, since a dataclass takes thirty times as long to define, which every start of the command pays.
    What is read from or written as JSON is a plain msgspec.Struct instead: its annotations are looked at at run time.
    """
