"""What this machine's receipts say that exact tags hold: those never change, unless somebody overwrites them."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from publisher.model.plan import Kind
from publisher.model.receipt import State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from publisher.workflows.session import Session

_LOOKED_AT: Final = 1_000
"""How many receipts back."""
_KNOWN: Final = frozenset({State.DONE, State.UNCHANGED, State.RESTORED})


class Recorded(NamedTuple):
    """What a receipt says that a tag holds: a digest, None where the run has deleted it."""

    digest: str | None
    receipt: str


def recorded_tags(session: Session) -> Mapping[str, Recorded]:
    """The last word about each exact tag, by its reference."""
    found: dict[str, Recorded] = {}
    for receipt in islice(session.journal.newest(), _LOOKED_AT):
        if (receipt.sandbox is True) != (session.sandbox is not None):
            continue
        for change in receipt.moves:
            if change.kind is Kind.EXACT and change.state in _KNOWN:
                found.setdefault(change.reference, Recorded(change.after, receipt.id))
    return found
