"""Plans, receipts and verdicts as tables for people."""

from __future__ import annotations

import sys
from collections import Counter
from difflib import unified_diff
from itertools import groupby, zip_longest
from typing import TYPE_CHECKING, Any, Final

from publisher.model.attestation import PlannedSigning
from publisher.model.documents import VerdictState
from publisher.model.printable import printable
from publisher.model.receipt import State
from publisher.model.reference import Repository
from publisher.report.cells import columns, fit, longest_word, pad, wrap
from publisher.report.cells import width as width_of
from publisher.report.verify_lines import verify_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from publisher.model.digest import Digest
    from publisher.model.documents import HubChange, HubReport, PullQuota, Verdict
    from publisher.model.plan import Move, Plan
    from publisher.model.receipt import Change, Receipt
    from publisher.model.reference import TagReference


_DIFF_COLORS = {"+": "32", "-": "31", "@": "36"}
_HOUR = 3600


def report_text(report: HubReport, *, color: bool) -> str:
    """Each change under its repository: texts as a diff, settings as before and after."""
    if not report.changes:
        return "Docker Hub shows all that is configured\n"
    lines = [line for change in report.changes for line in _change(change)]
    return "\n".join(_paint_diff(line) if color else line for line in lines) + "\n"


def _change(change: HubChange) -> Iterator[str]:
    name = str(change.repository).removeprefix("docker.io/")
    if change.field != "readme":
        yield f"{name}  {change.field}"
        yield f"-{_setting_text(change.before)}"
        yield f"+{_setting_text(change.after)}"
        return
    before, after = str(change.before).splitlines(), str(change.after).splitlines()
    yield from unified_diff(before, after, f"{name} on Docker Hub", f"{name} here", lineterm="")


def _setting_text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "none" if value in {None, ""} else str(value)


def _paint_diff(line: str) -> str:
    code = _DIFF_COLORS.get(line[:1])
    return f"\x1b[{code}m{line}\x1b[0m" if code else line


def quota_text(quota: PullQuota) -> str:
    """One line: what is left, of how many, in which time."""
    who = quota.who or "a stranger"
    if quota.limit is None:
        return f"Docker Hub names no limit of pulls for {who}\n"
    hours = f" in {quota.window / _HOUR:g} hours" if quota.window else ""
    remaining = "?" if quota.remaining is None else str(quota.remaining)
    source = f", counted for {quota.source}" if quota.source else ""
    return f"{remaining} of {quota.limit} pulls{hours} are left for {who}{source}\n"


_COLORS: Final = {
    "create": "32", "move": "36", "keep": "33", "unchanged": "2", "refuse": "31",
    "done": "32", "kept": "33", "not-done": "31", "unknown": "31", "restored": "36",
    "ok": "32", "drift": "31", "orphan": "33", "yanked": "33", "incomplete": "31", "failed": "31",
    "goes": "31", "deleted": "31", "delete": "31", "undone": "33",
    "equal": "32", "different": "31", "missing": "31", "passed": "32", "warning": "33", "broken": "31",
}  # fmt: skip
# What a run without a single tag means, by its command.
_NOTHING: Final = dict.fromkeys(("reconcile", "yank", "undo"), "nothing to do: every floating tag is where it belongs")
_BOLD, _DIM = "1", "2"
_GAP = 2
# The width of the longest state of a reference, and of what a table needs beside references.
_STATE: Final = 9
_BESIDE_A_REFERENCE: Final = 46
# The width of the names of a receipt's facts.
_FACT: Final = 10


def plan_text(plan: Plan, *, color: bool, width: int | None = None) -> str:
    """One line a tag: now, then, action and reason; a count; warnings last."""
    lines = [paint(_headline(plan), _BOLD, color=color)]
    for image in plan.images:
        moves = [move for move in plan.moves if _is_of(move, image, plan)]
        lines += ["", paint(image, _BOLD, color=color)]
        rows = [(move.tag, short(move.before), short(move.after, "?"), move.action, move.reason) for move in moves]
        lines += table(("tag", "now", "then", "action", "reason"), rows, color=color, width=width)
    if plan.tags and not plan.images:
        lines += ["", *plan.tags]
    counts = Counter(str(move.action) for move in plan.moves)
    lines += ["", ", ".join(f"{count} {action}" for action, count in counts.items()) or _without_image(plan)]
    room = width or columns(sys.stdout)
    if isinstance(plan.signing, PlannedSigning):
        lines += wrap(_signing(plan.signing), room, "         ")
    for warning in plan.warnings:
        lines += wrap(f"warning: {printable(warning)}", room, "  ")
    return _finish(lines)


def _verify_lines(receipt: Receipt) -> list[str]:
    lines = verify_lines(receipt)
    return ["", *lines] if lines else []


def _signing(signing: PlannedSigning) -> str:
    what = f"sign {', '.join(signing.statements)} as {signing.identity}"
    return f"{what}, recorded for good in the public log {signing.log}" if signing.log else what


def _without_image(plan: Plan) -> str:
    return f"{len(plan.tags)} tags, of no image" if plan.tags else "no tags"


def _headline(plan: Plan) -> str:
    what = plan.release or plan.version or "nothing"
    commit = f" at commit {plan.revision[:12]}" if plan.revision else ""
    return f"plan for {what}{commit}{' (rehearsal)' if plan.sandbox is True else ''}"


def _is_of(move: Move, image: str, plan: Plan) -> bool:
    return len(plan.images) == 1 or move.reference.repository == Repository.parse(image)


def intended_text(
    receipt: Receipt, intended: Mapping[TagReference, Digest | None], *, color: bool, width: int | None = None
) -> str:
    """What a dry run would write: what each tag holds now, what it would hold then, and of which version that is."""
    lines: list[str] = []
    counts: Counter[str] = Counter()
    for repository, changes in _by_repository(receipt):
        rows = []
        for change in changes:
            goal = intended.get(change.reference)
            action = "delete" if change.reference in intended and goal is None else str(change.action)
            counts[action] += 1
            rows.append(
                (
                    str(change.reference.tag),
                    short(change.before),
                    short(goal),
                    action,
                    _version(receipt, change),
                )
            )
        lines += [paint(repository.familiar, _BOLD, color=color)]
        lines += [*table(("tag", "now", "then", "action", "version"), rows, color=color, width=width), ""]
    return _finish([*lines, ", ".join(f"{count} {action}" for action, count in counts.items()) or "nothing to write"])


def receipt_text(receipt: Receipt, *, color: bool, width: int | None = None) -> str:
    """A table a repository: what each tag held, what it holds, how it ended; a count; the digest to pin last."""
    lines: list[str] = []
    for repository, changes in _by_repository(receipt):
        rows = [
            (
                str(change.reference.tag),
                short(change.before),
                short(change.after),
                change.state,
                _version(receipt, change),
            )
            for change in changes
        ]
        lines += [paint(repository.familiar, _BOLD, color=color)]
        lines += [*table(("tag", "before", "after", "state", "version"), rows, color=color, width=width), ""]
    counts = Counter(str(change.state) for change in receipt.moves)
    lines += [
        ", ".join(f"{count} {state}" for state, count in counts.items()) or _NOTHING.get(receipt.command, "no tags")
    ]
    if (
        receipt.image
        and receipt.plan
        and receipt.plan.images
        and all(change.state is not State.UNKNOWN for change in receipt.moves)
    ):
        pins = (f"{image}@{receipt.image.digest}" for image in receipt.plan.images)
        lines += ["", *(paint(pin, _BOLD, color=color) for pin in pins), *_verify_lines(receipt)]
    return _finish(lines)


def whole_receipt_text(receipt: Receipt, *, color: bool, width: int | None = None) -> str:
    """A receipt as its run showed it, below when and how that went; the error it ended with last."""
    plan, proof = receipt.plan, receipt.verification
    version = f" of {plan.release or plan.version}" if plan and (plan.release or plan.version) else ""
    rehearsal = " (rehearsal)" if receipt.sandbox is True else ""
    facts = [
        ("receipt", receipt.id),
        ("run", f"{receipt.command}{version}, {receipt.outcome}{rehearsal}"),
        ("began", receipt.started),
        ("ended", receipt.finished or "not: it was killed, or is still under way"),
        ("by", receipt.tool),
        ("commit", (plan.revision or "" if plan else "")),
        ("sent by", "nobody: the same image was there already" if receipt.adopted else receipt.via or ""),
        ("verified", f"{proof.level}, {proof.blobs} blobs" if proof else ""),
    ]
    room = width or columns(sys.stdout)
    lines = [
        line
        for name, text in facts
        if text
        for line in wrap(f"{pad(name, _FACT - 1)} {printable(text)}", room, " " * _FACT)
    ]
    if receipt.error:
        lines += ["", *wrap(f"{receipt.error.kind}: {printable(receipt.error.message)}", room, "  ")]
    return _finish(lines) + "\n" + receipt_text(receipt, color=color, width=width)


def history_text(receipts: Sequence[Receipt], *, color: bool, width: int | None = None) -> str:
    """One line a run, newest first; an id without its random end wherever that still tells it from the others."""
    starts = Counter(receipt.id.partition("-")[0] for receipt in receipts)
    rows = [
        (
            receipt.id.partition("-")[0] if starts[receipt.id.partition("-")[0]] == 1 else receipt.id,
            receipt.command,
            (receipt.plan.release or receipt.plan.version or "" if receipt.plan else ""),
            receipt.outcome,
            _tags_by_repository(receipt),
        )
        for receipt in receipts
    ]
    return _finish(table(("receipt", "command", "version", "outcome", "wrote"), rows, color=color, width=width))


def _tags_by_repository(receipt: Receipt) -> str:
    """The tags that a run wrote, below their repositories."""
    tags: dict[str, list[str]] = {}
    for change in receipt.moves:
        names = tags.setdefault(change.reference.repository.familiar, [])
        if change.state.is_written:
            names.append(str(change.reference.tag))
    return "; ".join(f"{name}: {', '.join(names) or 'nothing'}" for name, names in tags.items())


def verdicts_text(verdicts: Sequence[Verdict], *, color: bool, width: int | None = None) -> str:
    """One line a reference; in a terminal too narrow for them each stands whole, above what is said of it."""
    rows = [
        (
            verdict.state,
            str(verdict.reference).removeprefix("docker.io/"),
            short(verdict.digest),
            ", ".join(verdict.platforms),
            verdict.detail,
        )
        for verdict in verdicts
    ]
    room = width or columns(sys.stdout)
    if max((width_of(row[1]) for row in rows), default=0) > room - _BESIDE_A_REFERENCE:
        return _finish(line for row in rows for line in _block(row, room, color=color))
    return _finish(table(("state", "reference", "digest", "platforms", "detail"), rows, color=color, width=width))


def _block(row: Sequence[str], room: int, *, color: bool) -> list[str]:
    """A state with its reference, which is to be copied and so never broken; the rest below it."""
    state, reference, *rest = (printable(str(cell)) for cell in row)
    first = f"{paint(pad(state, _STATE), _COLORS.get(state, ''), color=color)}{' ' * _GAP}{reference}"
    indent = " " * (_STATE + _GAP)
    return [first, *(indent + line for line in wrap(", ".join(filter(None, rest)), max(room - len(indent), 1)))]


def _by_repository(receipt: Receipt) -> Iterator[tuple[Repository, Iterator[Change]]]:
    return groupby(receipt.moves, lambda change: change.reference.repository)


def _version(receipt: Receipt, change: Change) -> str:
    """Of what the tag goes to; an undo's receipt names the one that it came from."""
    return "" if receipt.command == "undo" else change.version or ""


def short(digest: Digest | None, none: str = "-") -> str:
    """The first twelve hex digits; `none` for nothing."""
    return digest.short if digest else none


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, color: bool, width: int | None = None) -> list[str]:
    """Aligned columns, each wrapped within itself where the width is short. A cell that is a state gets its colour.

    A column that no row has anything in is left out. width: in cells; by default stdout's.
    """
    cells = [[printable(str(cell)) for cell in row] for row in rows]
    indexes = [index for index in range(len(head)) if index == 0 or not cells or any(row[index] for row in cells)]
    grid = [[row[index] for index in indexes] for row in (list(head), *cells)]
    natural = [max(map(width_of, column)) for column in zip(*grid, strict=True)]
    words = [max(map(longest_word, column)) for column in zip(*grid, strict=True)]
    widths = fit(natural, words, (width or columns(sys.stdout)) - _GAP * (len(indexes) - 1))
    lines = [paint(line, _DIM, color=color) for line in _row(grid[0], widths, color=False)]
    for row in grid[1:]:
        lines += _row(row, widths, color=color)
    return lines


def _row(cells: Sequence[str], widths: Sequence[int], *, color: bool) -> list[str]:
    """The lines of one row; a cell that is too long goes on below itself."""
    cell_lines = [wrap(cell, max(size, 1)) for cell, size in zip(cells, widths, strict=True)]
    lines = []
    for parts in zip_longest(*cell_lines, fillvalue=""):
        painted_parts = [
            paint(pad(part, size), _COLORS.get(part, ""), color=color) for part, size in zip(parts, widths, strict=True)
        ]
        lines.append((" " * _GAP).join(painted_parts).rstrip())
    return lines


def paint(text: str, code: str, *, color: bool) -> str:
    """In a colour, by its number in a terminal's SGR sequence; as it is where there is none."""
    return f"\x1b[{code}m{text}\x1b[0m" if color and code else text


def _finish(lines: Iterable[str]) -> str:
    return "\n".join(lines) + "\n"


def all_equal(verdicts: Iterable[Verdict]) -> bool:
    """Whether every reference is what it should be."""
    return all(verdict.state is VerdictState.EQUAL for verdict in verdicts)
