"""`publish history --plot`: which version each floating tag pointed to, over time, as an SVG picture.

The same receipts give the same bytes. Colours go from the oldest version to the newest, so that a tag that fell
back is seen; light and dark follow the reader's own setting.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from math import cos, radians, sin
from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import quoteattr

from publisher.model.plan import Kind
from publisher.model.printable import printable
from publisher.model.receipt import State
from publisher.model.value import Value, read_time
from publisher.report.cells import width as cells

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from publisher.model.digest import Digest
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
    digest: Digest
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
        releases = (event.version for event in self.events if event.command == "release" and event.version)
        return tuple(sorted({*stays, *releases}, key=version_key))


def timelines(receipts: Iterable[Receipt]) -> tuple[Timeline, ...]:
    """One timeline for each repository that any of the receipts speaks of, by name."""
    runs: dict[str, list[tuple[Receipt, Sequence[Change]]]] = {}
    for receipt in sorted(receipts, key=lambda receipt: receipt.id):
        for repository, changes in groupby(receipt.moves, lambda change: change.reference.repository.familiar):
            runs.setdefault(repository, []).append((receipt, [*changes]))
    return tuple(_timeline(name, runs[name]) for name in sorted(runs))


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
                tag = str(change.reference.tag)
                lanes.setdefault(tag, _Lane(names)).see(len(events) - 1, change)
    stays_by_tag = {tag: tuple(lanes[tag].stays) for tag in sorted(lanes, key=_lane_key)}
    return Timeline(repository, tuple(events), {tag: stays for tag, stays in stays_by_tag.items() if stays})


def _event(receipt: Receipt, changes: Sequence[Change]) -> Event:
    """What a run was, by its plan or by the marker that it wrote or took away."""
    command, version = receipt.command, ""
    if receipt.plan:
        version = receipt.plan.release or receipt.plan.version or ""
    for change in changes:
        tag = str(change.reference.tag)
        if tag.startswith(_MARKER) and not version:
            version = tag.removeprefix(_MARKER)
            command += " --undo" if command == "yank" and change.before else ""
    return Event(receipt.finished or receipt.started, command, version)


@dataclass(slots=True)
class _Lane:
    """The stays of one tag so far. names: the version that is known for a digest."""

    names: dict[Digest, str]
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

    def _name(self, digest: Digest, version: str | None) -> str:
        return self.names.get(digest) or version or digest.hex[:7]


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


_STYLE: Final = """\
text{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;font-size:12px;fill:#1f2328}
.title{font-size:16px;font-weight:600}.muted{fill:#59636e;font-size:11px}.tag{font-weight:600}
.page{fill:#fff;stroke:#d1d9e0}.lane{fill:#f6f8fa}.line{stroke:#d1d9e0;stroke-dasharray:2 3}.axis{stroke:#afb8c1}
.cross{stroke:#cf222e;stroke-width:2.5;fill:none}.ring{stroke:#59636e;stroke-width:2;fill:#fff}
@media (prefers-color-scheme:dark){text{fill:#e6edf3}.muted{fill:#9198a1}.page{fill:#0d1117;stroke:#30363d}
.lane{fill:#161b22}.line{stroke:#30363d}.axis{stroke:#6e7681}.cross{stroke:#ff7b72}
.ring{stroke:#9198a1;fill:#0d1117}}
.stay text{fill:#fff}.stay.pale text{fill:#1f2328}
"""
# From the oldest version to the newest; text on them is white up to the middle, dark after it.
_COLORS: Final = ((0x3B, 0x2F, 0x80), (0x31, 0x68, 0x8E), (0x1F, 0x9E, 0x89), (0x6D, 0xCD, 0x59), (0xFD, 0xE7, 0x25))
_PALE: Final = 132  # luma, of 255, from which on dark text reads better
_SIGN, _SMALL_SIGN = 7.3, 6.7  # a monospaced character's width at 12 and 11 pixels
_EDGE, _LANE, _BAR = 24, 30, 20
_HEAD, _FOOT = 66, 44
_LEAST, _NARROWEST_GAP = 960, 52
_TILT: Final = radians(38)
_DATE_ROOM, _LONGEST_LABEL = 86, 32


def history_svg(receipts: Iterable[Receipt]) -> str:
    """The picture; a panel for each repository. "" where no receipt tells of a tag that was written."""
    panels = [_Panel.of(timeline) for timeline in timelines(receipts) if timeline.events]
    if not panels:
        return ""
    across = max(panel.across for panel in panels)
    parts, top = [], 0.0
    for panel in panels:
        parts.append(f'<g transform="translate(0 {_n(top)})">\n' + "\n".join(panel.draw(across)) + "\n</g>")
        top += panel.down + 16
    down = top - 16
    names = ", ".join(panel.line.repository for panel in panels)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_n(across)} {_n(down)}" width="{_n(across)}" '
        f'height="{_n(down)}" role="img" aria-label={quoteattr(printable("Tag history of " + names))}>\n'
        f"<style>\n{_STYLE}</style>\n" + "\n".join(parts) + "\n</svg>\n"
    )


class _Panel(Value, frozen=True):
    """One repository's picture. xs: where each event stands."""

    line: Timeline
    left: float
    labels: float
    xs: tuple[float, ...]
    across: float

    @classmethod
    def of(cls, line: Timeline) -> _Panel:
        """Lay it out: gaps between events grow with time, and none is too small to read."""
        left = _EDGE + 16 + max([*(_SIGN * cells(tag) for tag in line.lanes), 40])
        longest = max(_SMALL_SIGN * cells(_label(event)) for event in line.events)
        xs = _positions([event.time for event in line.events], left + 18, _LEAST - 200)
        last = max(90.0, longest * cos(_TILT) + 20)
        return cls(line, left, longest * sin(_TILT) + 18, xs, max(_LEAST, xs[-1] + last + _EDGE))

    @property
    def top(self) -> float:
        """Where the lanes begin."""
        return _HEAD + self.labels

    @property
    def bottom(self) -> float:
        """Where they end."""
        return self.top + _LANE * max(len(self.line.lanes), 1)

    @property
    def down(self) -> float:
        """The height."""
        return self.bottom + _FOOT

    def draw(self, across: float) -> Iterator[str]:
        """Every element, back to front."""
        first, last = _day(self.line.events[0].time), _day(self.line.events[-1].time)
        runs = "1 run" if len(self.line.events) == 1 else f"{len(self.line.events)} runs"
        when = f"on {first}" if first == last else f"from {first} to {last}"
        yield f'<rect class="page" x=".5" y=".5" width="{_n(across - 1)}" height="{_n(self.down - 1)}" rx="8"/>'
        yield _text(_EDGE, 34, self.line.repository, "title")
        yield _text(_EDGE, 53, f"where each floating tag pointed; {runs} {when}", "muted")
        right = across - _EDGE
        for index, tag in enumerate(self.line.lanes):
            y = self.top + index * _LANE
            if index % 2 == 0:
                size = f'width="{_n(right - _EDGE + 16)}" height="{_LANE}"'
                yield f'<rect class="lane" x="{_EDGE - 8}" y="{_n(y)}" {size}/>'
            yield _text(_EDGE, y + 19, tag, "tag")
        yield from self._events()
        for index, stays in enumerate(self.line.lanes.values()):
            yield from self._lane(stays, self.top + index * _LANE + (_LANE - _BAR) / 2, right)
        yield from self._dates(right)

    def _events(self) -> Iterator[str]:
        """A line down through the lanes for each run, with what it was above it."""
        for event, x in zip(self.line.events, self.xs, strict=True):
            y = self.top - 10
            yield f'<path class="line" d="M{_n(x)} {_n(y)}V{_n(self.bottom + 6)}"/>'
            yield _marker(x, y, event, self.line.versions)
            words = _escape(_label(event))
            turn = f"translate({_n(x + 3)} {_n(y - 9)}) rotate(-38)"
            yield f'<text class="muted" transform="{turn}">{words}</text>'

    def _lane(self, stays: Sequence[Stay], y: float, right: float) -> Iterator[str]:
        for stay in stays:
            begin = self.left if stay.begin is None else self.xs[stay.begin]
            end = right if stay.end is None else self.xs[stay.end]
            color, pale = _color(stay.version, self.line.versions)
            since = "before" if stay.begin is None else f"since {self.line.events[stay.begin].time}"
            until = "" if stay.end is None else f" until {self.line.events[stay.end].time}"
            title = _escape(f"{stay.version} {since}{until}: {stay.digest}")
            gap = 1.5 if stay.end is not None else 0
            yield f'<g class="stay{" pale" if pale else ""}"><title>{title}</title>'
            yield (
                f'<rect x="{_n(begin)}" y="{_n(y)}" width="{_n(max(end - begin - gap, 2))}" height="{_BAR}" rx="4" '
                f'fill="{color}"/>'
            )
            if _SIGN * cells(stay.version) + 12 <= end - begin - gap:
                yield _text(begin + 7, y + 14.5, stay.version)
            yield "</g>"

    def _dates(self, right: float) -> Iterator[str]:
        """The axis of time; a date below each event that has the room."""
        y = self.bottom + 6
        yield f'<path class="axis" d="M{_n(self.left)} {_n(y)}H{_n(right)}"/>'
        one_day = _day(self.line.events[0].time) == _day(self.line.events[-1].time)
        free = 0.0
        for event, x in zip(self.line.events, self.xs, strict=True):
            if x >= free:
                label = event.time[11:19] if one_day else _day(event.time)
                yield f'<path class="axis" d="M{_n(x)} {_n(y)}v4"/>'
                yield _text(x - 3, y + 18, label, "muted")
                free = x + _DATE_ROOM


def _positions(times: Sequence[str], left: float, room: float) -> tuple[float, ...]:
    """One place for each time: at least the narrowest gap apart, the rest of the room shared out by time."""
    moments = [read_time(text) for text in times]
    steps = [_seconds(before, after) for before, after in pairwise(moments)]
    spare, whole = max(0.0, room - left - _NARROWEST_GAP * len(steps)), sum(steps)
    xs = [left]
    for step in steps:
        xs.append(xs[-1] + _NARROWEST_GAP + (spare * step / whole if whole else spare / len(steps)))
    return tuple(xs)


def _seconds(before: datetime | None, after: datetime | None) -> float:
    return max(0.0, (after - before).total_seconds()) if before and after else 0.0


def _label(event: Event) -> str:
    words = event.version if event.command == "release" and event.version else f"{event.command} {event.version}"
    return words.strip() if len(words) <= _LONGEST_LABEL else f"{words[:_LONGEST_LABEL]}…"


def _marker(x: float, y: float, event: Event, versions: Sequence[str]) -> str:
    if event.command == "release":
        return f'<circle cx="{_n(x)}" cy="{_n(y)}" r="5" fill="{_color(event.version, versions)[0]}"/>'
    if event.command == "yank":
        return f'<path class="cross" d="M{_n(x - 4)} {_n(y - 4)}l8 8m0-8l-8 8"/>'
    return f'<circle class="ring" cx="{_n(x)}" cy="{_n(y)}" r="4"/>'


def _color(version: str, versions: Sequence[str]) -> tuple[str, bool]:
    """A version's colour by its place among all, and whether that is a pale one."""
    index = versions.index(version) if version in versions else 0
    position = index * (len(_COLORS) - 1) / max(len(versions) - 1, 1) if len(versions) > 1 else 1.0
    low = min(int(position), len(_COLORS) - 2)
    share = position - low
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(_COLORS[low], _COLORS[low + 1], strict=True))
    return f"#{red:02x}{green:02x}{blue:02x}", (299 * red + 587 * green + 114 * blue) / 1000 > _PALE


def _text(x: float, y: float, words: str, kind: str = "") -> str:
    attribute = f' class="{kind}"' if kind else ""
    return f'<text{attribute} x="{_n(x)}" y="{_n(y)}">{_escape(words)}</text>'


def _escape(text: str) -> str:
    """Text as SVG takes it: no markup, no control characters, one line."""
    from xml.sax.saxutils import escape

    return escape(" ".join(printable(text).split()))


def _day(time: str) -> str:
    return time[:10]


def _n(number: float) -> str:
    """A number with one digit after the point at most."""
    return f"{number:.1f}".removesuffix(".0")
