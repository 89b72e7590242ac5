"""What `publish hub` found, for people."""

from __future__ import annotations

from difflib import unified_diff
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from publisher.model.hub import HubChange, HubReport, PullQuota

_COLORS = {"+": "32", "-": "31", "@": "36"}
_HOUR = 3600


def report_text(report: HubReport, *, color: bool) -> str:
    """Each change under its repository: texts as a diff, settings as before and after."""
    if not report.changes:
        return "Docker Hub shows all that is configured\n"
    lines = [line for change in report.changes for line in _change(change)]
    return "\n".join(_paint(line) if color else line for line in lines) + "\n"


def _change(change: HubChange) -> Iterator[str]:
    name = change.repository.removeprefix("docker.io/")
    if change.field != "readme":
        yield f"{name}  {change.field}"
        yield f"-{_said(change.before)}"
        yield f"+{_said(change.after)}"
        return
    before, after = str(change.before).splitlines(), str(change.after).splitlines()
    yield from unified_diff(before, after, f"{name} on Docker Hub", f"{name} here", lineterm="")


def _said(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "none" if value in {None, ""} else str(value)


def _paint(line: str) -> str:
    code = _COLORS.get(line[:1])
    return f"\x1b[{code}m{line}\x1b[0m" if code else line


def quota_text(quota: PullQuota) -> str:
    """One line: what is left, of how many, in which time."""
    who = quota.who or "a stranger"
    if quota.limit is None:
        return f"Docker Hub names no limit of pulls for {who}\n"
    hours = f" in {quota.window / _HOUR:g} hours" if quota.window else ""
    left = "?" if quota.remaining is None else str(quota.remaining)
    counted = f", counted for {quota.source}" if quota.source else ""
    return f"{left} of {quota.limit} pulls{hours} are left for {who}{counted}\n"
