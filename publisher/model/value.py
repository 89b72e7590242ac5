"""The bases of values: those that live in memory only, and those that documents hold as text."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

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


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """What a command prints as JSON. sandbox: true where it is of a rehearsal, else left out."""

    sandbox: bool | msgspec.UnsetType = msgspec.UNSET


class Place(Value, frozen=True):
    """A line of a file; 0 for none of them."""

    file: str
    line: int = 0


class TextValue:
    """An immutable value that documents hold as its text; equality, hash and order are those of its `parts`.

    No msgspec.Struct, whose JSON would be its fields: the codec of the documents writes and reads the text.
    """

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> TextValue:
        """Read the text; raises BadReference."""
        raise NotImplementedError

    @property
    def parts(self) -> tuple[str, ...]:
        """What the value is made of; "" for what it lacks."""
        raise NotImplementedError

    def __eq__(self, other: object) -> bool:
        if isinstance(other, TextValue) and (isinstance(other, type(self)) or isinstance(self, type(other))):
            return self.parts == other.parts
        return NotImplemented

    def __lt__(self, other: Any) -> bool:
        return self.parts < other.parts if isinstance(other, TextValue) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.parts)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"
