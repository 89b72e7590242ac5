"""What receipts tell of a repository's tags over time: which version each floating tag pointed to, and how long."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Final

from publisher.model.plan import Kind
from publisher.model.receipt import State
from publisher.model.reference import Reference
from publisher.model.value import Value

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from publisher.model.receipt import Change, Receipt

_SEEN: Final = frozenset({State.DONE, State.RESTORED, State.UNCHANGED, State.KEPT})
_MARKER: Final = "yanked-"


class Event(Value, frozen=True):
    """One run that wrote to the repository. version: what it was about; "" where that was no version."""

    time: str
    command: str
    version: str


class Stay(Value, frozen=True):
    """A tag held a version from one event on until another: their numbers in the timeline.

    begin: None where it was so before the first receipt. end: None where it is so still.
    """

    version: str
    digest: str
    begin: int | None
    end: int | None = None


class Timeline(Value, frozen=True):
    """One repository: what happened, oldest first, and the stays of each floating tag, `latest` first."""

    repository: str
    events: tuple[Event, ...]
    lanes: dict[str, tuple[Stay, ...]]

    @property
    def versions(self) -> tuple[str, ...]:
        """All that is named, lowest first."""
        stays = (stay.version for lane in self.lanes.values() for stay in lane)
        released = (event.version for event in self.events if event.command == "release" and event.version)
        return tuple(sorted({*stays, *released}, key=version_key))


def timelines(receipts: Iterable[Receipt]) -> tuple[Timeline, ...]:
    """One timeline for each repository that any of the receipts speaks of, by name."""
    found: dict[str, list[tuple[Receipt, Sequence[Change]]]] = {}
    for receipt in sorted(receipts, key=lambda one: one.id):
        for repository, changes in groupby(receipt.moves, lambda change: _repository(change.reference)):
            found.setdefault(repository, []).append((receipt, [*changes]))
    return tuple(_timeline(name, found[name]) for name in sorted(found))


def _repository(reference: str) -> str:
    return Reference.parse(reference).repository.familiar


def _timeline(repository: str, runs: Sequence[tuple[Receipt, Sequence[Change]]]) -> Timeline:
    names = {
        change.after: change.version
        for _receipt, changes in runs
        for change in changes
        if change.kind is Kind.EXACT and change.after and change.version
    }
    events: list[Event] = []
    lanes: dict[str, _Lane] = {}
    for receipt, changes in runs:
        if not any(change.state.may_be_written for change in changes):
            continue
        events.append(_event(receipt, changes))
        for change in changes:
            if change.kind is Kind.FLOATING and change.state in _SEEN:
                tag = str(Reference.parse(change.reference).tag)
                lanes.setdefault(tag, _Lane(names)).see(len(events) - 1, change)
    shown = {tag: tuple(lanes[tag].stays) for tag in sorted(lanes, key=_lane_key)}
    return Timeline(repository, tuple(events), {tag: stays for tag, stays in shown.items() if stays})


def _event(receipt: Receipt, changes: Sequence[Change]) -> Event:
    """What a run was, by its plan or by the marker that it wrote or took away."""
    command, version = receipt.command, ""
    if receipt.plan:
        version = receipt.plan.release or receipt.plan.version or ""
    for change in changes:
        tag = str(Reference.parse(change.reference).tag)
        if tag.startswith(_MARKER) and not version:
            version = tag.removeprefix(_MARKER)
            command += " --undo" if command == "yank" and change.before else ""
    return Event(receipt.finished or receipt.started, command, version)


@dataclass(slots=True)
class _Lane:
    """The stays of one tag so far. names: the version that is known for a digest."""

    names: dict[str, str]
    stays: list[Stay] = field(default_factory=list)

    def see(self, event: int, change: Change) -> None:
        """What one run says the tag held before and after it."""
        if not self.stays and change.before:
            self.stays.append(Stay(self._name(change.before, None), change.before, None))
        last = self.stays[-1] if self.stays else None
        if last and last.end is None:
            if last.digest == change.after:
                return
            self.stays[-1] = Stay(last.version, last.digest, last.begin, event)
        if change.after:
            version = None if change.state is State.RESTORED else change.version
            self.stays.append(Stay(self._name(change.after, version), change.after, event))

    def _name(self, digest: str, version: str | None) -> str:
        return self.names.get(digest) or version or digest.partition(":")[2][:7]


def version_key(text: str) -> tuple[object, ...]:
    """Sorts versions by their numbers, a prerelease before its release."""
    core, dash, rest = text.partition("-")
    return (_natural(core), not dash, _natural(rest))


def _lane_key(tag: str) -> tuple[object, ...]:
    """`latest` first, then the newest line, the wider line above those within it."""
    numbers = tuple(-int(part) for part in re.findall(r"\d+", tag))
    return (not tag.startswith("latest"), not numbers, numbers, tag)


def _natural(text: str) -> tuple[tuple[int, int, str], ...]:
    parts = re.findall(r"\d+|\D+", text)
    return tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts)
