"""Plans, receipts and verdicts as tables."""

from __future__ import annotations

import msgspec
import pytest

from publisher.model.digest import Digest
from publisher.model.documents import Verdict, VerdictState
from publisher.model.plan import Action, Kind, Move, Plan
from publisher.model.receipt import ReleasedImage, State
from publisher.model.reference import Reference, TagReference
from publisher.report.tables import (
    all_equal,
    history_text,
    intended_text,
    plan_text,
    receipt_text,
    table,
    verdicts_text,
)
from tests.support.receipts import change, receipt

DIGEST = "sha256:" + "ab" * 32
HELD = Digest.parse(DIGEST)


def a_plan(*warnings: str) -> Plan:
    """A plan of one tag."""
    move = Move(
        reference=TagReference.parse("docker.io/ann/app:1.0"), tag="1.0", kind=Kind.EXACT, version="1.0.0",
        action=Action.CREATE, before=None, after=HELD, reason="new",
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
        reference=Reference.parse("ann/app:1"),
        digest=HELD,
        platforms=("linux/amd64",),
        state=VerdictState.EQUAL,
        detail="x\r",
    )
    assert (
        verdicts_text([verdict], color=False, width=200).splitlines()[1].endswith("abababababab  linux/amd64  x\\x0d")
    )
    assert all_equal([verdict])


def test_receipt_ends_with_the_digest_to_pin() -> None:
    """The last line is IMAGE@DIGEST, unless it isn't known where a tag is."""
    image = ReleasedImage(digest=HELD, config=None, platforms=("linux/amd64",), size=1)
    done = msgspec.structs.replace(receipt(1, change("1.0", None, DIGEST, "1.0.0"), version="1.0.0"), image=image)
    assert receipt_text(done, color=False, width=80).splitlines()[-1] == f"acme/app@{DIGEST}"
    doubt = msgspec.structs.replace(done, moves=(change("1.0", None, None, state=State.UNKNOWN),))
    assert DIGEST not in receipt_text(doubt, color=False, width=80)


def test_what_a_dry_run_would_write() -> None:
    """Where each tag is and where it would be; a tag that would go is deleted."""
    moves = (
        change("latest", DIGEST, DIGEST, "1.0.0", state=State.NOT_DONE),
        change("yanked-1.1.0", DIGEST, DIGEST, "1.1.0", state=State.NOT_DONE),
    )
    other = Digest.of(b"other")
    intended = {moves[0].reference: other, moves[1].reference: None}
    lines = intended_text(receipt(1, *moves, command="yank"), intended, color=False, width=100).splitlines()
    assert [line.split() for line in lines[2:4]] == [
        ["latest", "abababababab", other.hex[:12], "move", "1.0.0"],
        ["yanked-1.1.0", "abababababab", "-", "delete", "1.1.0"],
    ]
    assert lines[-1] == "1 move, 1 delete"
    assert intended_text(receipt(1, command="yank"), {}, color=False) == "nothing to write\n"


def test_history_names_runs_as_short_as_they_differ() -> None:
    """The random end of an id is shown only where two runs began in the same millisecond."""
    early, late = receipt(1, change("1", None, DIGEST)), receipt(2, change("1", None, DIGEST))
    twin = msgspec.structs.replace(late, id=late.id.replace("aaaaaa", "bbbbbb"))
    first = [line.split()[0] for line in history_text([twin, late, early], color=False, width=200).splitlines()[1:]]
    assert first == [twin.id, late.id, early.id.partition("-")[0]]
