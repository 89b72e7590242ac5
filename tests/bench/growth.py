"""How the time of a release grows, over a link with round trips of 50 ms: a table, and one picture of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.bench.link import slow_link
from tests.bench.scale import ROUND_TRIP, FarRelease, far_registries, medians

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tests.support.command import Publish
    from tests.support.registry import RegistryProcess

_TIMES: Final = 3


@dataclass(frozen=True)
class Series:
    """The median seconds of one release against how many there are of something."""

    what: str
    counts: tuple[int, ...]
    seconds: tuple[float, ...]

    def __str__(self) -> str:
        cells = (f"{count:>7,}: {wall:6.2f} s" for count, wall in zip(self.counts, self.seconds, strict=True))
        return f"{self.what:<28}{'   '.join(cells)}"


def growth(registry: RegistryProcess, publish: Publish, folder: Path) -> list[Series]:
    """All of them, printed as they are measured."""
    far = FarRelease(publish, folder)
    with slow_link(registry.host, ROUND_TRIP, float("inf")) as host:
        series = [
            _measure(far, "tags", (1, 10, 100), lambda count: far.with_tags(host, count)),
            _measure(far, "images", (1, 10, 30), lambda count: far.images(host, count)),
            _measure(far, "platforms", (1, 10, 30), lambda count: far.of_platforms(host, count)),
            _versions(registry, far, host),
        ]
    with far_registries(folder, 5) as hosts:
        counts = (1, 3, 5)
        series.insert(3, _measure(far, "registries", counts, lambda count: far.to_registries(hosts[:count])))
    return series


def _measure(far: FarRelease, what: str, counts: tuple[int, ...], command: Callable[[int], list[str]]) -> Series:
    far.clear()
    commands: list[Callable[[], list[str]]] = [lambda count=count: command(count) for count in counts]  # type: ignore[misc]
    series = Series(what, counts, tuple(medians(far, *commands, times=_TIMES)))
    print(series, flush=True)
    return series


def _versions(registry: RegistryProcess, far: FarRelease, host: str) -> Series:
    """Repositories that hold so many versions already; each run adds one more."""
    counts = (100, 1_000, 10_000)
    for count in counts:
        far.clear()
        far.seconds(far.beside(registry.host, f"versions/{count}", "1.0.0"))
        _seed_versions(registry.log.parent, f"versions/{count}", count)
    patches = iter(range(counts[-1] + 1, counts[-1] + 100))

    def command(count: int) -> list[str]:
        return far.beside(host, f"versions/{count}", f"1.0.{next(patches)}")

    return _measure(far, "versions in the repository", counts, command)


def _seed_versions(registry: Path, name: str, count: int) -> None:
    """Tags as the registry keeps them: a file that holds a digest. All are on the content of the one that is there."""
    tags = registry / "data" / "docker" / "registry" / "v2" / "repositories" / name / "_manifests" / "tags"
    digest = (tags / "1.0.0" / "current" / "link").read_text()
    for number in range(1, count):
        link = tags / f"1.0.{number}" / "current" / "link"
        link.parent.mkdir(parents=True)
        link.write_text(digest)


# The picture.

_WIDTH, _HEIGHT, _GAP = 250, 150, 46
_STYLE: Final = (
    "text{font:11px system-ui,sans-serif;fill:#444}.head{font-weight:600}.axis{stroke:#999;fill:none}"
    ".line{stroke:#0a66c2;stroke-width:2;fill:none}.dot{fill:#0a66c2}"
    "@media(prefers-color-scheme:dark){text{fill:#bbb}.line{stroke:#6cb2ff}.dot{fill:#6cb2ff}}"
)


def picture(series: Sequence[Series]) -> str:
    """One panel a series: counts on a scale of powers of ten, seconds from nought."""
    width = _GAP + (_WIDTH + _GAP) * 3
    height = (_HEIGHT + 2 * _GAP) * math.ceil(len(series) / 3)
    panels = "".join(_panel(one, number) for number, one in enumerate(series))
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">'
    title = "<title>Seconds of a release over a link with round trips of 50 ms</title>"
    return f"{head}{title}<style>{_STYLE}</style>{panels}</svg>\n"


def _panel(series: Series, number: int) -> str:
    row, column = divmod(number, 3)
    x, y = _GAP + column * (_WIDTH + _GAP), _GAP + row * (_HEIGHT + 2 * _GAP)
    top = math.ceil(max(series.seconds))
    span = math.log10(series.counts[-1] / series.counts[0])
    points = [
        (x + _WIDTH * math.log10(count / series.counts[0]) / span, y + _HEIGHT * (1 - wall / top))
        for count, wall in zip(series.counts, series.seconds, strict=True)
    ]
    line = " ".join(f"{left:.1f},{down:.1f}" for left, down in points)
    marks = "".join(
        f'<circle class="dot" cx="{left:.1f}" cy="{down:.1f}" r="3"/>'
        f'<text x="{left:.1f}" y="{down - 8:.1f}" text-anchor="middle">{wall:.2f} s</text>'
        f'<text x="{left:.1f}" y="{y + _HEIGHT + 16}" text-anchor="middle">{count:,}</text>'
        for (left, down), count, wall in zip(points, series.counts, series.seconds, strict=True)
    )
    axis = f'<path class="axis" d="M{x} {y}V{y + _HEIGHT}H{x + _WIDTH}"/>'
    head = f'<text class="head" x="{x}" y="{y - 22}">{series.what}</text>'
    return f'{head}{axis}<polyline class="line" points="{line}"/>{marks}'
