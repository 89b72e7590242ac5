"""What a tag holds after it was written: reads may lag behind writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from publisher.model.reference import Tag

if TYPE_CHECKING:
    from collections.abc import Container

    from publisher.model.digest import Digest
    from publisher.model.reference import Reference
    from publisher.workflows.session import Session

_WAITS: Final = (0.2, 0.5, 1.0, 2.0, 4.0)
LOOKS: Final = (0.0, 0.0, *_WAITS)
"""Seconds before each look at the floating tags: before the first write, right after it, and then with patience."""
ROUNDS: Final = 5
"""After how many of these looks what is wrong is written."""


def read_back(session: Session, reference: Reference, stale: Container[Digest | None]) -> Digest | None:
    """What the tag holds, looked at until that isn't one of `stale`, or the wait is over."""
    held: Digest | None = None
    for seconds in (0.0, *_WAITS):
        if seconds:
            session.pause(seconds)
        found = session.remote(reference.repository).head(reference.tag or Tag("latest"))
        held = found.digest if found else None
        if held not in stale:
            break
    return held
