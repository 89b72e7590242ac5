"""Plans, receipts and verdicts as tables for people."""

from __future__ import annotations

import shutil
import textwrap
from collections import Counter
from typing import TYPE_CHECKING, Final

from publisher.model.printable import printable
from publisher.model.receipt import State
from publisher.model.verdict import VerdictState

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from publisher.model.plan import Plan
    from publisher.model.receipt import Receipt
    from publisher.model.verdict import Verdict

_COLORS: Final = {
    "create": "32", "move": "36", "keep": "33", "unchanged": "2", "refuse": "31",
    "done": "32", "kept": "33", "not-done": "31", "unknown": "31", "restored": "36",
    "equal": "32", "different": "31", "missing": "31",
}  # fmt: skip
_NARROWEST = 24
_GAP = 2


def plan_text(plan: Plan, *, color: bool, width: int | None = None) -> str:
    """One line a tag: now, then, action and reason; a count; warnings last."""
    lines = [_headline(plan)]
    for image in plan.images:
        moves = [move for move in plan.moves if _is_of(move.reference, move.tag, image, plan)]
        lines += ["", image]
        rows = [(move.tag, _short(move.before), _short(move.after), move.action, move.reason) for move in moves]
        lines += table(("tag", "now", "then", "action", "reason"), rows, color=color, width=width)
    counts = Counter(str(move.action) for move in plan.moves)
    lines += ["", ", ".join(f"{count} {action}" for action, count in counts.items()) or "no tags"]
    return _finish([*lines, *(f"warning: {printable(warning)}" for warning in plan.warnings)])


def _headline(plan: Plan) -> str:
    what = plan.release or plan.version or "nothing"
    at = f" at commit {plan.revision[:12]}" if plan.revision else ""
    return f"plan for {what}{at}{' (rehearsal)' if plan.sandbox is True else ''}"


def _is_of(reference: str, tag: str, image: str, plan: Plan) -> bool:
    from publisher.model.reference import Repository

    return reference == f"{Repository.parse(image)}:{tag}" or len(plan.images) == 1


def receipt_text(receipt: Receipt, *, color: bool, width: int | None = None) -> str:
    """One line a tag: what it held, what it holds, how it ended; the digest to pin last."""
    rows = [
        (_tag(change.reference), _short(change.before), _short(change.after), change.state, change.version or "")
        for change in receipt.moves
    ]
    lines = table(("tag", "before", "after", "state", "version"), rows, color=color, width=width)
    if (
        receipt.image
        and receipt.plan
        and receipt.plan.images
        and all(change.state is not State.UNKNOWN for change in receipt.moves)
    ):
        lines += ["", f"{receipt.plan.images[0]}@{receipt.image.digest}"]
    return _finish(lines)


def verdicts_text(verdicts: Sequence[Verdict], *, color: bool, width: int | None = None) -> str:
    """One line a reference."""
    rows = [
        (verdict.state, verdict.reference, _short(verdict.digest), ", ".join(verdict.platforms), verdict.detail)
        for verdict in verdicts
    ]
    return _finish(table(("state", "reference", "digest", "platforms", "detail"), rows, color=color, width=width))


def _tag(reference: str) -> str:
    return reference.removeprefix("docker.io/").removeprefix("library/")


def _short(digest: str | None) -> str:
    return digest.partition(":")[2][:12] if digest else "-"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, color: bool, width: int | None = None) -> list[str]:
    """Aligned columns; the last one wraps within the width. A word that is a state gets its colour."""
    given = [tuple(printable(str(cell)) for cell in row) for row in rows]
    widths = [max(len(row[column]) for row in [tuple(head), *given]) for column in range(len(head) - 1)]
    room = (width or shutil.get_terminal_size((100, 24)).columns) - sum(widths) - _GAP * len(widths)
    lines = [_line(head, widths)]
    for row in given:
        first, *rest = textwrap.wrap(row[-1], max(room, _NARROWEST)) or [""]
        cells = [_paint(cell.ljust(size), cell, color=color) for cell, size in zip(row, widths, strict=False)]
        lines.append((" " * _GAP).join([*cells, first]).rstrip())
        lines += [" " * (sum(widths) + _GAP * len(widths)) + more for more in rest]
    return lines


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [cell.ljust(size) for cell, size in zip(cells, widths, strict=False)]
    return (" " * _GAP).join([*padded, cells[-1]]).rstrip()


def _paint(shown: str, word: str, *, color: bool) -> str:
    return f"\x1b[{_COLORS[word]}m{shown}\x1b[0m" if color and word in _COLORS else shown


def _finish(lines: Iterable[str]) -> str:
    return "\n".join(lines) + "\n"


def all_equal(verdicts: Iterable[Verdict]) -> bool:
    """Whether every reference is what it should be."""
    return all(verdict.state is VerdictState.EQUAL for verdict in verdicts)
