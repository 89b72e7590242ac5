"""Text as Markdown, so that nothing which came from elsewhere is read as markup."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from publisher.model.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_MARKS: Final = re.compile(r"([\\`*_{}\[\]()#+!|~@:-])")
_ENTITIES: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def plain(text: str) -> str:
    """Words only: no links, images, HTML, mentions, and one line."""
    safe = printable(text).replace("\n", " ").replace("\t", " ")
    return "".join(_ENTITIES.get(sign, sign) for sign in _MARKS.sub(r"\\\1", safe))


def code(text: str) -> str:
    """A code span; its fence is longer than any run of backticks within."""
    safe = printable(text).replace("\n", " ").replace("|", "\\|")
    longest = max((len(run) for run in re.findall(r"`+", safe)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if safe.startswith("`") or safe.endswith("`") else ""
    return f"{fence}{pad}{safe}{pad}{fence}"


def rows(head: Sequence[str], body: Iterable[Sequence[str]]) -> list[str]:
    """A table; cells are Markdown already."""
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    return lines + [f"| {' | '.join(row)} |" for row in body]
