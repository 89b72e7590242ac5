"""Plans, receipts and verdicts as tables."""

from __future__ import annotations

import msgspec
import pytest

from publisher.model.attestation import PlannedSigning
from publisher.model.digest import Digest
from publisher.model.documents import FloatingStatus, RepositoryStatus, Status, TagList, TagRow, Verdict, VerdictState
from publisher.model.plan import Action, Kind, Move, Plan
from publisher.model.receipt import Failure, ReleasedImage, State
from publisher.model.reference import Reference, Repository, TagReference
from publisher.report.tables import (
    all_equal,
    history_text,
    intended_text,
    plan_text,
    receipt_text,
    table,
    verdicts_text,
    whole_receipt_text,
)
from publisher.report.tag_tables import status_text, tags_text
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


def test_a_plan_that_signs_says_where_that_will_stand() -> None:
    """A public log is for good; a key leaves no trace in one."""
    ci = PlannedSigning(by="ci", identity="github.com/a/b", log="https://rekor", statements=("signature", "sbom"))
    shown = plan_text(msgspec.structs.replace(a_plan(), signing=ci), color=False, width=200)
    assert "sign signature, sbom as github.com/a/b, recorded for good in the public log https://rekor" in shown
    key = PlannedSigning(by="key", identity="the key x", log=None, statements=("signature",))
    shown = plan_text(msgspec.structs.replace(a_plan(), signing=key), color=False, width=200)
    assert shown.splitlines()[-1] == "sign signature as the key x"


def test_signatures_stand_with_their_image() -> None:
    """Not as tags between the versions; those whose image no tag holds are counted."""
    digest, other, gone = Digest("sha256", "a" * 64), Digest("sha256", "c" * 64), "b" * 64
    tags = ("1.0", f"sha256-{'a' * 64}", f"sha256-{'a' * 64}.sig", f"sha256-{gone}.att", "sha256-notadigest")
    rows = tuple(TagRow(tag=tag, digest=digest if tag == "1.0" else other) for tag in tags)
    lines = tags_text(TagList(repository=Repository.parse("ann/app"), tags=rows), color=False, width=200).splitlines()
    assert [line.split() for line in lines[:3]] == [
        ["tag", "digest", "signed"], ["1.0", "aaaaaaaaaaaa", "yes"], ["sha256-notadigest", "cccccccccccc"],
    ]  # fmt: skip
    assert lines[-1] == "ann/app: 2 tags, and signatures of 1 image without a tag"
    place = RepositoryStatus(
        repository=Repository.parse("ann/app"), versions=(), floating=(), foreign=("main", *tags[1:4])
    )
    shown = status_text(Status(repositories=(place,)), {}, color=False, width=200)
    assert "other tags: main; signatures of 2 images" in shown


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


def test_a_whole_receipt() -> None:
    """When and how a run went stands above what it wrote, and the error that it ended with."""
    failure = Failure(code=6, kind="unreachable", message="the registry went away")
    text = whole_receipt_text(
        msgspec.structs.replace(receipt(1, change("1", None, DIGEST)), error=failure, finished=None), color=False
    )
    assert "not: it was killed" in text
    assert "unreachable: the registry went away" in text
    assert text.index("receipt ") < text.index("1 done")


EMPTY = RepositoryStatus(repository=Repository.parse("ann/app"), versions=(), floating=(), foreign=())


def test_status_of_what_is_not_there_yet() -> None:
    """Nothing published is neither true nor drift; beside others it is told in its place."""
    text = status_text(Status(repositories=(EMPTY,)), {}, color=False)
    assert text == "ann/app\nnothing is published there yet\n"
    other = msgspec.structs.replace(EMPTY, foreign=("main",))
    both = status_text(Status(repositories=(EMPTY, other)), {}, color=False)
    assert "nothing is published there yet" in both
    assert "no versions" in both


def test_what_a_filter_leaves_out_is_not_judged() -> None:
    """Where nothing is like the glob, something may be published all the same; what isn't looked at isn't true."""
    text = status_text(Status(repositories=(EMPTY,)), {}, color=False, glob="2.*")
    assert text == "ann/app\nno tag there is like 2.*\n"
    line = FloatingStatus(tag="2.0", digest=HELD, desired=HELD, version="2.0.0", state="ok")
    status = Status(repositories=(msgspec.structs.replace(EMPTY, floating=(line,)),))
    assert status_text(status, {}, color=False, glob="2.*").endswith("\nevery floating tag like 2.* is true\n")


def test_what_a_limit_leaves_out_is_counted() -> None:
    """In both tables."""
    status = Status(repositories=(msgspec.structs.replace(EMPTY, omitted=12),))
    assert "and 12 older: --all shows them" in status_text(status, {}, color=False)
    row = TagRow(tag="1", digest=HELD)
    assert "1 of 4 tags" in tags_text(TagList(repository=EMPTY.repository, tags=(row,), omitted=3), color=False)


def test_a_reference_is_never_broken() -> None:
    """Where it doesn't fit beside what is said of it, that stands below, within the terminal."""
    long = Reference.parse(f"registry.example:5000/team/app@{DIGEST}")
    verdict = Verdict(
        reference=long, digest=HELD, platforms=("linux/amd64",) * 6, state=VerdictState.EQUAL, detail="4 blobs checked"
    )
    text = verdicts_text([verdict], color=False, width=80)
    first, *others = text.splitlines()
    assert str(long) in first
    assert max(map(len, others)) <= 80
    assert "4 blobs" in text
