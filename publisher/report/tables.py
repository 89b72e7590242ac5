"""Plans, receipts and verdicts as tables for people."""

from __future__ import annotations

import os
import sys
import textwrap
from collections import Counter
from itertools import groupby, zip_longest
from typing import TYPE_CHECKING, Final, TextIO

from publisher.model.printable import printable
from publisher.model.receipt import State
from publisher.model.reference import Reference, Repository
from publisher.model.verdict import VerdictState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from publisher.model.plan import Plan
    from publisher.model.receipt import Change, Receipt
    from publisher.model.status import Status
    from publisher.model.verdict import Verdict

_COLORS: Final = {
    "create": "32", "move": "36", "keep": "33", "unchanged": "2", "refuse": "31",
    "done": "32", "kept": "33", "not-done": "31", "unknown": "31", "restored": "36",
    "ok": "32", "drift": "31", "orphan": "33", "yanked": "33", "incomplete": "31", "failed": "31",
    "goes": "31", "deleted": "31", "undone": "33",
    "equal": "32", "different": "31", "missing": "31",
}  # fmt: skip
# What the last column, and any other, keep on a narrow terminal.
_NARROWEST_LAST = 24
_NARROWEST = 8
_GAP = 2


def plan_text(plan: Plan, *, color: bool, width: int | None = None) -> str:
    """One line a tag: now, then, action and reason; a count; warnings last."""
    lines = [_headline(plan)]
    for image in plan.images:
        moves = [move for move in plan.moves if _is_of(move.reference, move.tag, image, plan)]
        lines += ["", image]
        rows = [(move.tag, short(move.before), short(move.after), move.action, move.reason) for move in moves]
        lines += table(("tag", "now", "then", "action", "reason"), rows, color=color, width=width)
    if plan.tags and not plan.images:
        lines += ["", *plan.tags]
    counts = Counter(str(move.action) for move in plan.moves)
    lines += ["", ", ".join(f"{count} {action}" for action, count in counts.items()) or _without_image(plan)]
    room = width or columns(sys.stdout)
    for warning in plan.warnings:
        lines += textwrap.wrap(f"warning: {printable(warning)}", room, subsequent_indent="  ", break_on_hyphens=False)
    return _finish(lines)


def _without_image(plan: Plan) -> str:
    return f"{len(plan.tags)} tags, of no image" if plan.tags else "no tags"


def _headline(plan: Plan) -> str:
    what = plan.release or plan.version or "nothing"
    at = f" at commit {plan.revision[:12]}" if plan.revision else ""
    return f"plan for {what}{at}{' (rehearsal)' if plan.sandbox is True else ''}"


def _is_of(reference: str, tag: str, image: str, plan: Plan) -> bool:
    return reference == f"{Repository.parse(image)}:{tag}" or len(plan.images) == 1


def receipt_text(receipt: Receipt, *, color: bool, width: int | None = None) -> str:
    """A table a repository: what each tag held, what it holds, how it ended; a count; the digest to pin last."""
    lines: list[str] = []
    for repository, changes in groupby(receipt.moves, lambda change: Reference.parse(change.reference).repository):
        rows = [_change_row(change) for change in changes]
        lines += [repository.familiar]
        lines += [*table(("tag", "before", "after", "state", "version"), rows, color=color, width=width), ""]
    counts = Counter(str(change.state) for change in receipt.moves)
    lines += [", ".join(f"{count} {state}" for state, count in counts.items()) or "no tags"]
    if (
        receipt.image
        and receipt.plan
        and receipt.plan.images
        and all(change.state is not State.UNKNOWN for change in receipt.moves)
    ):
        lines += ["", *(f"{image}@{receipt.image.digest}" for image in receipt.plan.images)]
    return _finish(lines)


def status_text(status: Status, ages: Mapping[str, str], *, color: bool, width: int | None = None) -> str:
    """Two tables a repository: its versions, and its floating tags beside where they belong.

    ages: how old the image under a digest is, as in 3 d.
    """
    lines: list[str] = []
    for one in status.repositories:
        lines += [Repository.parse(one.repository).familiar]
        versions = [
            (each.version, each.tag, short(each.digest), "yanked" if each.yanked else "") for each in one.versions
        ]
        floating = [
            (
                *(line.tag, short(line.digest), short(line.desired), line.version or ""),
                *(ages.get(line.digest or "", ""), line.state),
            )
            for line in one.floating
        ]
        lines += (
            table(("version", "tag", "digest", ""), versions, color=color, width=width) if versions else ["no versions"]
        )
        if floating:
            lines += [
                "",
                *table(("tag", "holds", "belongs", "version", "age", "state"), floating, color=color, width=width),
            ]
        if one.foreign:
            lines += ["", *textwrap.wrap(f"other tags: {', '.join(one.foreign)}", width or columns(sys.stdout))]
        lines += [""]
    count = len(status.drifted)
    return _finish([*lines, f"{drifting(count)} not in place" if count else "every floating tag is true"])


def drifting(count: int) -> str:
    """So many floating tags, with the verb that goes with it."""
    return "1 floating tag is" if count == 1 else f"{count} floating tags are"


def history_text(receipts: Sequence[Receipt], *, color: bool, width: int | None = None) -> str:
    """One line a run, newest first."""
    rows = [
        (
            one.id,
            one.command,
            (one.plan.release or one.plan.version or "" if one.plan else ""),
            one.outcome,
            ", ".join(sorted({Reference.parse(change.reference).repository.familiar for change in one.moves})),
            ", ".join(str(Reference.parse(change.reference).tag) for change in one.moves if change.state.is_written),
        )
        for one in receipts
    ]
    return _finish(
        table(("receipt", "command", "version", "outcome", "images", "tags"), rows, color=color, width=width)
    )


def verdicts_text(verdicts: Sequence[Verdict], *, color: bool, width: int | None = None) -> str:
    """One line a reference."""
    rows = [
        (
            verdict.state,
            verdict.reference.removeprefix("docker.io/"),
            short(verdict.digest),
            ", ".join(verdict.platforms),
            verdict.detail,
        )
        for verdict in verdicts
    ]
    return _finish(table(("state", "reference", "digest", "platforms", "detail"), rows, color=color, width=width))


def _change_row(change: Change) -> tuple[str, ...]:
    tag = Reference.parse(change.reference).tag or "-"
    return (tag, short(change.before), short(change.after), change.state, change.version or "")


def short(digest: str | None) -> str:
    """The first twelve hex digits; - for nothing."""
    return digest.partition(":")[2][:12] if digest else "-"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, color: bool, width: int | None = None) -> list[str]:
    """Aligned columns, each wrapped within itself where the width is short. A cell that is a state gets its colour.

    width: in characters; by default stdout's.
    """
    given = [tuple(printable(str(cell)) for cell in row) for row in rows]
    natural = [max(map(len, column)) for column in zip(head, *given, strict=True)]
    widths = _fit(natural, width or columns(sys.stdout))
    lines = _row(head, widths, color=False)
    for row in given:
        lines += _row(row, widths, color=color)
    return lines


def columns(stream: TextIO) -> int:
    """Characters a line of `stream` has room for: a terminal's, or $COLUMNS; without end in a file or a pipe."""
    if (told := os.environ.get("COLUMNS", "")).isdecimal() and int(told):
        return int(told)
    try:
        return os.get_terminal_size(stream.fileno()).columns or sys.maxsize
    except (OSError, ValueError):
        return sys.maxsize


def _fit(natural: Sequence[int], width: int) -> list[int]:
    """Widths that fit: the last column gives way first, then the widest of the others."""
    widths = list(natural)
    room = width - _GAP * (len(widths) - 1)
    widths[-1] = max(min(widths[-1], _NARROWEST_LAST), widths[-1] - max(0, sum(widths) - room))
    while sum(widths) > room and (widest := max(widths[:-1], default=0)) > _NARROWEST:
        widths[widths.index(widest)] -= 1
    return widths


def _row(cells: Sequence[str], widths: Sequence[int], *, color: bool) -> list[str]:
    """The lines of one row; a cell that is too long goes on below itself."""
    wrapped = [
        textwrap.wrap(cell, max(size, 1), break_on_hyphens=False) for cell, size in zip(cells, widths, strict=True)
    ]
    lines = []
    for parts in zip_longest(*wrapped, fillvalue=""):
        shown = [_paint(part.ljust(size), part, color=color) for part, size in zip(parts, widths, strict=True)]
        lines.append((" " * _GAP).join(shown).rstrip())
    return lines


def _paint(shown: str, word: str, *, color: bool) -> str:
    return f"\x1b[{_COLORS[word]}m{shown}\x1b[0m" if color and word in _COLORS else shown


def _finish(lines: Iterable[str]) -> str:
    return "\n".join(lines) + "\n"


def all_equal(verdicts: Iterable[Verdict]) -> bool:
    """Whether every reference is what it should be."""
    return all(verdict.state is VerdictState.EQUAL for verdict in verdicts)
