"""The base of values that live in memory only."""

import msgspec


class Value(msgspec.Struct, frozen=True):
    """An immutable value with equality by content.

    Made by msgspec, since a dataclass takes thirty times as long to define, which every start of the command pays.
    What is read from or written as JSON is a plain msgspec.Struct instead: its annotations are looked at at run time.
    """
