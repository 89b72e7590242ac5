"""A picture, in Mermaid, of versions and of where each floating tag points, before and after."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable


class Pointer(NamedTuple):
    """A floating tag; `before` and `after` are the versions that it points to, "" where it isn't there."""

    tag: str
    before: str
    after: str


def picture(pointers: Iterable[Pointer], *, before: str, after: str) -> list[str]:
    """Lines of Markdown: a thin arrow stays, a dotted one is given up, a thick one is new. Nothing for no tag.

    before, after: the words at the arrows.
    """
    given = [pointer for pointer in pointers if pointer.before or pointer.after]
    arrows = [line for pointer in given for line in _arrows(pointer, before, after)]
    return ["```mermaid", "flowchart LR", *dict.fromkeys(arrows), "```", ""] if given else []


def _arrows(pointer: Pointer, before: str, after: str) -> list[str]:
    tag = f'  t{_id(pointer.tag)}(["{_quoted(pointer.tag)}"])'
    if pointer.before == pointer.after:
        return [f"{tag} --> {_version(pointer.before)}"]
    lines = [f'{tag} -. "{before}" .-> {_version(pointer.before)}'] if pointer.before else []
    return lines + ([f'{tag} == "{after}" ==> {_version(pointer.after)}'] if pointer.after else [])


def _version(text: str) -> str:
    return f'v{_id(text)}["{_quoted(text)}"]'


def _id(name: str) -> str:
    """Letters and digits that no other name gives."""
    return name.encode().hex()


def _quoted(text: str) -> str:
    return "".join(sign if sign.isascii() and (sign.isalnum() or sign in "_.+-! ") else "?" for sign in text)
