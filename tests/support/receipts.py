"""Receipts by hand: what runs of a January, or of a whole year, would have left."""

from __future__ import annotations

import hashlib

from publisher.model.digest import Digest
from publisher.model.plan import Action, Kind, Plan
from publisher.model.receipt import Change, Outcome, Receipt, State
from publisher.model.reference import TagReference


def change(
    tag: str, before: str | None, after: str | None, version: str | None = None, *, kind: Kind = Kind.FLOATING,
    state: State = State.DONE, repository: str = "acme/app",
) -> Change:  # fmt: skip
    """One tag of a receipt."""
    return Change(
        reference=TagReference.parse(f"docker.io/{repository}:{tag}"), kind=kind, version=version, action=Action.MOVE,
        before=Digest.parse(before) if before else None, after=Digest.parse(after) if after else None, state=state,
    )  # fmt: skip


def receipt(day: int | str, *moves: Change, command: str = "release", version: str | None = None) -> Receipt:
    """A run on that day of a January, or on any day, as 2026-03-28."""
    plan = None
    if version:
        plan = Plan(
            version=version, release=version, revision=None, prerelease=False, images=("acme/app",), tags=(), moves=()
        )
    time = f"{day}T09:00:00Z" if isinstance(day, str) else f"2026-01-{day:02}T09:00:00Z"
    return Receipt(
        id=f"{time[:4]}{time[5:7]}{time[8:10]}T090000.000Z-aaaaaa", command=command, tool="publish", started=time,
        finished=time, outcome=Outcome.DONE, error=None, via=None, adopted=False, plan=plan, image=None,
        verification=None, moves=moves,
    )  # fmt: skip


def release_receipt(day: int | str, version: str, digest: str, *floating: Change) -> Receipt:
    """A release of a version with its exact tag."""
    return receipt(day, change(version, None, digest, version, kind=Kind.EXACT), *floating, version=version)


def year_of_receipts() -> list[Receipt]:
    """Half a year of a shop's releases: two lines, a prerelease, a version that was yanked, one that was undone."""
    current: dict[str, str] = {}

    def moves(version: str, *tags: str) -> list[Change]:
        after = [change(tag, current.get(tag), _digest(version), version, repository="acme/shop") for tag in tags]
        current.update(dict.fromkeys(tags, _digest(version)))
        return after

    def release(day: str, version: str, *tags: str) -> Receipt:
        exact = change(version, None, _digest(version), version, kind=Kind.EXACT, repository="acme/shop")
        return receipt(day, exact, *moves(version, *tags), version=version)

    marker = change("yanked-2.1.0", None, _digest("2.1.0"), "2.1.0", kind=Kind.REF, repository="acme/shop")
    return [
        release("2026-01-12", "1.0.0", "1.0", "1", "latest"),
        release("2026-02-12", "1.1.0", "1.1", "1", "latest"),
        release("2026-02-19", "1.0.1", "1.0"),
        release("2026-03-28", "1.2.0", "1.2", "1", "latest"),
        release("2026-04-18", "2.0.0-rc.1"),
        release("2026-05-12", "2.0.0", "2.0", "2", "latest"),
        release("2026-05-15", "1.2.1", "1.2", "1"),
        release("2026-06-30", "2.1.0", "2.1", "2", "latest"),
        receipt("2026-07-02", marker, *moves("2.0.0", "2", "latest"), command="yank"),
        release("2026-07-09", "2.1.1", "2.1", "2", "latest"),
        receipt("2026-07-10", *moves("2.0.0", "2", "latest"), *moves("2.1.0", "2.1"), command="undo"),
        release("2026-07-16", "2.1.2", "2.1", "2", "latest"),
    ]


def _digest(version: str) -> str:
    return f"sha256:{hashlib.sha256(version.encode()).hexdigest()}"
