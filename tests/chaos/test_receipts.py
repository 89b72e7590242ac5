"""Receipts that are torn, foreign, or somewhere else: never a wrong action.

`pytest tests/chaos/test_receipts.py --whole` cuts a receipt at every byte; by default at every tenth.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from publisher.sandbox.options import Options
from publisher.workflows.undo import UndoOptions
from tests.support.commands import release_of, undo_of
from tests.support.seed import floating_tags, put_image
from tests.support.simulation import SimulatedRun, World

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "acme/app"


@dataclass
class Shop:
    """A machine that has released two versions, and where it keeps their receipts."""

    world: World
    run: SimulatedRun
    digests: dict[str, str]

    @property
    def receipts(self) -> list[Path]:
        """The files, oldest first."""
        return sorted(self.run.machine.rglob("*.json"))

    def release(self, version: str, run: SimulatedRun | None = None) -> int:
        """Release an image of its own as `version`."""
        image = put_image(self.world, NAME, version)
        self.digests[version] = str(image.digest)
        return release_of(run or self.run, f"docker://{NAME}@{image.digest}", version, NAME).code

    @property
    def tags(self) -> dict[str, str]:
        """Every tag and its digest."""
        return self.world.tags(NAME)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """Two releases."""
    with World() as world:
        shop = Shop(world, SimulatedRun(world, 0, tmp_path / "machine"), {})
        assert (shop.release("1.0.0"), shop.release("1.1.0")) == (0, 0)
        yield shop


def test_receipt_cut_at_every_byte(shop: Shop, pytestconfig: pytest.Config, capsys: pytest.CaptureFixture[str]) -> None:
    """Undo doesn't take the release before for the last one: it names the torn file, asks nothing and leaves it."""
    before, newest = shop.tags, shop.receipts[-1]
    whole, stem = newest.read_bytes(), shop.receipts[0].stem
    places = range(0, len(whole.rstrip()), 1 if pytestconfig.getoption("--whole") else 10)
    shop.world.trace.clear()
    for length in places:
        newest.write_bytes(whole[:length])
        ended = undo_of(shop.run)
        assert ended.code == 2, f"cut at {length}: {ended}"
        assert str(newest) in ended.document["message"]
        assert stem in ended.document["hint"]
        assert newest.read_bytes() == whole[:length]
        assert undo_of(shop.run, receipt=str(newest)).code == 2
    assert not shop.world.trace
    assert shop.tags == before
    with capsys.disabled():
        sys.stdout.write(
            f"\ncut a receipt at {len(places)} of {len(whole)} bytes: nothing was asked, nothing changed\n"
        )
    assert shop.release("1.2.0") == 0
    assert undo_of(shop.run).code == 0
    assert shop.tags == before
    assert undo_of(shop.run).code == 2


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[1]", b"\xff\xfe", b'{"schema":"publish.receipt/1"}', b"[" * 100_000]
)
def test_foreign_files_are_left_alone(content: bytes, shop: Shop) -> None:
    """A file that no run of ours made stands in nobody's way."""
    foreign = shop.receipts[0].with_name("zz-notes.json")
    foreign.write_bytes(content)
    assert shop.release("1.2.0") == 0
    assert undo_of(shop.run).code == 0
    assert undo_of(shop.run).code == 0
    assert shop.tags == {"1.0.0": shop.digests["1.0.0"], **floating_tags({"1.0.0": shop.digests["1.0.0"]})}
    assert foreign.read_bytes() == content


@pytest.mark.parametrize("old", [True, False], ids=["older-copy", "newer-copy"])
def test_a_receipt_under_another_name_counts_for_nothing(old: bool, shop: Shop) -> None:
    """Not even one whose name would make it the last."""
    copied = shop.receipts[0 if old else -1]
    copied.with_name("20990101T000000.000Z-aaaaaa.json").write_bytes(copied.read_bytes())
    before = shop.tags
    assert undo_of(shop.run).code == 2
    assert shop.tags == before


def test_undo_by_a_file_from_another_machine(shop: Shop, tmp_path: Path) -> None:
    """A CI artifact is as good as the journal; a second time there is nothing left to do."""
    elsewhere = SimulatedRun(shop.world, 0, tmp_path / "laptop")
    file = tmp_path / "receipt.json"
    file.write_bytes(shop.receipts[-1].read_bytes())
    ended = undo_of(elsewhere, receipt=str(file))
    assert ended.code == 0, ended
    expected = {"1.0.0": shop.digests["1.0.0"], **floating_tags({"1.0.0": shop.digests["1.0.0"]})}
    assert shop.tags == expected
    again = undo_of(elsewhere, receipt=str(file))
    assert (again.code, again.states) == (0, {})


@pytest.mark.parametrize("referrers", [True, False], ids=["api", "tag"])
def test_undo_with_no_receipt_at_all(referrers: bool, tmp_path: Path) -> None:
    """With record = true a release leaves its receipt in the registry; one that isn't of that content is left alone."""
    with World(options=Options(referrers=referrers)) as world:
        machine = tmp_path / "ci"
        machine.mkdir()
        (machine / "publish.toml").write_text("[tags]\nrecord = true\n")
        shop = Shop(world, SimulatedRun(world, 0, machine), {})
        assert (shop.release("1.0.0"), shop.release("1.1.0")) == (0, 0)
        _leave_foreign_receipt(world, shop)
        elsewhere = SimulatedRun(world, 0, tmp_path / "laptop")
        looked = undo_of(elsewhere, [NAME], options=UndoOptions(dry_run=True))
        assert looked.after[f"{NAME}:latest"] == shop.digests["1.0.0"]
        ended = undo_of(elsewhere, [NAME])
        assert ended.code == 0, ended
        tags = {tag: digest for tag, digest in shop.tags.items() if not tag.startswith("sha256-")}
        assert tags == {"1.0.0": shop.digests["1.0.0"], **floating_tags({"1.0.0": shop.digests["1.0.0"]})}


def _leave_foreign_receipt(world: World, shop: Shop) -> None:
    """Somebody who may push has left a receipt of another image on 1.1.0, newer than the true one."""
    from publisher.model.artifact import RECEIPT_TYPE, SmallBlob, compose_artifact
    from publisher.model.manifest import Descriptor

    receipt: dict[str, Any] = json.loads(shop.receipts[0].read_text())
    receipt["id"] = "20990101T000000.000Z-aaaaaa"
    content = world.manifest(NAME, shop.digests["1.1.0"])
    document = SmallBlob(RECEIPT_TYPE, json.dumps(receipt).encode())
    subject = Descriptor(content.media_type, content.digest, len(content.content))
    artifact, blobs = compose_artifact(RECEIPT_TYPE, document, subject)
    for blob in blobs:
        world.put_blob(NAME, blob.content)
    world.put(NAME, artifact)
