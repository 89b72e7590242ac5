"""Plans, receipts and verdicts as tables."""

from __future__ import annotations

import pytest

from publisher.model.plan import Action, Kind, Move, Plan
from publisher.model.verdict import Verdict, VerdictState
from publisher.report.tables import all_equal, plan_text, table, verdicts_text

DIGEST = "sha256:" + "ab" * 32


def a_plan(*warnings: str) -> Plan:
    """A plan of one tag."""
    move = Move(
        reference="docker.io/ann/app:1.0", tag="1.0", kind=Kind.EXACT, version="1.0.0", action=Action.CREATE,
        before=None, after=DIGEST, reason="new",
    )  # fmt: skip
    return Plan(
        version="1.0.0", release="1.0.0", revision="c" * 40, prerelease=False, images=("ann/app",),
        tags=("ann/app:1.0",),        moves=(move,), warnings=warnings,
    )  # fmt: skip


def test_plan() -> None:
    """Headline, table, count and warnings."""
    lines = plan_text(a_plan("look\x1b"), color=False, width=100).splitlines()
    assert lines[0] == "plan for 1.0.0 at commit cccccccccccc"
    assert lines[4].split() == ["1.0", "-", "abababababab", "create", "new"]
    assert lines[-2:] == ["1 create", "warning: look\\x1b"]


@pytest.mark.parametrize(("color", "shown"), [(True, "\x1b[32mcreate"), (False, "create")], ids=["color", "plain"])
def test_color(color: bool, shown: str) -> None:
    """States have colours only where they are wanted."""
    text = plan_text(a_plan(), color=color, width=100)
    assert shown in text
    assert ("\x1b" in text) is color


def test_cells() -> None:
    """Columns align, the last one wraps, and control characters are shown."""
    lines = table(("a", "b"), [("x\x1b", "one two three four five six seven")], color=False, width=30)
    assert lines == ["a      b", "x\\x1b  one two three four five", "       six seven"]


def test_verdicts() -> None:
    """One line a reference, and whether all are equal."""
    verdict = Verdict(
        reference="ann/app:1", digest=DIGEST, platforms=("linux/amd64",), state=VerdictState.EQUAL, detail="x\r"
    )
    assert (
        verdicts_text([verdict], color=False, width=200).splitlines()[1].endswith("abababababab  linux/amd64  x\\x0d")
    )
    assert all_equal([verdict])
