"""A repository's tags, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.model.reference import Repository
from publisher.report.progress import size
from publisher.report.tables import short, table

if TYPE_CHECKING:
    from publisher.model.tags import Pruning, TagList


def tags_text(found: TagList, *, color: bool, width: int | None = None) -> str:
    """One line a tag; a column that no tag has anything in is left out."""
    head = ("tag", "digest", "size", "pushed", "pulled", "platforms")
    rows = [
        (
            one.tag,
            short(one.digest),
            "" if one.size is None else size(one.size),
            _day(one.pushed),
            _day(one.pulled),
            ", ".join(one.platforms),
        )
        for one in found.tags
    ]
    shown = table(head, rows, color=color, width=width)
    name = Repository.parse(found.repository).familiar
    count = "1 tag" if len(rows) == 1 else f"{len(rows)} tags"
    return "\n".join([*(shown if rows else []), "", f"{name}: {count}"]) + "\n"


def pruning_text(plan: Pruning, *, color: bool, width: int | None = None) -> str:
    """What goes, after what stays; a count, and what to run, last."""
    kept = [(one.tag, short(one.digest), "kept", one.reason) for one in plan.kept]
    gone = [
        (one.tag, short(one.digest), "goes" if one.state == "planned" else one.state, one.detail or one.reason)
        for one in plan.gone
    ]
    lines = table(("tag", "digest", "state", "why"), [*kept, *gone], color=color, width=width) if kept or gone else []
    deleted = sum(one.state == "deleted" for one in plan.gone)
    tally = f"{deleted} deleted" if plan.applied else f"{len(plan.gone)} would go"
    advice = [] if plan.applied or not plan.gone else ["-y deletes them"]
    return "\n".join([*lines, "", "; ".join([f"{len(plan.kept)} kept, {tally}", *advice])]) + "\n"


def _day(text: str | None) -> str:
    return (text or "")[:10]
