"""The receipts of several images as one table.

It stands alone, since the file of the other tables is as long as a file may be.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from publisher.model.receipt import State
from publisher.report.tables import short, table
from publisher.report.verify_lines import verify_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from publisher.model.receipt import Receipt


def receipts_text(receipts: Sequence[Receipt], *, color: bool, width: int | None = None) -> str:
    """One line a tag, by image: what it held, what it holds, how it ended; a count; the digests to pin last."""
    rows = [
        (
            f"{change.reference.repository.familiar}:{change.reference.tag}",
            short(change.before),
            short(change.after),
            str(change.state),
        )
        for receipt in receipts
        for change in receipt.moves
    ]
    counts = Counter(row[-1] for row in rows)
    tally = ", ".join(f"{count} {state}" for state, count in counts.items()) or "no tags"
    lines = table(("tag", "before", "after", "state"), rows, color=color, width=width)
    pins = [pin for receipt in receipts for pin in _pins(receipt)]
    return "\n".join([*lines, "", f"{len(receipts)} images: {tally}", *(["", *pins] if pins else [])]) + "\n"


def _pins(receipt: Receipt) -> Iterator[str]:
    """What to write instead of a tag; nothing where it isn't known what a tag holds."""
    if receipt.image and receipt.plan and all(change.state is not State.UNKNOWN for change in receipt.moves):
        for image in receipt.plan.images:
            yield f"{image}@{receipt.image.digest}"
        yield from verify_lines(receipt)
