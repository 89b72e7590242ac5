"""A write that seems to have failed may have worked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.model.errors import PublishError
from publisher.model.receipt import State
from publisher.model.reference import Tag

if TYPE_CHECKING:
    from collections.abc import Callable

    from publisher.model.digest import Digest
    from publisher.model.errors import Interrupted
    from publisher.model.reference import Reference
    from publisher.workflows.session import Session


def settle_doubt(
    session: Session,
    reference: Reference,
    wanted: Digest | None,
    error: PublishError | Interrupted,
    note: Callable[[Digest | None, State], None],
) -> None:
    """Ask the tag itself, and raise `error` unless it holds what was wanted, None for a tag that was to go.

    note: takes what the tag holds and how that stands, before `error` is raised.
    """
    try:
        found = session.remote(reference.repository).head(reference.tag or Tag("latest"))
    except PublishError:
        note(None, State.UNKNOWN)
        raise error from None
    held = found.digest if found else None
    if held != wanted:
        note(held, State.NOT_DONE)
        raise error
