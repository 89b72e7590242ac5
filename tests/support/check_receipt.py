"""Whether a document is true of a registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.support.commands import CommandResult
    from tests.support.simulation import SimulatedRun, World

_WRITTEN = {"done", "restored", "unknown"}


def check_receipt(ended: CommandResult, before: Mapping[str, Mapping[str, str]], world: World, where: str) -> None:
    """What the document says of each tag is so, and what it doesn't speak of has not changed.

    before: what each repository held, by tag.
    """
    for name, earlier in before.items():
        tags = world.tags(name)
        states, after = _of(ended.states, name), _of(ended.after, name)
        for tag, state in states.items():
            assert state == "unknown" or after[tag] == tags.get(tag), f"{where}: {name}:{tag} is {state}"
        changed = {tag for tag in {*tags, *earlier} if tags.get(tag) != earlier.get(tag)}
        reported = {tag for tag, state in states.items() if state in _WRITTEN}
        assert changed <= reported, f"{where}: {changed - reported} of {name} changed and it was not told: {ended}"


def _of(by_reference: Mapping[str, str | None], name: str) -> dict[str, str | None]:
    """Those of one repository, by tag."""
    parts = ((reference.rpartition(":"), value) for reference, value in by_reference.items())
    return {tag: value for (place, _, tag), value in parts if place == name}


def check_unknown(ended: CommandResult, run: SimulatedRun, where: str) -> None:
    """A tag is unknown only where the last look at it failed too."""
    for reference, state in ended.states.items():
        name, _, tag = reference.rpartition(":")
        looks = [
            request
            for request in run.trace
            if request.path == f"/v2/{name}/manifests/{tag}" and request.method == "HEAD"
        ]
        assert state != "unknown" or (looks and looks[-1].struck), f"{where}: {reference}"


def is_written(ended: CommandResult) -> bool:
    """Whether the document says that a tag was changed, or may have been."""
    return bool(_WRITTEN & set(ended.states.values()))
