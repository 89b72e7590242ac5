"""Plans, receipts and verdicts as tables for people."""

from __future__ import annotations

import re
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
from publisher.report.progress import size
from publisher.report.verify_lines import verify_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from publisher.model.digest import Digest
    from publisher.model.documents import HubChange, HubReport, Pruning, PullQuota, Status, TagList, Verdict
    from publisher.model.plan import Move, Plan
    from publisher.model.receipt import Change, Receipt
    from publisher.model.reference import TagReference


def tags_text(tags: TagList, *, color: bool, width: int | None = None) -> str:
    """One line a tag; a column that no tag has anything in is left out. What belongs to an image stands in its line."""
    head = ("tag", "digest", "size", "pushed", "pulled", "platforms", "signed")
    described = frozenset(filter(None, (described_digest(tag.tag) for tag in tags.tags)))
    rows = [
        (
            tag.tag,
            short(tag.digest),
            "" if tag.size is None else size(tag.size),
            _day(tag.pushed),
            _day(tag.pulled),
            ", ".join(tag.platforms),
            "yes" if str(tag.digest) in described else "",
        )
        for tag in tags.tags
        if described_digest(tag.tag) is None
    ]
    lines = table(head, rows, color=color, width=width)
    name = tags.repository.familiar
    count = "1 tag" if len(rows) == 1 else f"{len(rows)} tags"
    lone = len(described - {str(tag.digest) for tag in tags.tags})
    rest = f", and signatures of {_images(lone)} without a tag" if lone else ""
    return "\n".join([*(lines if rows else []), "", f"{name}: {count}{rest}"]) + "\n"


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count} images"


def described_digest(tag: str) -> str | None:
    """The image that a tag of the kind `sha256-HEX` or `sha256-HEX.sig` speaks of; None for any other tag."""
    match = _BESIDE.fullmatch(tag)
    return f"sha256:{match[1]}" if match else None


def pruning_text(plan: Pruning, *, color: bool, width: int | None = None) -> str:
    """What goes, after what stays; a count, and what to run, last."""
    kept_rows = [(tag.tag, short(tag.digest), "kept", tag.reason) for tag in plan.kept]
    other_rows = [
        (tag.tag, short(tag.digest), "goes" if tag.state == "planned" else tag.state, tag.detail or tag.reason)
        for tag in plan.gone
    ]
    lines = (
        table(("tag", "digest", "state", "why"), [*kept_rows, *other_rows], color=color, width=width)
        if kept_rows or other_rows
        else []
    )
    deleted = sum(tag.state == "deleted" for tag in plan.gone)
    tally = f"{deleted} deleted" if plan.applied else f"{len(plan.gone)} would go"
    advice = [] if plan.applied or not plan.gone else ["-y deletes them"]
    return "\n".join([*lines, "", "; ".join([f"{len(plan.kept)} kept, {tally}", *advice])]) + "\n"


def _day(text: str | None) -> str:
    return (text or "")[:10]


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
_BESIDE: Final = re.compile(r"sha256-([0-9a-f]{64})(?:\..+)?")
_GAP = 2


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


def status_text(status: Status, ages: Mapping[Digest, str], *, color: bool, width: int | None = None) -> str:
    """Two tables a repository: its versions, and its floating tags beside where they belong.

    ages: how old the image under a digest is, as in 3 d.
    """
    lines: list[str] = []
    for repository in status.repositories:
        lines += [paint(repository.repository.familiar, _BOLD, color=color)]
        versions = [
            (version.version, version.tag, short(version.digest), "yanked" if version.yanked else "")
            for version in repository.versions
        ]
        floating = [
            (
                *(line.tag, short(line.digest), short(line.desired), line.version or ""),
                *(ages.get(line.digest, "") if line.digest else "", line.state),
            )
            for line in repository.floating
        ]
        lines += (
            table(("version", "tag", "digest", ""), versions, color=color, width=width) if versions else ["no versions"]
        )
        if floating:
            lines += [
                "",
                *table(("tag", "holds", "belongs", "version", "age", "state"), floating, color=color, width=width),
            ]
        if repository.foreign:
            lines += ["", *wrap(_foreign(repository.foreign), width or columns(sys.stdout), "  ")]
        lines += [""]
    count = len(status.drifted)
    return _finish([*lines, f"{drifting(count)} not in place" if count else "every floating tag is true"])


def _foreign(tags: Sequence[str]) -> str:
    """Tags that no rule speaks of; those that only describe images are counted."""
    described = frozenset(filter(None, map(described_digest, tags)))
    shown = [tag for tag in tags if described_digest(tag) is None]
    texts = [f"other tags: {', '.join(shown)}"] if shown else []
    return "; ".join([*texts, *([f"signatures of {_images(len(described))}"] if described else [])])


def drifting(count: int) -> str:
    """So many floating tags, with the verb that goes with it."""
    return "1 floating tag is" if count == 1 else f"{count} floating tags are"


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
    """One line a reference."""
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
    return _finish(table(("state", "reference", "digest", "platforms", "detail"), rows, color=color, width=width))


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
