"""A write that seems to have failed may have worked."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from publisher.model.errors import Interrupted, PublishError, Unreachable
from publisher.model.receipt import State
from publisher.model.reference import Tag
from publisher.workflows.reading import read_back

if TYPE_CHECKING:
    from collections.abc import Callable

    from publisher.model.digest import Digest
    from publisher.model.reference import Reference
    from publisher.workflows.session import Session


class Doubt(NamedTuple):
    """A tag that was to hold `wanted`, None where it was to go, and held `before`."""

    reference: Reference
    wanted: Digest | None
    before: Digest | None


def settle_doubt(
    session: Session,
    doubt: Doubt,
    error: PublishError | Interrupted,
    note: Callable[[Digest | None, State], None],
) -> None:
    """Ask the tag itself, and raise `error` unless it holds what was wanted.

    note: takes what the tag holds and how that stands, before `error` is raised.
    """
    try:
        held = _held(session, doubt, error)
    except (PublishError, Interrupted):
        note(None, State.UNKNOWN)
        raise error from None
    if held != doubt.wanted:
        note(held, State.NOT_DONE)
        raise error


def _held(session: Session, doubt: Doubt, error: PublishError | Interrupted) -> Digest | None:
    """Where no answer came, the write may still be on its way to where reads come from; a refusal is one."""
    if isinstance(error, Unreachable) and doubt.before != doubt.wanted:
        return read_back(session, doubt.reference, (doubt.before,))
    found = session.remote(doubt.reference.repository).head(doubt.reference.tag or Tag("latest"))
    return found.digest if found else None
