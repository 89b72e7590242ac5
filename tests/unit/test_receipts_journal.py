"""The journal: whole receipts or none, one run at a time."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import re
import stat
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec
import pytest

from publisher.model.codec import encode
from publisher.model.digest import Digest
from publisher.model.errors import DiskFull, Locked, UsageError
from publisher.model.plan import Action, Kind
from publisher.model.receipt import Change, Failure, Outcome, Receipt, State
from publisher.model.reference import TagReference
from publisher.receipts.atomic import ReservedFile
from publisher.receipts.journal import Journal, is_from_future, new_id, read_receipt, take_turns

if TYPE_CHECKING:
    from pathlib import Path

KEY = ("docker.io/a/b", "1.2.3", "sha256:0")


def receipt(name: str = "20261124T001352.123Z-1a2b3c") -> Receipt:
    return Receipt(
        id=name,
        command="release",
        tool="publish 0.1",
        started="2026-11-24T00:13:52Z",
        finished=None,
        outcome=Outcome.INCOMPLETE,
        error=Failure(code=6, kind="unreachable", message="gone"),
        via="direct",
        adopted=False,
        plan=None,
        image=None,
        verification=None,
        moves=(
            Change(
                reference=TagReference.parse("docker.io/a/b:1.2.3"),
                kind=Kind.EXACT,
                version="1.2.3",
                action=Action.CREATE,
                before=None,
                after=Digest.of(b"an image"),
                state=State.DONE,
            ),
        ),
    )


def write(folder: Path, given: Receipt) -> Path:
    with Journal(folder).open(KEY) as entry:
        return entry.write(given)


def test_receipt_comes_back_as_it_was(tmp_path: Path) -> None:
    """What is written is what is read."""
    assert read_receipt(write(tmp_path / "new", receipt())) == receipt()


def test_only_the_user_may_read(tmp_path: Path) -> None:
    """A receipt names private repositories."""
    path = write(tmp_path / "new", receipt())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_cut_anywhere_it_is_no_receipt(tmp_path: Path) -> None:
    """A torn file never passes for another receipt."""
    path = write(tmp_path, receipt())
    whole = path.read_bytes()
    for length in range(len(whole) - 1):
        path.write_bytes(whole[:length])
        if whole[:length].strip() == whole.strip():
            continue
        with pytest.raises(UsageError):
            read_receipt(path)


def test_second_run_on_the_same_release_is_told_who_holds_it(tmp_path: Path) -> None:
    """It waits for a process that it can name."""
    journal = Journal(tmp_path)
    with journal.open(KEY), pytest.raises(Locked, match=f"process {os.getpid()}"):
        journal.open(KEY)
    journal.open(KEY).close()
    assert list(tmp_path.iterdir()) == []


def test_runs_on_one_machine_take_turns(tmp_path: Path) -> None:
    """Each waits until the other has ended; of other lists nobody waits for."""
    turns: list[str] = []

    def wait(_seconds: float) -> None:
        turns.append("waited")
        first.close()

    first = ExitStack()
    first.enter_context(take_turns(tmp_path, wait, "one list"))
    with take_turns(tmp_path, wait, "another list"):
        turns.append("another")
    with take_turns(tmp_path, wait, "one list"):
        turns.append("turn")
    assert turns == ["another", "waited", "turn"]
    assert not list(tmp_path.iterdir())


def test_a_turn_that_never_comes_is_told_within_a_minute(tmp_path: Path) -> None:
    """Bounded, with the one who holds it."""
    waits: list[float] = []
    with (
        take_turns(tmp_path, waits.append, "one list"),
        pytest.raises(Locked, match=f"process {os.getpid()}"),
        take_turns(tmp_path, waits.append, "one list"),
    ):
        raise AssertionError
    assert 40 < sum(waits) < 80


def test_where_no_lock_can_be_kept_nobody_waits(tmp_path: Path) -> None:
    """What others write is found by the second look."""
    (tmp_path / "file").write_text("")
    with take_turns(tmp_path / "file", lambda _seconds: None, "one list"):
        pass


def test_other_releases_go_on(tmp_path: Path) -> None:
    """The lock is on repositories, version and image."""
    journal = Journal(tmp_path)
    with journal.open(KEY), journal.open((*KEY, "other")):
        pass


def _hold_and_die(folder: Path) -> None:
    Journal(folder).open(KEY)
    os._exit(9)


def test_lock_ends_with_its_process(tmp_path: Path) -> None:
    """A killed run blocks nobody."""
    process = multiprocessing.get_context("spawn").Process(target=_hold_and_die, args=(tmp_path,))
    process.start()
    process.join()
    process.close()
    assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]
    Journal(tmp_path).open(KEY).close()


def test_list_is_newest_first_and_names_what_is_torn(tmp_path: Path) -> None:
    """By the order of writing, whatever the clock said; files that aren't whole receipts stay where they are."""
    names = [f"2026112{day}T000000.000Z-000000" for day in (4, 6, 5)]
    for name in names:
        write(tmp_path, receipt(name))
    (tmp_path / "torn.json").write_bytes(b'{"schema":')
    (tmp_path / "copy.json").write_bytes((tmp_path / f"{names[0]}.json").read_bytes())
    (tmp_path / "notes.txt").write_bytes(b"mine")
    good, bad = Journal(tmp_path).list()
    assert [each.id for each in good] == names[::-1]
    assert {path.name for path in bad} == {"torn.json", "copy.json"}
    assert (tmp_path / "torn.json").exists()


def test_no_folder_means_no_receipts(tmp_path: Path) -> None:
    """A first run finds none, and makes none."""
    assert Journal(tmp_path / "none").list() == ((), ())
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("text", ["20261124T001352.123Z-1a2b3c", "20261124", "FILE"])
def test_receipt_is_found_by_id_by_its_start_and_by_file(tmp_path: Path, text: str) -> None:
    """Whatever of it is at hand."""
    write(tmp_path / "journal", receipt())
    (tmp_path / "saved").write_bytes(encode(receipt()))
    assert Journal(tmp_path / "journal").find(text.replace("FILE", str(tmp_path / "saved"))) == receipt()


@pytest.mark.parametrize("text", ["2025", "2026", "../../etc/passwd", "*", ""])
def test_none_or_several_is_an_error(tmp_path: Path, text: str) -> None:
    """Nothing is guessed."""
    write(tmp_path, receipt("20261124T000000.000Z-000000"))
    write(tmp_path, receipt("20261125T000000.000Z-000000"))
    with pytest.raises(UsageError):
        Journal(tmp_path).find(text)


@pytest.mark.parametrize("name", ["../out", "", ".hidden", "a/b", "x" * 101])
def test_id_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    """A receipt from a stranger writes no file of its choice."""
    (tmp_path / "foreign.json").write_bytes(encode(receipt(name)))
    with pytest.raises(UsageError):
        read_receipt(tmp_path / "foreign.json")
    with pytest.raises(UsageError):
        write(tmp_path, receipt(name))


@pytest.mark.parametrize("has_receipt", [False, True], ids=["first", "later"])
def test_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_receipt: bool) -> None:
    """The receipt before stays whole."""
    if has_receipt:
        write(tmp_path, receipt())

    def full(_file: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(DiskFull):
        write(tmp_path, msgspec.structs.replace(receipt(), outcome=Outcome.DONE))
    good, bad = Journal(tmp_path).list()
    assert good == ((receipt(),) if has_receipt else ())
    assert bad == ()
    assert len(list(tmp_path.iterdir())) == 1 + has_receipt, "the order stays, and no room"


def test_folder_that_is_a_file_is_a_usage_error(tmp_path: Path) -> None:
    """Not a traceback."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UsageError, match="can't be written"):
        Journal(tmp_path / "file").open(KEY)


def test_ids_sort_by_time() -> None:
    """So that a listing of the folder is a history."""
    assert re.fullmatch(r"\d{8}T\d{6}\.\d{3}Z-[0-9a-f]{6}", new_id())


def test_the_order_of_writing_counts(tmp_path: Path) -> None:
    """A receipt that a wrong clock stamped stays where it was written; one put there by hand is the oldest."""
    journal = Journal(tmp_path)
    names = ["20370101T000000.000Z-000000", "20261124T000000.000Z-000000", "20261123T000000.000Z-000000"]
    for name in names:
        write(tmp_path, receipt(name))
    (tmp_path / "20990101T000000.000Z-000000.json").write_bytes(encode(receipt("20990101T000000.000Z-000000")))
    write(tmp_path, msgspec.structs.replace(receipt(names[0]), outcome=Outcome.UNDONE))
    assert [each.id for each in journal.newest()] == [*names[::-1], "20990101T000000.000Z-000000"]
    assert journal.is_later(names[1], names[0])
    (tmp_path / "order").write_bytes((tmp_path / "order").read_bytes() + b"\n202611")
    write(tmp_path, receipt("20200101T000000.000Z-000000"))
    assert next(iter(journal.newest())).id == "20200101T000000.000Z-000000", "a torn line spoils no other"


def test_receipts_from_the_future_are_known(tmp_path: Path) -> None:
    """A clock that is a little ahead is none."""
    soon = (datetime.now(UTC) + timedelta(minutes=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
    times = {"2037-01-01T00:00:00Z": True, "2026-11-24T00:13:52Z": False, soon: False, "nonsense": False}
    for time, expected in times.items():
        assert is_from_future(msgspec.structs.replace(receipt(), started=time)) is expected


def test_room_is_taken_by_the_first_write(tmp_path: Path) -> None:
    """Once the disk is full the receipt is written all the same, whole each time; the room goes at the end."""
    path = tmp_path / "receipt.json"
    spare = tmp_path / ".receipt.json.room"
    file = ReservedFile(path, spare)
    file.write(b"{}")
    blocks = sum(each.stat().st_blocks for each in (path, spare))
    for number in range(5):
        content = json.dumps({"moves": "x" * 1000 * number}).encode()
        inodes = {each.stat().st_ino for each in (path, spare)}
        file.write(content)
        assert {each.stat().st_ino for each in (path, spare)} == inodes, "no new file is made"
        assert sum(each.stat().st_blocks for each in (path, spare)) == blocks
        assert json.loads(path.read_bytes()) == json.loads(content)
    file.close()
    assert path.read_bytes() == content
    assert [*tmp_path.iterdir()] == [path]


def test_a_receipt_that_outgrows_its_room(tmp_path: Path) -> None:
    """It is written as any other file, and what comes then still finds its room."""
    file = ReservedFile(tmp_path / "receipt.json", tmp_path / ".room")
    for content in (b"{}", b"[" + b" " * 100_000 + b"]", b"[1]"):
        file.write(content)
        assert (tmp_path / "receipt.json").read_bytes().rstrip() == content
